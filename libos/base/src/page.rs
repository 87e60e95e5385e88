//! Page-cache pages: 4 KiB of zeroed memory that files own and that `mmap` maps.

use crate::layout::PAGE_SIZE;
use crate::{Errno, Result};
use alloc::sync::Arc;
use core::alloc::Layout;
use core::ptr::NonNull;

const LAYOUT: Layout = match Layout::from_size_align(PAGE_SIZE, PAGE_SIZE) {
    Ok(l) => l,
    Err(_) => panic!(),
};

/// One page. Shared as `Arc<Page>` between a file's page cache and its mappings. Several threads, and the program
/// itself, may write the bytes at once, so only copies in and out are offered.
pub struct Page(NonNull<u8>);

// SAFETY: the page is owned memory; every access is a copy through raw pointers.
unsafe impl Send for Page {}
// SAFETY: as above; racing copies can tear data, as on any kernel, but never break memory safety.
unsafe impl Sync for Page {}

impl Page {
    /// A zeroed page; ENOMEM when memory is short.
    pub fn new() -> Result<Arc<Page>> {
        // SAFETY: LAYOUT has a non-zero size.
        let p = unsafe { alloc::alloc::alloc_zeroed(LAYOUT) };
        NonNull::new(p).map(|p| Arc::new(Page(p))).ok_or(Errno::ENOMEM)
    }

    /// Address in the direct map (host builds: in the test's heap).
    pub fn addr(&self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// Copies bytes out, from `off`. Panics when out of range.
    pub fn read(&self, off: usize, dst: &mut [u8]) {
        assert!(off <= PAGE_SIZE && dst.len() <= PAGE_SIZE - off);
        // SAFETY: checked in range; `dst` is a distinct kernel buffer.
        unsafe { core::ptr::copy_nonoverlapping(self.addr().add(off), dst.as_mut_ptr(), dst.len()) };
    }

    /// Copies bytes in, at `off`. Panics when out of range.
    pub fn write(&self, off: usize, src: &[u8]) {
        assert!(off <= PAGE_SIZE && src.len() <= PAGE_SIZE - off);
        // SAFETY: checked in range; `src` is a distinct kernel buffer.
        unsafe { core::ptr::copy_nonoverlapping(src.as_ptr(), self.addr().add(off), src.len()) };
    }

    /// Copies `len` bytes from another page. Panics when out of range.
    pub fn copy_from(&self, off: usize, from: &Page, from_off: usize, len: usize) {
        assert!(off <= PAGE_SIZE && len <= PAGE_SIZE - off && from_off <= PAGE_SIZE && len <= PAGE_SIZE - from_off);
        // SAFETY: both ranges were checked; `copy` allows them to be of the same page.
        unsafe { core::ptr::copy(from.addr().add(from_off), self.addr().add(off), len) };
    }

    /// Zeroes from `off` to `end`. Panics when out of range.
    pub fn zero(&self, off: usize, end: usize) {
        assert!(off <= end && end <= PAGE_SIZE);
        // SAFETY: checked in range.
        unsafe { core::ptr::write_bytes(self.addr().add(off), 0, end - off) };
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout.
        unsafe { alloc::alloc::dealloc(self.0.as_ptr(), LAYOUT) };
    }
}
