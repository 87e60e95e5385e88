//! The reverse map: from a file to the mappings that show it.
//!
//! A file knows the address of its first mapping, and each mapping those of its neighbours
//! (`libos/src/mm/vma/by_file.rs`). The list is changed only under the address space's lock. Whether it is empty may be
//! checked without the lock: later mappers cannot map what the file gave up before the check, since they ask the file
//! again ([`still_page`](crate::file::FileLike::still_page)).

use crate::upcall;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The mappings of a file.
#[derive(Default)]
pub struct Mappings(AtomicUsize);

impl Mappings {
    /// No mappings.
    pub const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.first() == 0
    }
    /// Where the first one begins; 0 if there are none.
    pub fn first(&self) -> usize {
        self.0.load(Relaxed)
    }
    /// Sets the first one. Under the address space's lock.
    pub fn set_first(&self, addr: usize) {
        self.0.store(addr, Relaxed);
    }

    /// These pages are about to be written back: removes write access from all their shared mappings. Not to be called
    /// under spin locks.
    pub fn write_protect(&self, pages: Range<u64>) {
        if !self.is_empty() {
            upcall::write_protect(self, pages);
        }
    }
    /// Unmaps all pages except private copies; the next access gets the file's content of that time. Not to be called
    /// under spin locks.
    pub fn unmap(&self) {
        if !self.is_empty() {
            upcall::unmap(self);
        }
    }
}
