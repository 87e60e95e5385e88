//! The program's mappings as an ordered map. Pure logic: no page tables, no locks.

mod by_file;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use by_file::Node;
use core::ops::Range;
use libos_base::file::FileLike;
use libos_base::layout::{PAGE_SIZE, PROGRAM_END, PROGRAM_START};

bitflags::bitflags! {
    /// PROT_* bits.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Prot: u8 {
        /// Readable.
        const READ = 1;
        /// Writable (and then readable, on this processor).
        const WRITE = 2;
        /// Executable (and then readable).
        const EXEC = 4;
    }
}

bitflags::bitflags! {
    /// Other properties of a mapping.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Flags: u8 {
        /// MAP_SHARED.
        const SHARED = 1;
        /// Its pages are promised (see `commit.rs`).
        const PROMISED = 2;
        /// MAP_NORESERVE: not promised when it becomes writable, either.
        const NORESERVE = 4;
        /// mlock: populated at once.
        const LOCKED = 8;
        /// A shared mapping of a file that is not open for writing: may not become writable.
        const READ_ONLY_FILE = 16;
        /// Part of the image, and never writable since boot: its pages are what the file says.
        const AS_LINKED = 32;
        /// MAP_GROWSDOWN.
        const GROWS = 64;
    }
}

/// What backs a mapping.
#[derive(Clone)]
pub enum Kind {
    /// Zeroes until written.
    Anon,
    /// The heap that `brk` moves.
    Brk,
    /// The main stack.
    Stack,
    /// Below the main stack: never accessible, but the stack grows into it.
    StackGuard,
    /// The program's part of the image, mapped at boot.
    Image,
    /// The kernel's part of the image: closed to every call.
    Kernel,
    /// A file, from this byte on.
    File(Arc<dyn FileLike>, u64),
}

impl Kind {
    /// Whether its pages start as zeroes.
    pub fn is_zeroed(&self) -> bool {
        matches!(self, Kind::Anon | Kind::Brk | Kind::Stack)
    }

    fn advanced(&self, by: usize) -> Kind {
        match self {
            Kind::File(f, at) => Kind::File(f.clone(), at + by as u64),
            k => k.clone(),
        }
    }

    /// Whether `next` simply continues this, `len` bytes on.
    fn continues(&self, len: usize, next: &Kind) -> bool {
        match (self, next) {
            (Kind::Anon, Kind::Anon) | (Kind::Brk, Kind::Brk) | (Kind::Stack, Kind::Stack) => true,
            (Kind::File(a, at), Kind::File(b, bt)) => Arc::ptr_eq(a, b) && at + len as u64 == *bt,
            _ => false,
        }
    }
}

/// Kept free below a mapping that grows (Linux's stack_guard_gap).
pub const GROWTH_GAP: usize = 1 << 20;

/// One mapping. Its start is the key in [`VmaMap`].
#[derive(Clone)]
pub struct Vma {
    /// First byte after it.
    pub end: usize,
    /// What the program may do.
    pub prot: Prot,
    /// Its other properties.
    pub flags: Flags,
    /// What backs it.
    pub kind: Kind,
}

/// All mappings: page-aligned, not overlapping, merged where neighbours are alike.
pub struct VmaMap {
    /// Boxed: the tree's own nodes stay small.
    map: BTreeMap<usize, Box<Node>>,
    /// New mappings are placed below this, top down.
    base: usize,
    /// Every hole between here and `base` is at most `hole` long: where the search starts.
    hint: usize,
    hole: usize,
}

impl VmaMap {
    /// No mappings; new ones go below `base`.
    pub const fn new(base: usize) -> Self {
        Self { map: BTreeMap::new(), base, hint: base, hole: 0 }
    }

    /// Moves the place for new mappings.
    pub fn set_base(&mut self, base: usize) {
        (self.base, self.hint, self.hole) = (base, base, 0);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.map.len()
    }

    /// Bytes of the mappings that `f` picks.
    pub fn bytes(&self, f: &dyn Fn(&Vma) -> bool) -> usize {
        self.bytes_in(0..usize::MAX, f)
    }

    /// Bytes in `range` of the mappings that `f` picks.
    pub fn bytes_in(&self, range: Range<usize>, f: &dyn Fn(&Vma) -> bool) -> usize {
        let picked = self.overlapping(range.clone()).filter(|(_, v)| f(v));
        picked.map(|(start, v)| v.end.min(range.end) - start.max(range.start)).sum()
    }

    /// The mapping that `addr` lies in, and its start.
    pub fn find(&self, addr: usize) -> Option<(usize, &Vma)> {
        self.map.range(..=addr).next_back().filter(|(_, n)| addr < n.vma.end).map(|(&s, n)| (s, &n.vma))
    }

    /// The mappings that overlap `range`, in order.
    pub fn overlapping(&self, range: Range<usize>) -> impl Iterator<Item = (usize, &Vma)> {
        let first = self.find(range.start).map_or(range.start, |(s, _)| s);
        self.map.range(first..range.end.max(first)).map(|(&s, n)| (s, &n.vma))
    }

    /// All mappings, in order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Vma)> {
        self.map.iter().map(|(&s, n)| (s, &n.vma))
    }

    /// Whether every byte of the range is mapped.
    pub fn covers(&self, range: Range<usize>) -> bool {
        let mut at = range.start;
        for (s, v) in self.overlapping(range.clone()) {
            if s > at {
                return false;
            }
            at = v.end;
        }
        at >= range.end
    }

    /// Whether nothing in the range is mapped.
    pub fn is_free(&self, range: Range<usize>) -> bool {
        self.overlapping(range).next().is_none()
    }

    /// The unmapped space around `range`, including the range (which must be unmapped): where page tables may go.
    pub fn surroundings(&self, range: Range<usize>) -> Range<usize> {
        let below = self.map.range(..range.start).next_back().map_or(0, |(_, n)| n.vma.end);
        let above = self.map.range(range.end..).next().map_or(PROGRAM_END + PAGE_SIZE, |(&s, _)| s);
        below..above
    }

    /// The end and the mapping below `addr`, and the start and the mapping above it, where nothing is mapped.
    pub fn neighbours(&self, addr: usize) -> (Option<&Vma>, Option<(usize, &Vma)>) {
        let below = self.map.range(..addr).next_back().map(|(_, n)| &n.vma);
        (below, self.map.range(addr..).next().map(|(&s, n)| (s, &n.vma)))
    }

    /// Adds a mapping where there is none, merging it with its neighbours.
    pub fn insert(&mut self, start: usize, vma: Vma) {
        debug_assert!(start < vma.end && self.is_free(start..vma.end));
        let mut vma = vma;
        if let Some(above) = self.map.get(&vma.end)
            && alike(start, &vma, &above.vma)
            && let Some(above) = self.pull(vma.end)
        {
            vma.end = above.end;
        }
        if let Some((&s, below)) = self.map.range(..start).next_back()
            && below.vma.end == start
            && alike(s, &below.vma, &vma)
        {
            self.set_end(s, vma.end);
        } else {
            self.put(start, vma);
        }
    }

    fn set_end(&mut self, start: usize, end: usize) {
        if let Some(n) = self.map.get_mut(&start) {
            n.vma.end = end;
        }
    }

    /// Removes and returns the lowest piece of a mapping that lies in `range`, splitting as needed. Call until `None`.
    pub fn take(&mut self, range: Range<usize>) -> Option<(Range<usize>, Vma)> {
        if range.is_empty() {
            return None;
        }
        let (start, whole) = self.overlapping(range.clone()).next()?;
        let (start, mut vma) = if start < range.start {
            let rest = Vma { kind: whole.kind.advanced(range.start - start), ..whole.clone() };
            self.set_end(start, range.start);
            (range.start, rest)
        } else {
            (start, self.pull(start)?)
        };
        if vma.end > range.end {
            let rest = Vma { kind: vma.kind.advanced(range.end - start), ..vma.clone() };
            self.put(range.end, rest);
            vma.end = range.end;
        }
        if vma.end > self.hint && vma.end <= self.base {
            // A hole appears above where the search would start.
            (self.hint, self.hole) = (self.base, 0);
        }
        Some((start..vma.end, vma))
    }

    /// A free place of `len` bytes below `ceiling` (and below the base), as high as possible.
    pub fn find_gap(&mut self, len: usize, ceiling: usize) -> Option<usize> {
        let top = self.base.min(ceiling);
        let remember = ceiling >= self.base;
        let (mut at, mut hole) = if remember && len > self.hole { (self.hint, self.hole) } else { (top, 0) };
        for (&s, n) in self.map.range(..at).rev() {
            let end = n.vma.end;
            if end < at {
                if at - end >= len {
                    return Some(self.found(at - len, hole, remember));
                }
                hole = hole.max(at - end);
            }
            // Room to grow into is left free.
            at = at.min(if n.vma.flags.contains(Flags::GROWS) { s.saturating_sub(GROWTH_GAP) } else { s });
        }
        let start = at.checked_sub(len).filter(|&s| s >= PROGRAM_START)?;
        Some(self.found(start, hole, remember))
    }

    fn found(&mut self, start: usize, hole: usize, remember: bool) -> usize {
        if remember && start < self.hint {
            (self.hint, self.hole) = (start, hole);
        }
        start
    }
}

/// Whether `b` may be merged after `a`, which starts at `start`.
fn alike(start: usize, a: &Vma, b: &Vma) -> bool {
    a.prot == b.prot && a.flags == b.flags && a.kind.continues(a.end - start, &b.kind)
}

#[cfg(test)]
mod tests;
