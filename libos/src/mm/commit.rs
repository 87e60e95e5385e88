//! Commit accounting: memory that was promised to the program is there when it is touched.
//!
//! Linux's default guesses (vm.overcommit_memory=0) and lets a process be killed later. Here there is one process and
//! no swap, so private writable and shared anonymous mappings are promised at `mmap`, and refused with ENOMEM when
//! the promise could not be kept. MAP_NORESERVE, PROT_NONE and the main stack are not promised: they take what there is.
//!
//! All changes happen under the space's lock; the frame allocator only reads.

use super::frames;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use libos_base::{Errno, Result};

/// Pages promised and not yet touched.
static PROMISED: AtomicUsize = AtomicUsize::new(0);

/// Pages promised and not yet touched.
pub fn promised() -> usize {
    PROMISED.load(Relaxed)
}

/// With the page tables that so many pages will need; twice that, because mappings do not fill their tables.
fn with_tables(pages: usize) -> usize {
    pages + pages / 256
}

/// Frames that are spoken for by promises.
pub fn held() -> usize {
    with_tables(promised())
}

/// How many frames are missing for a promise of `pages`.
fn missing(pages: usize) -> usize {
    // Twice the reserve: the kernel's own needs grow with what the program does.
    let spoken_for = 2 * frames::reserve() + with_tables(promised() + pages);
    if frames::has_free(spoken_for) { 0 } else { spoken_for - frames::free_frames() }
}

/// Promises `pages`, or ENOMEM. What the page cache can drop counts as free.
pub fn promise(pages: usize) -> Result<()> {
    let n = missing(pages);
    if n > 0 && (super::reclaim(n) == 0 || missing(pages) > 0) {
        return Err(Errno::ENOMEM);
    }
    PROMISED.fetch_add(pages, Relaxed);
    Ok(())
}

/// Makes room for a promise of `pages`, as far as that needs files to be written first. To be called without locks.
pub fn prepare(pages: usize) {
    let n = missing(pages);
    if n > 0 {
        libos_fs::sync::make_room(n);
    }
}

/// Pages that were touched and now are only promised again (MADV_DONTNEED).
pub fn again(pages: usize) {
    PROMISED.fetch_add(pages, Relaxed);
}

/// `pages` of the promise were touched, or given up.
pub fn settle(pages: usize) {
    let before = promised();
    debug_assert!(before >= pages, "settled more than was promised");
    PROMISED.store(before.saturating_sub(pages), Relaxed);
}
