//! Memory that begins as zeroes: how much of it a fault makes present.
//!
//! Usually one page. Where a program writes upwards, page after page, as many more are mapped with it as it has written
//! just before, up to an amount that depends on the size of memory; once it has filled 2 MiB, the next 2 MiB come as one
//! large page. So memory of which little is used stays small, and what is mapped too early is at most as much as was
//! written. When memory gets scarce, nothing is mapped early.
//!
//! Each large page has a table set aside, so that [`Space::split`] cannot fail.

use super::{PAGE_SIZE, Space, frame, level, regain, rights};
use crate::arch::page::*;
use crate::mm::kernel::Window;
use crate::mm::table::Backing;
use crate::mm::vma::{Prot, Vma};
use crate::mm::{commit, frames, table_frames, tlb, vma::Flags};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libos_base::layout::virt_of;
use libos_base::{Errno, Result};

/// Most pages that are mapped early.
const MOST_EARLY: usize = 32;
/// Small pages in a large one.
const LARGE_PAGES: usize = LARGE_SIZE / PAGE_SIZE;

/// The large pages' tables, set aside: linked through their first entry.
pub(super) struct Tables(u64);

impl Tables {
    pub const fn new() -> Self {
        Self(0)
    }

    /// `table` is a page table without entries that no processor can walk through.
    fn put(&mut self, table: u64) {
        // SAFETY: ours, and the window shows it.
        unsafe { (&*Window::at(table))[0].store(self.0, Relaxed) };
        self.0 = table;
    }

    fn take(&mut self) -> u64 {
        let table = self.0;
        assert!(table != 0, "a large page without a table");
        // SAFETY: as above.
        self.0 = unsafe { (&*Window::at(table))[0].swap(0, Relaxed) };
        table
    }
}

fn clear(frame: u64, pages: usize) {
    // SAFETY: the frames are ours and in the direct map.
    unsafe { (virt_of(frame) as *mut u8).write_bytes(0, pages * PAGE_SIZE) };
}

/// Whether so much memory is free that `pages` may be used before they are needed.
fn plenty(pages: usize) -> bool {
    frames::has_free(frames::total_frames() / 4 + pages)
}

impl Space {
    /// Maps zeroes at `addr` of `vma`, which begins at `start`: the shared frame for reading, frames of its own for
    /// writing. All that lies before `sure` is going to be touched.
    pub fn fill_zero(&mut self, addr: usize, start: usize, vma: &Vma, write: bool, sure: usize) -> Result<()> {
        if write && self.fill_large(addr, start, vma, sure) {
            return Ok(());
        }
        let zero = super::ZERO.load(Relaxed);
        let table = self.tables().table_or_make(addr).ok_or(Errno::ENOMEM)?;
        // SAFETY: tables of mapped memory stay while the space is locked.
        let table = unsafe { &*core::ptr::from_ref(table) };
        let first = addr / PAGE_SIZE % LARGE_PAGES;
        let e = &table[first];
        let old = e.load(Relaxed);
        if old & OWNED != 0 {
            return regain(e, addr, vma.prot);
        }
        if !write {
            e.store(zero | rights(vma.prot, false), Relaxed);
            return Ok(());
        }
        let bits = OWNED | rights(vma.prot, true);
        let early = if old == 0 { self.early(addr, start, vma.end, sure) } else { 1 };
        let free = table[first..].iter().take(early).take_while(|e| e.load(Relaxed) == 0).count();
        let (frame, count) = match run(level(vma), free) {
            Some(run) => run,
            None => (frame(level(vma))?, 1),
        };
        clear(frame, count);
        for (i, e) in table[first..first + count].iter().enumerate() {
            e.store((frame + (i * PAGE_SIZE) as u64) | bits, Relaxed);
        }
        self.own += count;
        if vma.flags.contains(Flags::PROMISED) {
            commit::settle(count);
        }
        if old & PRESENT != 0 {
            // Other CPUs may still see the zeroes.
            tlb::flush(addr..addr + PAGE_SIZE);
        }
        Ok(())
    }

    /// How many pages to map at `addr` of the mapping `start .. end`.
    fn early(&self, addr: usize, start: usize, end: usize, sure: usize) -> usize {
        let mut n = sure.saturating_sub(addr).div_ceil(PAGE_SIZE).max(1);
        if self.is_written(addr, start, 2) {
            let most = MOST_EARLY.min(frames::total_frames() >> 10);
            let mut before = 1;
            while before < most && self.is_written(addr, start, before) && self.is_written(addr, start, 2 * before) {
                before *= 2;
            }
            n = n.max(before);
        }
        n = n.min((end - addr) / PAGE_SIZE).min(MOST_EARLY);
        if n > 1 && plenty(n) { n } else { 1 }
    }

    /// Whether the page that is `pages` before `addr` is in the mapping, which begins at `start`, and was written.
    fn is_written(&self, addr: usize, start: usize, pages: usize) -> bool {
        let before = addr.wrapping_sub(pages * PAGE_SIZE);
        before >= start && before < addr && self.tables.as_ref().is_some_and(|t| t.last(before) & OWNED != 0)
    }

    /// Maps a large page at `addr`, if it may be one and the program has filled as much before that, or will.
    fn fill_large(&mut self, addr: usize, start: usize, vma: &Vma, sure: usize) -> bool {
        let here = addr..addr.wrapping_add(LARGE_SIZE);
        if !addr.is_multiple_of(LARGE_SIZE) || vma.end < here.end || vma.prot.contains(Prot::EXEC) {
            return false;
        }
        let filled =
            [1, LARGE_PAGES / 4, LARGE_PAGES / 2, LARGE_PAGES].iter().all(|&n| self.is_written(addr, start, n));
        if !(filled || sure >= here.end) || !plenty(LARGE_PAGES) {
            return false;
        }
        let Some(slot) = self.tables().large_entry_or_make(addr) else { return false };
        // SAFETY: as in `fill_zero`.
        let slot = unsafe { &*core::ptr::from_ref(slot) };
        let old = slot.load(Relaxed);
        if old & LARGE != 0 || old & PRESENT != 0 && !is_empty(old & ADDRESS) {
            return false;
        }
        let table = if old & PRESENT != 0 { Some(old & ADDRESS) } else { table_frames::alloc() };
        let Some(table) = table else { return false };
        let Some(frame) = frames::alloc_for(level(vma), LARGE_PAGES.ilog2() as usize) else {
            if old & PRESENT == 0 {
                // SAFETY: never linked.
                unsafe { table_frames::free(table) };
            }
            return false;
        };
        clear(frame, LARGE_PAGES);
        slot.store(frame | LARGE | OWNED | rights(vma.prot, true), Relaxed);
        if old & PRESENT != 0 {
            // Its entries are empty, but a processor may remember where they are.
            tlb::flush(addr..addr + PAGE_SIZE);
        }
        self.large_tables.put(table);
        self.own += LARGE_PAGES;
        if vma.flags.contains(Flags::PROMISED) {
            commit::settle(LARGE_PAGES);
        }
        true
    }

    /// A large page was unmapped.
    pub(super) fn drop_large_table(&mut self) {
        let table = self.large_tables.take();
        // SAFETY: from `fill_large`, and not linked.
        unsafe { table_frames::free(table) };
    }

    /// Makes small pages of a large one around `addr`, if there is one.
    pub(super) fn split(&mut self, addr: usize) {
        let Some(slot) = self.tables().large_entry(addr) else { return };
        let old = slot.load(Relaxed);
        if old & LARGE == 0 {
            return;
        }
        // No processor may have translations of both sizes (SDM 3A, 4.10.2.3).
        slot.store(0, Relaxed);
        let start = addr & !(LARGE_SIZE - 1);
        tlb::flush(start..start + LARGE_SIZE);
        let table = self.large_tables.take();
        // SAFETY: ours, and the window shows it.
        for (i, e) in unsafe { &*Window::at(table) }.iter().enumerate() {
            e.store((old & !LARGE) + (i * PAGE_SIZE) as u64, Relaxed);
        }
        if let Some(slot) = self.tables().large_entry(addr) {
            slot.store(table | crate::mm::table::TABLE, Relaxed);
        }
    }

    /// Splits large pages that lie in the range only in part.
    pub(super) fn split_edges(&mut self, range: &Range<usize>) {
        for edge in [range.start, range.end] {
            if !edge.is_multiple_of(LARGE_SIZE) {
                self.split(edge);
            }
        }
    }

    /// Splits all large pages in the range.
    pub(super) fn split_all(&mut self, range: &Range<usize>) {
        for addr in (range.start & !(LARGE_SIZE - 1)..range.end).step_by(LARGE_SIZE) {
            self.split(addr);
        }
    }
}

fn is_empty(table: u64) -> bool {
    // SAFETY: a live table, which the window shows.
    let entries: &[AtomicU64; LARGE_PAGES] = unsafe { &*Window::at(table) };
    entries.iter().all(|e| e.load(Relaxed) == 0)
}

/// At most `pages` consecutive frames, if more than one can be had.
fn run(level: frames::Level, pages: usize) -> Option<(u64, usize)> {
    let order = pages.max(1).ilog2() as usize;
    (1..=order).rev().find_map(|order| frames::alloc_for(level, order).map(|frame| (frame, 1 << order)))
}
