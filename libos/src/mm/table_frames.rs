//! The memory of page tables, and what else the direct map must not let anybody write to. No other memory may be written to make a page writable, so the frames of tables are absent
//! from the direct map; they are seen through the table window, at a random address of its own, and only they.
//!
//! They are taken from the buddy allocator a few at a time, because each time the direct map changes: its large page is
//! split (and stays split), and all CPUs must forget it. A group of frames that holds no table any more goes back, but for
//! the last one.
//!
//! Frames that the program executes stay in the direct map, read-only ([`seal`]).
//!
//! What a frame of tables is stands in its entry of the direct map, which is not present: [`FREE`] or 0. Those entries, the window's,
//! and the tables that hold them are changed under this lock; boot made all upper tables, for the direct map as for the
//! window.

use super::frames::{self, Level};
use super::kernel::{DATA, Window};
use super::table::{LARGE_SIZE, TABLE, Tables, bits::*};
use super::tlb;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libos_base::layout::{PAGE_SIZE, table_window, virt_of};
use libos_base::sync::{IrqSpinLock, Rank};

/// Frames that are taken at once: `2^ORDER`.
const ORDER: usize = 3;
const GROUP: u64 = (PAGE_SIZE << ORDER) as u64;
const PAGE: u64 = PAGE_SIZE as u64;
/// In a frame's entry of the direct map: the frame holds no table.
const FREE: u64 = 1 << 10;

struct Pool {
    root: u64,
    /// The free frames, linked through their first two words. 0: none.
    head: u64,
    free: usize,
}

static POOL: IrqSpinLock<Pool> = IrqSpinLock::new(Rank::TableFrames, Pool { root: 0, head: 0, free: 0 });

/// Boot CPU, once.
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
    unsafe { word(frame, 0).cast::<u8>().cast_mut().write_bytes(0, PAGE_SIZE) };
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
    let whole = || (group..group + GROUP).step_by(PAGE_SIZE).all(|f| p.direct(f).load(Relaxed) == f | FREE);
    if p.free > 1 << ORDER && whole() {
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

/// Makes a frame that becomes executable read-only in the direct map; false when there is no memory for a page table. The
/// caller flushes.
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

/// Undoes [`seal`]. Who still has the old translation gets a fault, which `fault.rs` finds to be none.
pub fn unseal(frame: u64) {
    POOL.lock().direct(frame).store(frame | DATA, Relaxed);
}

/// A word of a frame that the window shows.
fn word(frame: u64, i: usize) -> *const AtomicU64 {
    ((table_window() + frame as usize) as *const AtomicU64).wrapping_add(i)
}

impl Pool {
    fn tables(&self) -> Tables<Window> {
        // SAFETY: the live tables; what is changed is this lock's.
        unsafe { Tables::new(self.root) }
    }

    /// The last-level entry of a frame that is, or was, one of a group: its table exists and stays.
    fn entry(&self, virt: usize) -> &AtomicU64 {
        // SAFETY: as said; entries of live tables.
        unsafe { &*core::ptr::from_ref(self.tables().entry(virt).expect("split when the group was taken")) }
    }

    fn direct(&self, frame: u64) -> &AtomicU64 {
        self.entry(virt_of(frame))
    }

    fn link(&mut self, frame: u64) {
        self.direct(frame).store(frame | FREE, Relaxed);
        // SAFETY: free frames, which the window shows.
        unsafe {
            (*word(frame, 0)).store(self.head, Relaxed);
            (*word(frame, 1)).store(0, Relaxed);
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
        self.direct(frame).store(frame, Relaxed);
        self.free -= 1;
    }

    /// Takes a group of frames, or as many as can be had.
    fn grow(&mut self) -> bool {
        (0..=ORDER).rev().any(|order| match frames::alloc_for(Level::Kernel, order) {
            Some(block) => self.take(block, order),
            None => false,
        })
    }

    /// Moves a block from the direct map to the window; what that needs in tables comes from the block. False: it was too
    /// small and was given back.
    fn take(&mut self, block: u64, order: usize) -> bool {
        let end = block + (PAGE << order);
        let region = block & !(LARGE_SIZE as u64 - 1);
        let mut tables = self.tables();
        let (Some(direct), Some(window)) = (
            // SAFETY: boot made the tables above; they live as long as the kernel.
            tables.large_entry_or_make(virt_of(region)).map(|e| unsafe { &*core::ptr::from_ref(e) }),
            tables.large_entry_or_make(table_window() + region as usize),
        ) else {
            return false;
        };
        let (split, new) = (direct.load(Relaxed) & LARGE != 0, window.load(Relaxed) == 0);
        let first = block + PAGE * (split as u64 + new as u64);
        if first >= end {
            // SAFETY: just allocated.
            unsafe { frames::free(block, order) };
            return false;
        }
        // Until the direct map changes, it still shows the block.
        let fill = |table: u64, entry: &dyn Fn(u64) -> u64| {
            for i in 0..512 {
                // SAFETY: a frame of the block.
                unsafe { (virt_of(table) as *mut u64).add(i as usize).write(entry(region + i * PAGE)) };
            }
        };
        if new {
            let table = first - PAGE;
            fill(table, &|f| if (block..end).contains(&f) { f | DATA } else { 0 });
            window.store(table | TABLE, Relaxed);
        } else {
            (block..end).step_by(PAGE_SIZE).for_each(|f| self.entry(table_window() + f as usize).store(f | DATA, Relaxed));
        }
        if split {
            fill(block, &|f| if (block..end).contains(&f) { f } else { f | DATA });
            direct.store(block | TABLE, Relaxed);
        } else {
            (block..end).step_by(PAGE_SIZE).for_each(|f| self.direct(f).store(f, Relaxed));
        }
        tlb::flush_soon();
        (first..end).step_by(PAGE_SIZE).for_each(|f| self.link(f));
        true
    }
}
