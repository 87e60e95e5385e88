//! `virtio_drivers::Hal`, for drivers of that crate that need nothing better (9p, sockets).

use crate::dma::phys_of;
use crate::platform;
use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use core::ptr::NonNull;
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// Zero-sized implementation of what the crate needs: no IOMMU, no bounce buffers.
pub struct KernelHal;

fn layout(pages: usize) -> Option<Layout> {
    Layout::from_size_align(pages.checked_mul(PAGE_SIZE)?, PAGE_SIZE).ok().filter(|l| l.size() > 0)
}

// SAFETY: `dma_alloc` returns zeroed, page-aligned, owned memory of the kernel heap, which is contiguous;
// `mmio_phys_to_virt` returns what the platform mapped.
unsafe impl Hal for KernelHal {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // SAFETY: `layout` never has size zero.
        let p = layout(pages).and_then(|l| NonNull::new(unsafe { alloc_zeroed(l) }));
        // The crate takes physical address 0 for failure.
        p.map_or((0, NonNull::dangling()), |p| (phys_of(p.as_ptr()), p))
    }

    unsafe fn dma_dealloc(_paddr: PhysAddr, vaddr: NonNull<u8>, pages: usize) -> i32 {
        let Some(layout) = layout(pages) else { return -1 };
        // SAFETY: `vaddr` came from `dma_alloc` with the same number of pages, by the caller's promise.
        unsafe { dealloc(vaddr.as_ptr(), layout) };
        0
    }

    unsafe fn mmio_phys_to_virt(paddr: PhysAddr, size: usize) -> NonNull<u8> {
        platform::map_mmio(paddr, size)
            .and_then(|v| NonNull::new(v as *mut u8))
            .expect("device registers must be mappable")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        phys_of(buffer.as_ptr() as *const u8)
    }

    unsafe fn unshare(_paddr: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}
