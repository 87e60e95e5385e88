//! The memory of page tables, and other memory that the direct map must not make writable. Writing any other memory
//! must not be able to make a page writable, so the frames of tables are absent from the direct map; they, and nothing
//! else, are seen through the table window, which has a random address of its own.
//!
//! They are taken from the buddy allocator a few at a time, because each time the direct map changes: its large page is
//! split (and stays split), and all CPUs must forget it. A group of frames that no longer holds any table goes back,
//! except for the last ones.
//!
//! Frames that the program executes stay in the direct map, read-only ([`seal`]).
//!
//! The entries of the direct map and the window, and the tables that hold them, are changed under this lock; boot made all
//! upper tables of both.

use super::frames::{self, Level};
use super::kernel::{DATA, Window};
use super::table::{TABLE, Tables};
use super::tlb;
use crate::arch::page::*;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libos_base::layout::{PAGE_SIZE, table_window, virt_of};
use libos_base::sync::{IrqSpinLock, class};

/// Frames that are taken at a time: `2^ORDER`.
const ORDER: usize = 3;
/// How many free frames are kept, so that a thread that comes and goes does not move a group each time.
const SPARE: usize = 2 << ORDER;
const GROUP: u64 = (PAGE_SIZE << ORDER) as u64;
const PAGE: u64 = PAGE_SIZE as u64;
/// The third word of a free frame. No table has it: an entry that is not present has none of the upper bits.
const FREE: u64 = 1 << 62;

struct Pool {
    root: u64,
    /// The free frames, linked through their first two words. 0: none.
    head: u64,
    free: usize,
}

static POOL: IrqSpinLock<Pool> = IrqSpinLock::new(class::TABLE_FRAMES, Pool { root: 0, head: 0, free: 0 });

/// Called once, by the boot CPU.
///
/// # Safety
/// `root` is the live top-level table, as boot made it.
pub unsafe fn init(root: u64) {
    POOL.lock().root = root;
}

/// A zeroed frame for a table.
pub fn alloc() -> Option<u64> {
    let frame = {
        let mut p = POOL.lock();
        if p.head == 0 && !p.grow() {
            return None;
        }
        let frame = p.head;
        p.unlink(frame);
        frame
    };
    // SAFETY: ours, and the window shows it.
    unsafe { word(frame, 0).cast::<u64>().cast_mut().write_bytes(0, PAGE_SIZE / 8) };
    Some(frame)
}

/// Takes a frame back.
///
/// # Safety
/// It came from [`alloc`] (or was boot's table) and no processor can walk through it any more.
pub unsafe fn free(frame: u64) {
    let mut p = POOL.lock();
    p.link(frame);
    let group = frame & !(GROUP - 1);
    if p.free > SPARE && (group..group + GROUP).step_by(PAGE_SIZE).all(|f| p.is_free(f)) {
        for f in (group..group + GROUP).step_by(PAGE_SIZE) {
            p.unlink(f);
            p.entry(table_window() + f as usize).store(0, Relaxed);
            p.direct(f).store(f | DATA, Relaxed);
        }
        tlb::flush_soon();
        // SAFETY: a group that the allocator gave, or boot's memory; nothing is in it.
        unsafe { frames::free(group, ORDER) };
    }
}

/// Makes a frame that becomes executable read-only in the direct map; false when there is no memory for a page table.
/// The caller flushes.
pub fn seal(frame: u64) -> bool {
    let mut table = None;
    loop {
        let p = POOL.lock();
        let mut tables = p.tables();
        let Some(slot) = tables.large_entry_or_make(virt_of(frame)) else { return false };
        let old = slot.load(Relaxed);
        if old & LARGE == 0 {
            p.direct(frame).store(frame | DATA & !(WRITE | DIRTY), Relaxed);
        } else if let Some(table) = table.take() {
            for i in 0..512 {
                // SAFETY: ours, and the window shows it.
                unsafe { (*word(table, i)).store((old & !LARGE) + (i * PAGE_SIZE) as u64, Relaxed) };
            }
            slot.store(table | TABLE, Relaxed);
            continue;
        } else {
            drop(p);
            table = alloc();
            if table.is_none() {
                return false;
            }
            continue;
        }
        break;
    }
    if let Some(table) = table {
        // SAFETY: from `alloc`, never linked.
        unsafe { free(table) };
    }
    true
}

/// Undoes [`seal`]. A CPU that still has the old translation faults, and `fault.rs` finds that nothing is wrong.
pub fn unseal(frame: u64) {
    POOL.lock().direct(frame).store(frame | DATA, Relaxed);
}

/// A word of a frame that the window shows.
fn word(frame: u64, i: usize) -> *const AtomicU64 {
    ((table_window() + frame as usize) as *const AtomicU64).wrapping_add(i)
}

impl Pool {
    fn tables(&self) -> Tables<Window> {
        // SAFETY: the live tables; this lock covers what is changed.
        unsafe { Tables::new(self.root) }
    }

    /// The last-level entry of a frame that is, or was, in a group: its table exists and stays.
    fn entry(&self, virt: usize) -> &AtomicU64 {
        // SAFETY: as said; entries of live tables.
        unsafe { &*core::ptr::from_ref(self.tables().entry(virt).expect("split when the group was taken")) }
    }

    fn direct(&self, frame: u64) -> &AtomicU64 {
        self.entry(virt_of(frame))
    }

    fn link(&mut self, frame: u64) {
        // SAFETY: free frames, which the window shows.
        unsafe {
            (*word(frame, 0)).store(self.head, Relaxed);
            (*word(frame, 1)).store(0, Relaxed);
            (*word(frame, 2)).store(FREE, Relaxed);
            if self.head != 0 {
                (*word(self.head, 1)).store(frame, Relaxed);
            }
        }
        self.head = frame;
        self.free += 1;
    }

    fn unlink(&mut self, frame: u64) {
        // SAFETY: as in `link`.
        unsafe {
            let (next, prev) = ((*word(frame, 0)).load(Relaxed), (*word(frame, 1)).load(Relaxed));
            if prev == 0 {
                self.head = next;
            } else {
                (*word(prev, 0)).store(next, Relaxed);
            }
            if next != 0 {
                (*word(next, 1)).store(prev, Relaxed);
            }
        }
        self.free -= 1;
    }

    /// Whether it is one of our frames, and holds no table.
    fn is_free(&self, frame: u64) -> bool {
        let shown = self.tables().last(table_window() + frame as usize) & PRESENT != 0;
        // SAFETY: shown by the window.
        shown && unsafe { (*word(frame, 2)).load(Relaxed) } == FREE
    }

    /// Takes a group of frames, or as many as are available.
    fn grow(&mut self) -> bool {
        (0..=ORDER)
            .rev()
            .any(|order| frames::alloc_for(Level::Kernel, order).is_some_and(|block| self.take(block, order)))
    }

    /// Moves a block from the direct map to the window; tables needed for that come from the block. False: it was too
    /// small and was given back.
    fn take(&mut self, block: u64, order: usize) -> bool {
        let end = block + (PAGE << order);
        let region = block & !(LARGE_SIZE as u64 - 1);
        let mut tables = self.tables();
        let mut large = |virt| tables.large_entry_or_make(virt).map_or(core::ptr::null(), core::ptr::from_ref);
        let (direct, window) = (large(virt_of(region)), large(table_window() + region as usize));
        // SAFETY: boot made the tables that these entries are in.
        let (direct, window) = unsafe { (&*direct, &*window) };
        let (split, new) = (direct.load(Relaxed) & LARGE != 0, window.load(Relaxed) == 0);
        let first = block + PAGE * (split as u64 + new as u64);
        if first >= end {
            // SAFETY: just allocated.
            unsafe { frames::free(block, order) };
            return false;
        }
        // Until the direct map changes, it still shows the block.
        let (split_to, new_table) = (block, first - PAGE);
        let (low, high) = (virt_of(split_to) as *mut u64, virt_of(new_table) as *mut u64);
        for i in 0..LARGE_SIZE / PAGE_SIZE {
            let f = region + i as u64 * PAGE;
            let ours = f >= block && f < end;
            // SAFETY: frames of the block that are meant for tables.
            unsafe {
                if split {
                    low.add(i).write(if ours { 0 } else { f | DATA });
                }
                if new {
                    high.add(i).write(if ours { f | DATA } else { 0 });
                }
            }
        }
        if new {
            window.store(new_table | TABLE, Relaxed);
        }
        if split {
            direct.store(split_to | TABLE, Relaxed);
        }
        for f in (block..end).step_by(PAGE_SIZE) {
            // In this order: the direct map's table may be a frame of the block.
            self.entry(table_window() + f as usize).store(f | DATA, Relaxed);
            self.direct(f).store(0, Relaxed);
        }
        tlb::flush_soon();
        for f in (first..end).step_by(PAGE_SIZE) {
            self.link(f);
        }
        true
    }
}
