//! Makes everything durable: `sync`, and what remains to be done before the machine stops.

use crate::cache;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use libos_base::sync::{Provider, WaitQueue};
use libos_base::{Result, time};

/// What the page cache contributes, so that programs without one do not link it.
struct Cache {
    /// Writes back all dirty pages.
    write_back: fn() -> Result<()>,
    /// Frees pages; see [`cache::make_room`].
    make_room: fn(usize) -> bool,
    /// Pages of the cache.
    cached: fn() -> usize,
    /// Writes back and closes all volumes.
    close: fn(),
}

static CACHE: Provider<Cache> = Provider::new();

/// How long devices may make no progress before they are given up.
const PATIENCE_NS: u64 = 30 * time::NS;

/// Makes sure that all mounts are made durable and closed when the machine stops. Called when the first file system
/// that needs it is mounted.
pub fn close_at_end() {
    CACHE.provide(&Cache {
        write_back: cache::write_back_all,
        make_room: cache::make_room,
        cached: cache::cached_pages,
        close,
    });
}

/// What to do before the machine stops, if anything. It may wait for devices.
pub fn at_end() -> Option<fn()> {
    CACHE.get().map(|h| h.close)
}

/// `sync`: makes everything durable, on all mounts. Returns the first error.
pub fn sync_all() -> Result<()> {
    let mut result = write_back();
    for m in crate::mount::list() {
        result = result.and(m.fs.sync());
    }
    result
}

/// Hands all dirty pages to their storage.
pub fn write_back() -> Result<()> {
    CACHE.get().map_or(Ok(()), |h| (h.write_back)())
}

/// Frees about `pages` pages of files, written first if necessary. Returns whether there were any. To be called where
/// waiting is allowed.
pub fn make_room(pages: usize) -> bool {
    CACHE.get().is_some_and(|h| (h.make_room)(pages))
}

/// Whether `n` file system objects, of about a page each, are a lot for the available memory.
pub fn is_much(n: usize) -> bool {
    CACHE.get().is_some_and(|h| n > (libos_base::memory::available() + (h.cached)()) / 4)
}

/// Pages of files that could give way to something else.
pub fn cached() -> usize {
    CACHE.get().map_or(0, |h| (h.cached)())
}

/// Waits for the devices in another thread: one that never answers must not keep the machine from stopping.
fn close() {
    static DONE: AtomicBool = AtomicBool::new(false);
    static WAITERS: WaitQueue = WaitQueue::new();
    let started = libos_base::thread::spawn("close", || {
        close_all();
        DONE.store(true, Relaxed);
        WAITERS.wake_all();
    });
    if started.is_err() {
        return close_all();
    }
    loop {
        let before = cache::dirty_pages();
        if WAITERS.wait(time::after(PATIENCE_NS), false, || DONE.load(Relaxed).then_some(())).is_ok() {
            return;
        }
        let left = cache::dirty_pages();
        if left == before {
            libos_base::error!("a disk or host folder does not answer: {left} pages of files were not written");
            return;
        }
    }
}

fn close_all() {
    if let Err(e) = cache::write_back_all() {
        libos_base::error!("file data could not be written: {e}");
    }
    // The last one mounted goes first.
    for m in crate::mount::list().into_iter().rev() {
        if let Err(e) = m.fs.unmount() {
            libos_base::error!("{}: {e} while it was closed", m.fs.name());
        }
    }
}
