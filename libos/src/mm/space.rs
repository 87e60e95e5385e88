//! The program's address space: its mappings and their page tables under one blocking mutex.
//!
//! That mutex is the last of the blocking locks, because any code may touch program memory and fault. So nothing that
//! takes another blocking lock happens under it: file pages are fetched, and file references dropped, without it.

mod file_pages;
mod runs;
mod zeroed;

use self::runs::Runs;
use super::commit;
use super::cpu;
use super::frames::{self, Level};
use super::kernel::Window;
use super::table::Tables;
use super::table_frames::{seal, unseal};
use super::tlb;
use super::vma::{Flags, Kind, Prot, Vma, VmaMap};
use crate::arch::page::*;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libos_base::file::FileLike;
use libos_base::layout::{PAGE_SIZE, PROGRAM_END};
use libos_base::page_tree::PageTree;
use libos_base::sync::{Mutex, MutexGuard, class};
use libos_base::{Errno, Result};

/// Most mappings (vm.max_map_count).
const MAX_MAPPINGS: usize = 65_530;

/// The address space. See [`lock`].
pub struct Space {
    /// The mappings.
    pub vmas: VmaMap,
    tables: Option<Tables<Window>>,
    large_tables: zeroed::Tables,
    /// Page-cache pages that are mapped, by address over [`PAGE_SIZE`].
    pages: PageTree,
    /// Where the `brk` heap starts and ends; 0 before the first call.
    pub brk: Range<usize>,
    /// Where the main stack starts.
    pub stack_top: usize,
    /// mlockall(MCL_FUTURE).
    pub lock_future: bool,
    /// Pages that are mappings' own, and the most that there were before any were dropped.
    own: usize,
    peak: usize,
}

static ROOT: AtomicU64 = AtomicU64::new(0);
/// A frame of zeroes, mapped read-only wherever zeroes are read before anything is written.
static ZERO: AtomicU64 = AtomicU64::new(0);
static SPACE: Mutex<Space> = Mutex::new(
    class::SPACE,
    Space {
        vmas: VmaMap::new(PROGRAM_END - (1 << 30)),
        tables: None,
        large_tables: zeroed::Tables::new(),
        pages: PageTree::new(),
        brk: 0..0,
        stack_top: 0,
        lock_future: false,
        own: 0,
        peak: 0,
    },
);

/// Where [`Space::pages`] has the page at an address.
fn index(addr: usize) -> u64 {
    (addr / PAGE_SIZE) as u64
}

/// File references that must be dropped without the lock: declare it before taking the lock.
#[derive(Default)]
pub struct Garbage(Vec<Arc<dyn FileLike>>);

/// The smallest range that holds all pages whose rights were removed, added in ascending order.
#[derive(Default)]
struct Touched(Range<usize>);

impl Touched {
    fn add(&mut self, page: usize, size: usize) {
        let start = if self.0.is_empty() { page } else { self.0.start };
        self.0 = start..page + size;
    }

    /// Flushes it, and starts again.
    fn flush(&mut self) {
        tlb::flush(core::mem::take(&mut self.0));
    }
}

/// The space. Never touch program memory while holding it.
pub fn lock() -> MutexGuard<'static, Space> {
    SPACE.lock()
}

/// The space, unless it is locked: for crash reports.
pub fn try_lock() -> Option<MutexGuard<'static, Space>> {
    SPACE.try_lock()
}

/// The frame of zeroes that every mapping shares.
pub fn zero_frame() -> u64 {
    ZERO.load(Relaxed)
}

/// The top-level page table.
pub fn root() -> u64 {
    ROOT.load(Relaxed)
}

/// Takes over the program half.
///
/// # Safety
/// `root` is the live top-level table.
pub unsafe fn init(root: u64) {
    ROOT.store(root, Relaxed);
    let zero = frames::alloc_zeroed(Level::Kernel).filter(|&f| seal(f));
    ZERO.store(zero.expect("a frame at boot"), Relaxed);
    // SAFETY: the caller's; the window shows every table.
    let tables = unsafe { Tables::new(root) };
    let mut s = lock();
    s.tables = Some(tables);
    // The whole image is closed until boot says which segments are the program's.
    #[cfg(unibody_kernel)]
    {
        let image = super::image::image();
        let (start, end) = (image.start, libos_base::layout::page_up(image.end));
        s.vmas.insert(start, Vma { end, prot: Prot::empty(), flags: Flags::empty(), kind: Kind::Kernel });
    }
}

/// The entry bits that give `prot`; none if it is empty.
fn rights(prot: Prot, write: bool) -> u64 {
    if prot.is_empty() {
        return 0;
    }
    let exec = if prot.contains(Prot::EXEC) { 0 } else { NO_EXEC };
    let write = if write && prot.contains(Prot::WRITE) { WRITE | DIRTY } else { 0 };
    PRESENT | ACCESSED | exec | write
}

impl Space {
    /// The page tables.
    pub fn tables(&mut self) -> &mut Tables<Window> {
        self.tables.as_mut().expect("mm::init ran")
    }

    /// ENOMEM when `more` mappings are too many, or the kernel has no memory to record them.
    pub fn check_room(&self, more: usize) -> Result<()> {
        if self.vmas.count() + more > MAX_MAPPINGS { Err(Errno::ENOMEM) } else { libos_base::memory::check() }
    }

    /// EPERM when a piece of the kernel lies in the range.
    pub fn check_not_kernel(&self, range: Range<usize>) -> Result<()> {
        let closed = |k: &Kind| matches!(k, Kind::Kernel);
        if self.vmas.overlapping(range).any(|(_, v)| closed(&v.kind)) { Err(Errno::EPERM) } else { Ok(()) }
    }

    /// Drops all pages of the range; returns how many of them were the mapping's own. Three steps, so that no CPU can
    /// write to a frame that is already free: forbid, flush, free.
    pub fn zap(&mut self, range: Range<usize>) -> usize {
        self.split_edges(&range);
        let (mut touched, mut runs, mut large) = (Touched::default(), Runs::new(), 0);
        for leaf in self.tables().leaves(range.clone()) {
            let mut addr = leaf.start;
            for e in leaf.entries {
                let v = e.load(Relaxed);
                if v != 0 {
                    e.store(0, Relaxed);
                    if v & PRESENT != 0 {
                        touched.add(addr, leaf.size);
                    }
                    if v & OWNED != 0 {
                        // A large page's frames are as many as fill the longest run.
                        runs.add(v, leaf.size / PAGE_SIZE);
                    }
                    if runs.is_full() {
                        touched.flush();
                        // SAFETY: owned frames are mapped once; no CPU has a translation any more.
                        unsafe { runs.free() };
                    }
                }
                addr += leaf.size;
            }
            large += usize::from(leaf.size > PAGE_SIZE);
        }
        touched.flush();
        // SAFETY: as above.
        unsafe { runs.free() };
        for _ in 0..large {
            self.drop_large_table();
        }
        self.forget_pages(range);
        self.peak = self.most_own();
        self.own -= runs.frames();
        runs.frames()
    }

    /// The most pages that were mappings' own at any time.
    pub fn most_own(&self) -> usize {
        self.peak.max(self.own)
    }

    fn forget_pages(&mut self, range: Range<usize>) {
        while let Some(addr) = self.next_page(&range) {
            self.pages.take(index(addr));
        }
    }

    /// Drops the pages of a range, all in mappings with `flags`, but keeps it mapped (MADV_DONTNEED).
    pub fn discard(&mut self, range: Range<usize>, flags: Flags) {
        let own = self.zap(range);
        if flags.contains(Flags::PROMISED) {
            commit::again(own);
        }
    }

    /// Removes every mapping in the range.
    pub fn unmap(&mut self, range: Range<usize>, garbage: &mut Garbage) {
        let mut rest = range.clone();
        while let Some((r, vma)) = self.vmas.take(rest.clone()) {
            rest.start = r.end;
            let own = self.zap(r.clone());
            if vma.flags.contains(Flags::PROMISED) {
                commit::settle(r.len() / PAGE_SIZE - own);
            }
            if let Kind::File(f, _) = vma.kind {
                garbage.0.push(f);
            }
        }
        if rest.start > range.start {
            let limits = self.vmas.surroundings(range.clone());
            self.flush_and_unlink(range, limits);
        }
    }

    /// Frees the tables that the range needed and that nothing else in `limits` needs.
    pub fn flush_and_unlink(&mut self, range: Range<usize>, limits: Range<usize>) {
        let list = self.tables().unlink(range.clone(), limits);
        if !list.is_empty() {
            // One page is enough: INVLPG also drops every cached upper-level entry (SDM 3A, 4.10.4.1).
            tlb::flush(range.start..range.start + PAGE_SIZE);
            // SAFETY: every CPU has flushed.
            unsafe { Tables::<Window>::free(list) };
        }
    }

    /// Counts the pages of the range that are its own.
    pub fn count_own(&mut self, range: Range<usize>) -> usize {
        let mut n = 0;
        for leaf in self.tables().leaves(range.clone()) {
            let owned = leaf.entries.iter().filter(|e| e.load(Relaxed) & OWNED != 0).count();
            let inside = range.end.min(leaf.start + leaf.size) - range.start.max(leaf.start);
            n += owned * if leaf.size > PAGE_SIZE { inside / PAGE_SIZE } else { 1 };
        }
        n
    }

    /// Makes present pages follow a changed protection. Pages that are not the mapping's own stay unwritable: the
    /// next write faults and sorts that out.
    pub fn apply_prot(&mut self, range: Range<usize>, vma: &Vma) {
        let image = matches!(vma.kind, Kind::Image);
        // Pages of a file that become executable in a private mapping are fetched again, as copies.
        let fetch =
            matches!(vma.kind, Kind::File(..)) && vma.prot.contains(Prot::EXEC) && !vma.flags.contains(Flags::SHARED);
        let mut touched = Touched::default();
        let mut sealed = false;
        if vma.prot.contains(Prot::EXEC) {
            self.split_all(&range);
        } else {
            self.split_edges(&range);
        }
        self.tables().for_each(range, &mut |addr, size, e| {
            let mut old = e.load(Relaxed);
            let was = old & SEALED;
            let whole = follow(&mut old, vma.prot) && !(fetch && old & OWNED == 0);
            sealed |= old & SEALED > was;
            let rights = if whole { rights(vma.prot, image || old & OWNED != 0) } else { 0 };
            let new = old & KEPT | rights;
            e.store(new, Relaxed);
            let lost = old & PRESENT & !new != 0 || old & WRITE & !new != 0 || new & NO_EXEC & !old != 0;
            if lost && old & PRESENT != 0 {
                touched.add(addr, size);
            }
        });
        touched.flush();
        if sealed {
            cpu::pinned(|_| tlb::flush_soon());
        }
    }

    /// Moves pages to another place, both `len` long. ENOMEM: nothing was moved.
    pub fn move_pages(&mut self, from: usize, to: usize, len: usize) -> Result<()> {
        self.split_all(&(from..from + len));
        // Tables first: after that nothing can fail.
        for part in (0..len).step_by(PAGE_SIZE) {
            if self.tables().entry(from + part).is_some_and(|e| e.load(Relaxed) != 0)
                && (self.tables().entry_or_make(to + part).is_none()
                    || self.pages.get(index(from + part)).is_some() && self.make_room(to + part).is_err())
            {
                let limits = self.vmas.surroundings(to..to + len);
                self.flush_and_unlink(to..to + len, limits);
                return Err(Errno::ENOMEM);
            }
        }
        // Three steps again: a write through an old translation must not be lost in between.
        let t = self.tables();
        t.for_each(from..from + len, &mut |addr, _, e| {
            let v = e.swap(0, Relaxed);
            if let Some(new) = t.entry(addr - from + to) {
                new.store(v, Relaxed);
            }
        });
        tlb::flush(from..from + len);
        // All are inserted before any is taken: a leaf goes with its last page, and so would room made in it.
        let mut at = from;
        while let Some(addr) = self.next_page(&(at..from + len)) {
            if let Some(p) = self.pages.get(index(addr)).cloned() {
                self.pages.insert(index(addr - from + to), p);
            }
            at = addr + PAGE_SIZE;
        }
        self.forget_pages(from..from + len);
        Ok(())
    }

    /// Whether the page is present with these rights.
    pub fn allows(&mut self, addr: usize, write: bool, exec: bool) -> bool {
        let e = self.tables().last(addr);
        e & PRESENT != 0 && (!write || e & WRITE != 0) && (!exec || e & NO_EXEC == 0)
    }

    /// Gives a page of the image that lost its rights for a while (PROT_NONE) its rights back. False when the page is
    /// gone.
    pub fn restore(&mut self, addr: usize, vma: &Vma) -> bool {
        match self.tables().entry(addr) {
            Some(e) if e.load(Relaxed) != 0 => {
                e.store(e.load(Relaxed) & KEPT | rights(vma.prot, true), Relaxed);
                cpu::invalidate_page(addr);
                true
            }
            _ => false,
        }
    }
}

/// The part of an entry that a change of rights keeps.
const KEPT: u64 = ADDRESS | LARGE | OWNED | SEALED;

/// Makes the direct map follow what the program may do with a frame of its own: an executable frame is writable
/// nowhere. False when there is no memory for that.
fn follow(entry: &mut u64, prot: Prot) -> bool {
    let frame = *entry & ADDRESS;
    match (prot.contains(Prot::EXEC), *entry & SEALED != 0) {
        (true, false) if *entry & OWNED != 0 => {
            if !seal(frame) {
                return false;
            }
            *entry |= SEALED;
        }
        (false, true) => {
            unseal(frame);
            *entry &= !SEALED;
        }
        _ => {}
    }
    true
}

/// Gives one of the mapping's own pages the rights that it should have.
fn regain(e: &AtomicU64, addr: usize, prot: Prot) -> Result<()> {
    let mut v = e.load(Relaxed);
    let was = v & SEALED;
    if !follow(&mut v, prot) {
        return Err(Errno::ENOMEM);
    }
    e.store(v & KEPT | rights(prot, true), Relaxed);
    cpu::invalidate_page(addr);
    if v & SEALED != was {
        cpu::pinned(|_| tlb::flush_soon());
    }
    Ok(())
}

/// A frame for the program.
fn frame(level: Level) -> Result<u64> {
    super::frames_for(level, 1, 0).ok_or(Errno::ENOMEM)
}

fn level(vma: &Vma) -> Level {
    let strict = commit::mode() == commit::STRICT;
    if strict && !vma.flags.contains(Flags::PROMISED) { Level::Normal } else { Level::Promised }
}
