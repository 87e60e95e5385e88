//! Device registers: uncached mappings that stay forever.

use super::kernel::{self, DATA};
use crate::arch::page::{LARGE, LARGE_SIZE, UNCACHED};
use core::sync::atomic::Ordering::Relaxed;
use libos_base::layout::{MMIO_AREA, PAGE_SIZE, page_down, page_up};
use libos_base::sync::{IrqSpinLock, class};

const FLAGS: u64 = DATA | UNCACHED;
/// Mappings that are remembered, so that mapping one twice costs nothing (MSI-X tables and queues share a BAR).
const REMEMBERED: usize = 32;

struct Area {
    /// Where the next mapping may begin. 0: nothing is mapped yet.
    next: usize,
    known: [(u64, usize, usize); REMEMBERED],
    count: usize,
}

static AREA: IrqSpinLock<Area> =
    IrqSpinLock::new(class::MMIO, Area { next: 0, known: [(0, 0, 0); REMEMBERED], count: 0 });

/// Maps `len` bytes of registers at physical address `phys`; returns the virtual address. Panics without memory for
/// page tables, which can only happen at boot.
pub fn map(phys: u64, len: usize) -> usize {
    let mut a = AREA.lock();
    let known = a.known[..a.count].iter().find(|k| phys >= k.0 && phys + len as u64 <= k.0 + k.2 as u64);
    if let Some(k) = known {
        return k.1 + (phys - k.0) as usize;
    }
    let first = page_down(phys as usize) as u64;
    let size = page_up(phys as usize + len) - first as usize;
    // At the same offset in a large page, so that large pages can be used (ECAM is 256 MiB).
    if a.next == 0 {
        a.next = MMIO_AREA + kernel::random_offset(LARGE_SIZE);
    }
    let next = a.next;
    let start = next + (first as usize).wrapping_sub(next) % LARGE_SIZE;
    let mut t = kernel::tables().lock();
    let mut done = 0;
    while done < size {
        let (virt, p) = (start + done, first + done as u64);
        let large = virt.is_multiple_of(LARGE_SIZE) && size - done >= LARGE_SIZE;
        let (slot, bits) = if large { (t.large_entry_or_make(virt), LARGE) } else { (t.entry_or_make(virt), 0) };
        slot.expect("memory for page tables").store(p | FLAGS | bits, Relaxed);
        done += if large { LARGE_SIZE } else { PAGE_SIZE };
    }
    drop(t);
    a.next = start + size + PAGE_SIZE;
    if a.count < REMEMBERED {
        let i = a.count;
        a.known[i] = (first, start, size);
        a.count += 1;
    }
    start + (phys - first) as usize
}
