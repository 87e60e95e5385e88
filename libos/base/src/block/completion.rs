//! Waiting for requests.

use crate::sync::WaitQueue;
use crate::thread::FOREVER;
use crate::{Errno, Result, memory};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

/// Counts the outstanding requests of a batch and keeps the first error.
pub struct Completion {
    left: AtomicUsize,
    /// The error number; 0: none.
    error: AtomicU16,
    waiters: WaitQueue,
}

impl Completion {
    /// A completion with nothing outstanding. ENOMEM.
    pub fn new() -> Result<Arc<Self>> {
        // `Arc::new` aborts when memory runs out, so ask first.
        memory::room_for(size_of::<Self>() + 16)?;
        Ok(Arc::new(Self { left: AtomicUsize::new(0), error: AtomicU16::new(0), waiters: WaitQueue::new() }))
    }

    /// `n` more requests are under way. The device calls this before the first of them can finish.
    pub fn add(&self, n: usize) {
        self.left.fetch_add(n, Ordering::Relaxed);
    }

    /// One request is done. May be called from interrupts.
    pub fn done(&self, result: Result<()>) {
        if let Err(e) = result {
            let _ = self.error.compare_exchange(0, e as u16, Ordering::Relaxed, Ordering::Relaxed);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waiters.wake_all();
        }
    }

    /// Whether nothing is outstanding.
    pub fn idle(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }

    /// Waits until nothing is outstanding; returns the first error since the last call. Signals do not interrupt it: a
    /// device may write to the memory it was given until it reports completion.
    pub fn wait(&self) -> Result<()> {
        self.waiters.wait(FOREVER, false, || self.idle().then_some(()))?;
        match Errno::from_raw(self.error.swap(0, Ordering::Relaxed)) {
            Some(e) => Err(e),
            None => Ok(()),
        }
    }
}
