//! The kernel half of the address space: stacks and device registers. The direct map is made at boot and stays.

use super::frames::{self, Level};
use super::table::{Backing, Tables, bits};
use core::sync::atomic::AtomicU64;
use libos_base::layout::{KSTACK_AREA, MMIO_AREA, virt_of};
use libos_base::sync::{IrqSpinLock, Once, Rank};

/// Page tables are frames in the direct map.
pub struct Direct;

impl Backing for Direct {
    fn alloc() -> Option<u64> {
        frames::alloc_zeroed(Level::Kernel)
    }
    unsafe fn free(table: u64) {
        // SAFETY: the caller's.
        unsafe { frames::free(table, 0) };
    }
    fn at(table: u64) -> *const [AtomicU64; 512] {
        virt_of(table) as *const _
    }
}

static TABLES: Once<IrqSpinLock<Tables<Direct>>> = Once::new();

/// The tables, for changes of the kernel half only.
pub fn tables() -> &'static IrqSpinLock<Tables<Direct>> {
    TABLES.get().expect("mm::init ran")
}

/// Takes over the kernel half.
///
/// # Safety
/// `root` is the live top-level table.
pub unsafe fn init(root: u64) {
    TABLES.set(|| {
        // SAFETY: the caller's; the direct map reaches every table.
        IrqSpinLock::new(Rank::PageTable, unsafe { Tables::new(root) })
    });
    // The top-level entries exist from now on, whoever maps first.
    let mut t = tables().lock();
    for area in [KSTACK_AREA, MMIO_AREA] {
        t.entry_or_make(area).expect("memory for page tables");
    }
}

/// A kernel mapping's fixed bits.
pub const DATA: u64 = bits::PRESENT | bits::WRITE | bits::NO_EXEC | bits::ACCESSED | bits::DIRTY;
