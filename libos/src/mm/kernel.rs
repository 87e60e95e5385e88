//! The kernel half of the address space: stacks and device registers. The direct map and the table window belong to
//! boot and `table_frames`.

use super::table::{Backing, Tables};
use super::table_frames;
use crate::arch::page::{ACCESSED, DIRTY, NO_EXEC, PRESENT, WRITE};
use core::sync::atomic::AtomicU64;
use libos_base::layout::{AREA_RANDOM, KSTACK_AREA, MMIO_AREA, table_window};
use libos_base::sync::{IrqSpinLock, Once, class};

/// Page tables are frames that only the table window shows.
pub struct Window;

impl Backing for Window {
    fn alloc() -> Option<u64> {
        table_frames::alloc()
    }
    unsafe fn free(table: u64) {
        // SAFETY: the caller's.
        unsafe { table_frames::free(table) };
    }
    fn at(table: u64) -> *const [AtomicU64; 512] {
        (table_window() + table as usize) as *const _
    }
}

static TABLES: Once<IrqSpinLock<Tables<Window>>> = Once::new();

/// The tables, for changes of the kernel half only.
pub fn tables() -> &'static IrqSpinLock<Tables<Window>> {
    TABLES.get().expect("mm::init ran")
}

/// Takes over the kernel half.
///
/// # Safety
/// `root` is the live top-level table.
pub unsafe fn init(root: u64) {
    TABLES.set(|| {
        // SAFETY: the caller's; the window shows every table.
        IrqSpinLock::new(class::KERNEL_TABLES, unsafe { Tables::new(root) })
    });
    // From now on the top-level entries exist, whoever maps first.
    let mut t = tables().lock();
    for area in [KSTACK_AREA, MMIO_AREA] {
        t.entry_or_make(area).expect("memory for page tables");
    }
}

/// Where in an area the first mapping goes: a multiple of `step` bytes from its start.
pub fn random_offset(step: usize) -> usize {
    libos_base::random::u64() as usize % (AREA_RANDOM / step) * step
}

/// A kernel mapping's fixed bits.
pub const DATA: u64 = PRESENT | WRITE | NO_EXEC | ACCESSED | DIRTY;
