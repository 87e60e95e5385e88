//! The one address space (all of it ring 0).
//!
//! | range | holds |
//! |---|---|
//! | `0 .. 64 KiB` | never mapped |
//! | `PROGRAM_START .. PROGRAM_END` | the image at a random base (program and kernel text and data), mmap area, stacks |
//! | [`direct_map`]` ..` | RAM, 2 MiB pages, NX: kernel heap, DMA. `virt = direct_map() + phys`. The image and the page tables are left out |
//! | [`table_window`]` ..` | the frames that are page tables, and nothing else. `virt = table_window() + phys` |
//! | `KSTACK_AREA ..` | kernel stacks, each with an unmapped guard page below, from a random place on |
//! | `MMIO_AREA ..` | device registers, uncached, from a random place on |
//!
//! The start of the direct map and of the window is randomised at boot (24 bits each, in steps of 2 MiB), so that no
//! address is known to hold writable kernel memory.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// 4 KiB.
pub const PAGE_SIZE: usize = 4096;
/// Lowest address a program mapping may have (vm.mmap_min_addr).
pub const PROGRAM_START: usize = 0x1_0000;
/// End of the lower half, exclusive (one guard page below the non-canonical hole, as on Linux).
pub const PROGRAM_END: usize = 0x7fff_ffff_f000;
/// Start of the kernel's upper half.
pub const KERNEL_HALF: usize = 0xffff_8000_0000_0000;
/// Bytes the direct map may cover: 16 TiB.
pub const DIRECT_MAP_SIZE: usize = 1 << 44;
/// Where the table window may begin: beyond everything that the direct map can reach.
const WINDOW_AREA: usize = KERNEL_HALF + PLACES * PLACE_STEP + DIRECT_MAP_SIZE;
/// Start of the kernel stacks.
pub const KSTACK_AREA: usize = WINDOW_AREA + PLACES * PLACE_STEP + DIRECT_MAP_SIZE;
/// Start of the mapped device registers.
pub const MMIO_AREA: usize = KSTACK_AREA + (1 << 43);
/// In both areas, the used part begins within this many bytes of the start.
pub const AREA_RANDOM: usize = 1 << 38;

/// How many positions the direct map and the table window can have, and the step between them: a large page.
const PLACES: usize = 1 << 24;
const PLACE_STEP: usize = 2 << 20;
const _: () = assert!(MMIO_AREA > KSTACK_AREA && KSTACK_AREA > WINDOW_AREA);

// Written once, by stage 1 of boot, before these pages become read-only.
#[cfg_attr(unibody_kernel, unsafe(link_section = ".data.rel.ro.libos_layout"))]
static DIRECT_MAP: AtomicUsize = AtomicUsize::new(KERNEL_HALF);
#[cfg_attr(unibody_kernel, unsafe(link_section = ".data.rel.ro.libos_layout"))]
static TABLE_WINDOW: AtomicUsize = AtomicUsize::new(WINDOW_AREA);

/// Start of the direct map of physical memory.
#[inline]
pub fn direct_map() -> usize {
    DIRECT_MAP.load(Relaxed)
}

/// Start of the window onto the page tables.
#[inline]
pub fn table_window() -> usize {
    TABLE_WINDOW.load(Relaxed)
}

/// Chooses the positions of the direct map and the table window from two random numbers. Only while nothing is mapped
/// there yet.
pub fn choose(random: [u64; 2]) {
    DIRECT_MAP.store(KERNEL_HALF + random[0] as usize % PLACES * PLACE_STEP, Relaxed);
    TABLE_WINDOW.store(WINDOW_AREA + random[1] as usize % PLACES * PLACE_STEP, Relaxed);
}

/// Physical address of something in the direct map (kernel heap memory, page frames).
pub fn phys_of(virt: usize) -> u64 {
    debug_assert!((direct_map()..direct_map() + DIRECT_MAP_SIZE).contains(&virt));
    (virt - direct_map()) as u64
}

/// Direct-map address of a physical address in RAM.
pub fn virt_of(phys: u64) -> usize {
    direct_map() + phys as usize
}

/// Rounds up to a multiple of the page size.
pub const fn page_up(v: usize) -> usize {
    (v + PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

/// Rounds down to a multiple of the page size.
pub const fn page_down(v: usize) -> usize {
    v & !(PAGE_SIZE - 1)
}
