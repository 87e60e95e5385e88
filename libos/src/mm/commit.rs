//! Commit accounting: how much the program may map, measured against the memory there is (vm.overcommit_memory).
//!
//! Private writable and shared anonymous mappings are counted as *promised* until they are touched.
//!
//! - **Guess** (0, the default): a request for more than all memory is refused. Any other is granted while half of
//!   memory is free or page cache, however much is already promised: stacks and buffers that are never touched cost
//!   nothing. Beyond that, a request must fit into what is free now. So a program that allocates and touches in turn is
//!   refused a request before it is refused a page fault: with S kept back and k mappings of L touched in a memory of
//!   M, the next is granted without fitting only if M - kL >= (M + S)/2 and M - kL - S < L <= M, which no k >= 1
//!   satisfies: not even `realloc`, which copies a block of almost half of memory. For what is promised, up to an
//!   eighth of memory is kept free, because malloc commits in larger pieces than it hands out. Memory that malloc gives
//!   back is requested again before it is reused (`libc-shim/malloc`).
//! - **Always** (1): nothing is refused here.
//! - **Strict** (2): whatever is promised is there when it is touched. Measured against free memory, not against
//!   Linux's share of all memory (`overcommit_ratio`), because the kernel's own part is known here.
//!
//! PROT_NONE gives up a promise of private memory; mprotect back requests it again.
//!
//! MAP_NORESERVE (except in strict mode, as on Linux), PROT_NONE and the main stack are not promised: they take what
//! is free at the time. When a fault finds nothing, the program ends with a report: `oom.rs`.
//!
//! Promises change under the space's lock; the frame allocator only reads.

use super::frames;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use libos_base::{Errno, Result};

/// The values of `/proc/sys/vm/overcommit_memory`.
pub const GUESS: u8 = 0;
/// See [`GUESS`].
pub const ALWAYS: u8 = 1;
/// See [`GUESS`].
pub const STRICT: u8 = 2;

static MODE: AtomicU8 = AtomicU8::new(GUESS);
/// Pages promised and not yet touched.
static PROMISED: AtomicUsize = AtomicUsize::new(0);

/// vm.overcommit_memory.
pub fn mode() -> u8 {
    MODE.load(Relaxed)
}

/// Sets vm.overcommit_memory; EINVAL for an unknown mode. Promises made so far stay as they are.
pub fn set_mode(mode: u8) -> Result<()> {
    if mode > STRICT {
        return Err(Errno::EINVAL);
    }
    MODE.store(mode, Relaxed);
    Ok(())
}

/// Pages promised and not yet touched.
pub fn promised() -> usize {
    PROMISED.load(Relaxed)
}

/// Adds the page tables that this many pages will need; twice that, because mappings do not fill their tables.
fn with_tables(pages: usize) -> usize {
    pages + pages / 256
}

/// Frames kept for `promised` pages.
fn held_for(mode: u8, promised: usize, total: usize) -> usize {
    let likely = if mode == STRICT { promised } else { promised.min(total / 8) };
    with_tables(likely)
}

/// Frames kept for what is promised.
pub fn held() -> usize {
    held_for(mode(), promised(), frames::total_frames())
}

/// What a request is measured against, in pages.
#[derive(Clone, Copy)]
struct Memory {
    total: usize,
    reserve: usize,
    promised: usize,
    free: usize,
    cached: usize,
}

impl Memory {
    /// Frames that must be free for a request of `pages` to fit.
    fn needed(&self, mode: u8, pages: usize) -> usize {
        // Twice the reserve: the kernel's own needs grow with what the program does.
        2 * self.reserve + held_for(mode, self.promised, self.total) + with_tables(pages)
    }

    /// How many frames must become free for a request of `pages`; ENOMEM if that many cannot.
    fn missing(&self, mode: u8, pages: usize) -> Result<usize> {
        let (needed, there) = (self.needed(mode, pages), self.free + self.cached);
        let plenty = pages <= self.total && 2 * there >= self.total + (needed - pages);
        if mode == ALWAYS || self.free >= needed || mode == GUESS && plenty {
            return Ok(0);
        }
        if there < needed { Err(Errno::ENOMEM) } else { Ok(needed - self.free) }
    }
}

fn missing(pages: usize) -> Result<usize> {
    let mut m =
        Memory { total: frames::total_frames(), reserve: frames::reserve(), promised: promised(), free: 0, cached: 0 };
    let mode = mode();
    // Counting free frames looks into every CPU's cache.
    if frames::has_free(m.needed(mode, pages)) {
        return Ok(0);
    }
    (m.free, m.cached) = (frames::free_frames(), libos_fs::sync::cached());
    m.missing(mode, pages)
}

/// Promises `pages`, or ENOMEM.
pub fn promise(pages: usize) -> Result<()> {
    let n = missing(pages)?;
    if n > 0 && (super::reclaim(n) == 0 || missing(pages)? > 0) {
        return Err(Errno::ENOMEM);
    }
    PROMISED.fetch_add(pages, Relaxed);
    Ok(())
}

/// Makes room for a promise of `pages`, if that takes writing files first. Call it without locks.
pub fn prepare(pages: usize) {
    if let Ok(n @ 1..) = missing(pages) {
        libos_fs::sync::make_room(n);
    }
}

/// Pages that had been touched and are now only promised again (MADV_DONTNEED).
pub fn again(pages: usize) {
    PROMISED.fetch_add(pages, Relaxed);
}

/// `pages` of the promise were touched, or given up.
pub fn settle(pages: usize) {
    let before = promised();
    debug_assert!(before >= pages, "settled more than was promised");
    PROMISED.store(before.saturating_sub(pages), Relaxed);
}

#[cfg(test)]
mod tests;
