//! Memory that devices read and write: physically contiguous pieces of the kernel heap, which lies in the direct map.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use core::ptr::NonNull;

/// Owned, zeroed, contiguous memory at a fixed address. The device may write to it at any time, so it offers only raw
/// copies and, where ownership rules allow it, slices.
pub struct DmaBuf {
    ptr: NonNull<u8>,
    layout: Layout,
}

// SAFETY: owned memory without thread affinity.
unsafe impl Send for DmaBuf {}
// SAFETY: shared access gives raw pointers and unsafe slices only.
unsafe impl Sync for DmaBuf {}

/// Physical address of kernel heap memory, as a device sees it (host builds: the address itself, for simulated devices).
pub fn phys_of(ptr: *const u8) -> u64 {
    #[cfg(unibody_kernel)]
    {
        libos_base::layout::phys_of(ptr as usize)
    }
    #[cfg(not(unibody_kernel))]
    {
        ptr as u64
    }
}

impl DmaBuf {
    /// `len` zeroed bytes at a multiple of `align` (a power of two); `None` when memory is short.
    pub fn new(len: usize, align: usize) -> Option<Self> {
        let layout = Layout::from_size_align(len.max(1), align).ok()?;
        // SAFETY: the size is not zero.
        let ptr = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { ptr, layout })
    }

    /// First byte.
    pub fn ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    /// Physical address of the first byte.
    pub fn phys(&self) -> u64 {
        phys_of(self.ptr())
    }

    /// Bytes in it.
    pub fn size(&self) -> usize {
        self.layout.size()
    }

    /// The bytes `off .. off + len`. Panics when out of range.
    ///
    /// # Safety
    /// No device may own this part of the buffer while the slice lives.
    pub unsafe fn slice(&self, off: usize, len: usize) -> &[u8] {
        assert!(off <= self.size() && len <= self.size() - off);
        // SAFETY: in range; not written to in the meantime, by the caller's promise.
        unsafe { core::slice::from_raw_parts(self.ptr().add(off), len) }
    }

    /// The bytes `off .. off + len`, for writing. Panics when out of range.
    ///
    /// # Safety
    /// As [`Self::slice`].
    pub unsafe fn slice_mut(&mut self, off: usize, len: usize) -> &mut [u8] {
        assert!(off <= self.size() && len <= self.size() - off);
        // SAFETY: in range and exclusively ours, by the caller's promise.
        unsafe { core::slice::from_raw_parts_mut(self.ptr().add(off), len) }
    }
}

impl Drop for DmaBuf {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.ptr(), self.layout) };
    }
}
