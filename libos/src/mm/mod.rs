//! Memory: frames, the kernel heap, page tables, the program's mappings. Above the processor, below the scheduler.
//! Floor: memory.
//!
//! | module | what |
//! |---|---|
//! | [`buddy`], [`frames`] | physical memory |
//! | [`slab`], [`heap`] | the kernel heap |
//! | [`table`], `table_frames`, [`tlb`] | page tables, their memory, and their cached translations |
//! | `kernel`, [`kstack`], [`mmio`] | the kernel half of the address space |
//! | [`vma`], `space`, [`commit`], `rlimit` | the program's mappings: the list, the pages, the promises, the limits |
//! | [`program`], [`remap`], [`advice`] | what mmap and its family do |
//! | [`rmap`] | what happens to files and concerns who maps them |
//! | `image` | what of the image is the kernel's |
//! | [`fault`], `oom` | page faults, and the end of memory |

pub mod advice;
pub mod buddy;
pub mod commit;
#[cfg_attr(not(unibody_kernel), path = "tests/cpu.rs")]
mod cpu;
pub mod fault;
pub mod frames;
pub mod heap;
#[cfg(unibody_kernel)]
pub mod image;
mod kernel;
pub mod kstack;
pub mod mmio;
mod oom;
pub mod program;
pub mod remap;
pub mod resident;
mod rlimit;
pub mod rmap;
pub mod slab;
mod space;
pub mod table;
mod table_frames;
pub mod tlb;
pub mod vma;

pub use frames::open_reserve;
pub use vma::Prot;

use crate::arch::page;
use core::sync::atomic::Ordering::Relaxed;
use libos_base::layout::{KERNEL_HALF, PAGE_SIZE, PROGRAM_END};

/// A piece of physical memory, in whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub len: u64,
}

/// Takes over memory; the heap works afterwards. Boot CPU, once.
///
/// # Safety
/// The regions are unused RAM in the direct map; `root` is the live top-level page table.
pub unsafe fn init(usable: &[Region], root: u64) {
    // SAFETY: the caller's.
    unsafe {
        frames::init(usable);
        table_frames::init(root);
        kernel::init(root);
        space::init(root);
    }
}

/// What `/proc/meminfo` and `sysinfo` report, in pages.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// Memory this kernel manages (without the image itself).
    pub total: usize,
    /// Free.
    pub free: usize,
    /// Free and neither in reserve nor kept for promises.
    pub available: usize,
    /// Free, and could be promised in strict mode if nothing had been.
    pub strict: usize,
    /// Promised to the program and not touched yet.
    pub promised: usize,
}

/// Current figures.
pub fn stats() -> Stats {
    let (free, promised) = (frames::free_frames(), commit::promised());
    Stats {
        total: frames::total_frames(),
        free,
        available: free.saturating_sub(commit::held() + frames::reserve()),
        strict: free.saturating_sub(2 * frames::reserve()),
        promised,
    }
}

/// Whether only the reserve is left, so nothing new should be made. See `libos_base::memory`.
pub fn memory_low() -> bool {
    !frames::has_free(frames::reserve() + 1) && reclaim(32) == 0
}

/// [`frames::alloc_exact`], with pages of files making way: as many as can be dropped, since the request may be for a
/// run of frames.
fn frames_for(level: frames::Level, pages: usize, align_order: usize) -> Option<u64> {
    loop {
        match frames::alloc_exact(level, pages, align_order) {
            None if reclaim(pages.max(32)) > 0 => {}
            r => return r,
        }
    }
}

/// Frees about `pages` of the page cache; returns how many. Does nothing where no lock may be taken.
fn reclaim(pages: usize) -> usize {
    if cpu::may_switch() { libos_base::memory::reclaim(pages) } else { 0 }
}

/// Pages that are free and neither in reserve nor kept for promises. See `libos_base::memory`.
pub fn memory_available() -> usize {
    frames::free_frames().saturating_sub(commit::held() + frames::reserve())
}

/// Whether the page at `addr` is mapped and readable now. For the crash report: takes no lock and never faults.
pub fn is_mapped(addr: usize) -> bool {
    let valid = space::root() != 0 && !(PROGRAM_END..KERNEL_HALF).contains(&addr);
    valid && last_entry(addr) & page::PRESENT != 0
}

/// The page table entry that applies to `addr` now. Takes no lock.
fn last_entry(addr: usize) -> u64 {
    // SAFETY: only read; a table that is freed meanwhile gives a wrong answer at worst.
    let tables: table::Tables<kernel::Window> = unsafe { table::Tables::new(space::root()) };
    tables.last(addr)
}

/// Maps a physical page below 1 MiB one to one, readable and executable: for the moment when a secondary CPU
/// turns on paging. Panics without memory; boot only.
pub fn map_low_page(phys: u64) {
    assert!(phys < 1 << 20 && phys.is_multiple_of(PAGE_SIZE as u64));
    let mut s = space::lock();
    let e = s.tables().entry_or_make(phys as usize).expect("memory for page tables");
    e.store(phys | page::PRESENT | page::ACCESSED, Relaxed);
}

/// Undoes [`map_low_page`].
pub fn unmap_low_page(phys: u64) {
    let mut s = space::lock();
    if let Some(e) = s.tables().entry(phys as usize) {
        e.store(0, Relaxed);
    }
    s.flush_and_unlink(phys as usize..phys as usize + PAGE_SIZE, 0..page::LARGE_SIZE);
}
