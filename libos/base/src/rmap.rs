//! The reverse map: from a file to the mappings that show it.
//!
//! A file knows the address of its first mapping, and each mapping those of its neighbours (`libos/src/mm/vma/by_file.rs`). The
//! list is changed under the lock of the address space alone. Whether it is empty may be asked without: what the file gave up
//! before the question is not mapped by those who come after it, since they ask the file again
//! ([`still_page`](crate::file::FileLike::still_page)).

use crate::upcall;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Who maps a file.
#[derive(Default)]
pub struct Mappings(AtomicUsize);

impl Mappings {
    /// Nobody.
    pub const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }
    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.first() == 0
    }
    /// Where the first one begins; 0 without any.
    pub fn first(&self) -> usize {
        self.0.load(Relaxed)
    }
    /// Under the lock of the address space.
    pub fn set_first(&self, addr: usize) {
        self.0.store(addr, Relaxed);
    }

    /// These pages are about to be written back: takes the right to write away from all shared mappings of them. Call it
    /// without spin locks.
    pub fn write_protect(&self, pages: Range<u64>) {
        if !self.is_empty() {
            upcall::write_protect(self, pages);
        }
    }
    /// Unmaps all pages but private copies: who touches them gets what is there then. Call it without spin locks.
    pub fn unmap(&self) {
        if !self.is_empty() {
            upcall::unmap(self);
        }
    }
}
