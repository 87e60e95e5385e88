//! A thread that waits until another one hands it something.
//!
//! It is in a queue of the object that it waits for. Whoever serves it takes it off that queue and gives, both under
//! the object's lock; a thread that gives up leaves the queue under that lock and looks once more.

use super::wall::{self, When};
use crate::sched;
use alloc::sync::Arc;
use libos_base::sync::{SpinLock, class};
use libos_base::thread::{self, Park, Wake};
use libos_base::{Errno, Result};
use libos_fs::util::try_arc;

/// See the module.
pub struct Ticket<T> {
    thread: Arc<dyn Park>,
    given: SpinLock<Option<T>>,
}

impl<T> Ticket<T> {
    /// For the running thread.
    pub fn new() -> Result<Arc<Self>> {
        try_arc(Self { thread: thread::current(), given: SpinLock::new(class::TICKET, None) })
    }

    /// Ends the wait with this.
    pub fn give(&self, what: T) {
        *self.given.lock() = Some(what);
        self.thread.unpark();
    }

    /// What was given.
    pub fn take(&self) -> Option<T> {
        self.given.lock().take()
    }

    /// Waits. ETIMEDOUT; ERESTARTSYS on a signal. After an error the caller leaves the queue and asks [`take`](Self::take).
    pub fn wait(&self, until: When) -> Result<T> {
        loop {
            if let Some(what) = self.take() {
                return Ok(what);
            }
            match wall::park(until, true) {
                Wake::Token => {}
                Wake::Timeout => return Err(Errno::ETIMEDOUT),
                Wake::Interrupted => return Err(Errno::ERESTARTSYS),
            }
        }
    }
}

/// The running thread's place among waiters: the least comes first.
pub fn rank() -> i32 {
    sched::current().nice().into()
}
