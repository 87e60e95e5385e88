//! The thread of a waiter.

use crate::sched::{self, Thread};

/// A thread in a futex wait. It holds no reference: the thread does not end before its waiter is marked as woken.
#[derive(Clone, Copy)]
pub struct Sleeper(&'static Thread);

impl Sleeper {
    /// The running thread.
    pub fn current() -> Self {
        Self(sched::current())
    }

    /// Its priority among real-time threads, or 0.
    pub fn rank(&self) -> u8 {
        self.0.rank()
    }

    /// Ends its wait. After `mark`, which says so, the waiter may be gone.
    #[inline]
    pub fn wake(self, mark: impl FnOnce()) {
        sched::park::unpark_marked(self.0, mark);
    }
}
