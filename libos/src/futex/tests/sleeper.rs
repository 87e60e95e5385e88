//! The thread of a waiter: host tests wait as the threads that they are.

use alloc::sync::Arc;
use libos_base::thread::{self, Park};

#[derive(Clone)]
pub struct Sleeper(Arc<dyn Park>);

impl Sleeper {
    pub fn current() -> Self {
        Self(thread::current())
    }

    /// The host's threads have no priorities.
    pub fn rank(&self) -> u8 {
        0
    }

    pub fn wake(self, mark: impl FnOnce()) {
        mark();
        self.0.unpark();
    }
}
