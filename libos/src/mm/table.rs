//! Page tables of four levels, over any source of tables. The meaning of an entry is in [`crate::arch::page`].
//!
//! Locks: the program half is changed under the space's mutex, the kernel half under
//! `kernel_tables()`. They share only the top-level table, in different entries of it.
//!
//! Entries are atomics because the processor sets the accessed and dirty bits. An entry that is neither zero nor
//! present keeps a page that may not be touched now (PROT_NONE), whatever its size.

use core::marker::PhantomData;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libos_base::layout::PAGE_SIZE;

use crate::arch::page::*;

/// The entry for a table: present, with all rights, which the last level narrows.
pub(super) const TABLE: u64 = PRESENT | WRITE | ACCESSED;

/// Where tables come from.
pub trait Backing {
    /// A zeroed table's physical address.
    fn alloc() -> Option<u64>;
    /// Takes a table back.
    ///
    /// # Safety
    /// It came from `alloc` and no processor can walk through it any more.
    unsafe fn free(table: u64);
    /// Where the table can be touched.
    fn at(table: u64) -> *const [AtomicU64; 512];
}

/// One tree of tables.
pub struct Tables<B> {
    root: u64,
    backing: PhantomData<B>,
}

/// See [`Tables::leaves`].
pub struct Leaves<'a, B> {
    tables: &'a Tables<B>,
    range: Range<usize>,
}

/// Neighbouring entries for pages of one size.
pub struct Leaf<'a> {
    /// The address of the first page.
    pub start: usize,
    /// Bytes of each page.
    pub size: usize,
    /// All are in one table.
    pub entries: &'a [AtomicU64],
}

impl<'a, B: Backing> Iterator for Leaves<'a, B> {
    type Item = Leaf<'a>;

    fn next(&mut self) -> Option<Leaf<'a>> {
        'next: while self.range.start < self.range.end {
            let addr = self.range.start;
            let mut table = self.tables.root;
            for level in [4, 3, 2] {
                let slot = self.tables.slot(table, addr, level);
                let e = slot.load(Relaxed);
                if e & PRESENT == 0 || e & LARGE != 0 {
                    let start = addr & !(span(level) - 1);
                    self.range.start = start.checked_add(span(level)).unwrap_or(self.range.end);
                    if level == 2 && e & LARGE != 0 {
                        return Some(Leaf { start, size: LARGE_SIZE, entries: core::slice::from_ref(slot) });
                    }
                    continue 'next;
                }
                table = e & ADDRESS;
            }
            let first = index(addr, 1);
            let n = (512 - first).min((self.range.end - addr).div_ceil(PAGE_SIZE));
            self.range.start = addr + n * PAGE_SIZE;
            // SAFETY: as in `slot`.
            let entries = unsafe { &(&*B::at(table))[first..first + n] };
            return Some(Leaf { start: addr, size: PAGE_SIZE, entries });
        }
        None
    }
}

/// Tables that were unlinked and wait for the processors to forget them; linked through their first entry, whose
/// present bit stays clear.
#[must_use = "free them after flushing"]
pub struct Unlinked(u64);

impl Unlinked {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

fn index(addr: usize, level: u32) -> usize {
    addr >> (12 + 9 * (level - 1)) & 511
}

/// Bytes that an entry of this level maps.
fn span(level: u32) -> usize {
    PAGE_SIZE << (9 * (level - 1))
}

impl<B: Backing> Tables<B> {
    /// The tree with this top-level table.
    ///
    /// # Safety
    /// `root` is a valid top-level table for as long as this lives, all of whose tables `B` can reach.
    pub const unsafe fn new(root: u64) -> Self {
        Self { root, backing: PhantomData }
    }

    fn slot(&self, table: u64, addr: usize, level: u32) -> &AtomicU64 {
        // SAFETY: `table` is in the tree, so the backing reaches it; tables live until unlinked, under `&mut self`.
        unsafe { &(*B::at(table))[index(addr, level)] }
    }

    /// The entry of the page at `addr`, if its table exists.
    pub fn entry(&self, addr: usize) -> Option<&AtomicU64> {
        self.find(addr, 1)
    }

    /// The second-level entry at `addr`, if its table exists.
    pub fn large_entry(&self, addr: usize) -> Option<&AtomicU64> {
        self.find(addr, 2)
    }

    fn find(&self, addr: usize, last: u32) -> Option<&AtomicU64> {
        let mut table = self.root;
        for level in (last + 1..=4).rev() {
            let e = self.slot(table, addr, level).load(Relaxed);
            if e & PRESENT == 0 || e & LARGE != 0 {
                return None;
            }
            table = e & ADDRESS;
        }
        Some(self.slot(table, addr, last))
    }

    /// The entry that ends the walk for `addr`: a page of any size, or one that is not present.
    pub fn last(&self, addr: usize) -> u64 {
        let mut table = self.root;
        let mut e = 0;
        for level in [4, 3, 2, 1] {
            e = self.slot(table, addr, level).load(Relaxed);
            if e & PRESENT == 0 || e & LARGE != 0 {
                break;
            }
            table = e & ADDRESS;
        }
        e
    }

    /// The entry of the page at `addr`, making tables as needed; `None` when there is no memory.
    pub fn entry_or_make(&mut self, addr: usize) -> Option<&AtomicU64> {
        self.table_or_make(addr).map(|t| &t[index(addr, 1)])
    }

    /// The table of the page at `addr`, made as needed; `None` when there is no memory.
    pub fn table_or_make(&mut self, addr: usize) -> Option<&[AtomicU64; 512]> {
        let table = Self::below(self.large_entry_or_make(addr)?)?;
        // SAFETY: as in `slot`.
        Some(unsafe { &*B::at(table) })
    }

    /// The second-level entry at `addr`, for a page of [`LARGE_SIZE`]. `None` when there is no memory.
    pub fn large_entry_or_make(&mut self, addr: usize) -> Option<&AtomicU64> {
        let mut table = self.root;
        for level in [4, 3] {
            table = Self::below(self.slot(table, addr, level))?;
        }
        Some(self.slot(table, addr, 2))
    }

    /// The table that an entry leads to, made as needed.
    fn below(slot: &AtomicU64) -> Option<u64> {
        let mut e = slot.load(Relaxed);
        if e & PRESENT == 0 {
            e = B::alloc()? | TABLE;
            slot.store(e, Relaxed);
        }
        debug_assert!(e & LARGE == 0, "a large page is in the way");
        Some(e & ADDRESS)
    }

    /// The entries of the pages in the range, in order, as far as there are tables. A large page that lies in it only
    /// in part is included.
    pub fn leaves(&self, range: Range<usize>) -> Leaves<'_, B> {
        Leaves { tables: self, range }
    }

    /// Calls `f` with every entry in the range that is not zero, its address and the size of its page, in order.
    pub fn for_each(&self, range: Range<usize>, f: &mut dyn FnMut(usize, usize, &AtomicU64)) {
        for leaves in self.leaves(range) {
            for (i, e) in leaves.entries.iter().enumerate().filter(|(_, e)| e.load(Relaxed) != 0) {
                f(leaves.start + i * leaves.size, leaves.size, e);
            }
        }
    }

    /// Unlinks the tables that `range` touches and whose whole span lies in `limits`, where nothing is mapped. As this
    /// is done whenever something is unmapped, no others are left there.
    pub fn unlink(&mut self, range: Range<usize>, limits: Range<usize>) -> Unlinked {
        let mut list = Unlinked(0);
        self.unlink_below(self.root, 4, range, &limits, &mut list);
        list
    }

    fn unlink_below(
        &mut self,
        table: u64,
        level: u32,
        range: Range<usize>,
        limits: &Range<usize>,
        list: &mut Unlinked,
    ) {
        let mut addr = range.start & !(span(level) - 1);
        while addr < range.end {
            let end = addr + span(level);
            let slot = self.slot(table, addr, level);
            let e = slot.load(Relaxed);
            if e & PRESENT != 0 && e & LARGE == 0 {
                let child = e & ADDRESS;
                // The top level's entries stay: one page per 512 GiB, and other CPUs may be walking them.
                let whole = level < 4 && addr >= limits.start && end <= limits.end;
                if whole {
                    slot.store(0, Relaxed);
                }
                if level > 2 {
                    self.unlink_below(child, level - 1, addr.max(range.start)..end.min(range.end), limits, list);
                }
                if whole {
                    // SAFETY: reachable; a walk that still passes sees entries that are not present.
                    unsafe { (&*B::at(child))[0].store(list.0, Relaxed) };
                    list.0 = child;
                }
            }
            addr = end;
        }
    }

    /// Frees unlinked tables.
    ///
    /// # Safety
    /// Every processor flushed after they were unlinked.
    pub unsafe fn free(list: Unlinked) {
        let mut t = list.0;
        while t != 0 {
            // SAFETY: on the list, so still reachable.
            let next = unsafe { (*B::at(t))[0].load(Relaxed) };
            // SAFETY: the caller's.
            unsafe { B::free(t) };
            t = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::cell::Cell;

    std::thread_local! { static LIVE: Cell<i32> = const { Cell::new(0) }; }
    const L: Layout = Layout::new::<Aligned>();
    #[repr(align(4096))]
    struct Aligned(#[expect(dead_code, reason = "only its layout")] [u8; 4096]);

    struct Host;
    impl Backing for Host {
        fn alloc() -> Option<u64> {
            LIVE.set(LIVE.get() + 1);
            // SAFETY: a layout with a size.
            Some(unsafe { alloc_zeroed(L) } as u64)
        }
        unsafe fn free(table: u64) {
            LIVE.set(LIVE.get() - 1);
            // SAFETY: from `alloc`.
            unsafe { dealloc(table as *mut u8, L) };
        }
        fn at(table: u64) -> *const [AtomicU64; 512] {
            table as *const _
        }
    }

    #[test]
    fn maps_walks_and_gives_tables_back() {
        let root = Host::alloc().unwrap();
        // SAFETY: a fresh, zeroed table.
        let mut t: Tables<Host> = unsafe { Tables::new(root) };
        let base = 0x7fff_0000_0000usize;
        assert!(t.entry(base).is_none() && t.last(base) & PRESENT == 0);
        let pages = [base, base + PAGE_SIZE, base + 3 * LARGE_SIZE, base + (1 << 30)];
        for (i, &a) in pages.iter().enumerate() {
            t.entry_or_make(a).unwrap().store((i as u64 + 1) << 12 | PRESENT, Relaxed);
        }
        assert_eq!(LIVE.get(), 1 + 1 + 2 + 3);
        let present = [base, base + 2 * PAGE_SIZE, base + LARGE_SIZE].map(|a| t.last(a) & PRESENT != 0);
        assert_eq!(present, [true, false, false]);
        let mut seen = vec![];
        t.for_each(0x1_0000..0x7fff_ffff_f000, &mut |a, size, e| {
            assert_eq!(size, PAGE_SIZE);
            assert_eq!(e.load(Relaxed) & ADDRESS, (seen.len() as u64 + 1) << 12);
            seen.push(a);
            e.store(0, Relaxed);
        });
        assert_eq!(seen, pages);
        // Not the whole span of any table: nothing goes.
        assert!(t.unlink(base..base + PAGE_SIZE, base + PAGE_SIZE..base + LARGE_SIZE).is_empty());
        let some = t.unlink(base..base + 1, base..base + LARGE_SIZE);
        // SAFETY: no processor walks these tables.
        unsafe { Tables::<Host>::free(some) };
        assert_eq!(LIVE.get(), 6);
        assert!(t.entry(base).is_none());
        let rest = t.unlink(base..base + (1 << 30) + 1, base..base + (1 << 39));
        // SAFETY: as above.
        unsafe { Tables::<Host>::free(rest) };
        assert_eq!(LIVE.get(), 2, "the root and the third-level table stay");
    }
}
