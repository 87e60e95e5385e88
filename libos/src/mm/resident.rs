//! What of the program is in memory, for `/proc`.

use super::space;
use crate::arch::page::*;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;
use libos_base::layout::PAGE_SIZE;

/// Pages of a range.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    /// In memory.
    pub present: usize,
    /// The mapping's own.
    pub own: usize,
    /// Written to, and not stored since.
    pub dirty: usize,
    /// Parts of large pages.
    pub large: usize,
}

/// Looks at the pages of a range. One page of zeroes stands for all that were only read: it does not count.
pub fn measure(range: Range<usize>) -> Found {
    let mut s = space::lock();
    let zero = space::zero_frame();
    let mut found = Found::default();
    s.tables().for_each(range.clone(), &mut |addr, size, e| {
        let e = e.load(Relaxed);
        if e & ADDRESS == zero {
            return;
        }
        let pages = (range.end.min(addr + size) - range.start.max(addr)) / PAGE_SIZE;
        let if_has = |bit: u64| if e & bit != 0 { pages } else { 0 };
        found.present += pages;
        found.own += if_has(OWNED);
        found.dirty += if_has(OWNED | WRITE);
        found.large += if_has(LARGE);
    });
    found
}

/// Present.
const IN_MEMORY: u64 = 1 << 63;
/// Of a file, or shared memory.
const OF_FILE: u64 = 1 << 61;
/// Mapped here only.
const EXCLUSIVE: u64 = 1 << 56;

/// Entries of `/proc/self/pagemap` from page `first` on.
pub fn pages(first: usize, into: &mut [u64]) {
    let mut s = space::lock();
    for (i, out) in into.iter_mut().enumerate() {
        let addr = (first + i) * PAGE_SIZE;
        let e = s.tables().last(addr);
        let within = if e & LARGE != 0 { addr / PAGE_SIZE % (LARGE_SIZE / PAGE_SIZE) } else { 0 };
        *out = match e {
            0 => 0,
            e if e & OWNED != 0 => IN_MEMORY | EXCLUSIVE | ((e & ADDRESS) / PAGE_SIZE as u64 + within as u64),
            e => IN_MEMORY | OF_FILE | ((e & ADDRESS) / PAGE_SIZE as u64),
        };
    }
}

const LARGE_SIZE: usize = 2 << 20;
