//! The one address space (all of it ring 0).
//!
//! | range | holds |
//! |---|---|
//! | `0 .. 64 KiB` | never mapped |
//! | `PROGRAM_START .. PROGRAM_END` | the image at a random base (program and kernel text and data), mmap area, stacks |
//! | `DIRECT_MAP ..` | all of RAM, 2 MiB pages, NX: kernel heap, page tables, DMA. `virt = DIRECT_MAP + phys` |
//! | `KSTACK_AREA ..` | kernel stacks, each with an unmapped guard page below |
//! | `MMIO_AREA ..` | device registers, uncached |

/// 4 KiB.
pub const PAGE_SIZE: usize = 4096;
/// Lowest address a program mapping may have (vm.mmap_min_addr).
pub const PROGRAM_START: usize = 0x1_0000;
/// End of the lower half, exclusive (one guard page below the non-canonical hole, as on Linux).
pub const PROGRAM_END: usize = 0x7fff_ffff_f000;
/// Start of the direct map of physical memory.
pub const DIRECT_MAP: usize = 0xffff_8000_0000_0000;
/// Bytes the direct map may cover: 16 TiB.
pub const DIRECT_MAP_SIZE: usize = 1 << 44;
/// Start of the kernel stacks.
pub const KSTACK_AREA: usize = 0xffff_c000_0000_0000;
/// Start of the mapped device registers.
pub const MMIO_AREA: usize = 0xffff_d000_0000_0000;

/// Physical address of something in the direct map (kernel heap memory, page frames).
pub fn phys_of(virt: usize) -> u64 {
    debug_assert!((DIRECT_MAP..DIRECT_MAP + DIRECT_MAP_SIZE).contains(&virt));
    (virt - DIRECT_MAP) as u64
}

/// Direct-map address of a physical address in RAM.
pub fn virt_of(phys: u64) -> usize {
    DIRECT_MAP + phys as usize
}

/// Rounds up to a multiple of the page size.
pub const fn page_up(v: usize) -> usize {
    (v + PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

/// Rounds down to a multiple of the page size.
pub const fn page_down(v: usize) -> usize {
    v & !(PAGE_SIZE - 1)
}
