//! The thread of a waiter: host tests wait as the threads that they are.

use alloc::sync::Arc;
use libos_base::thread::{self, Park};

#[derive(Clone)]
pub struct Sleeper(Arc<dyn Park>);

impl Sleeper {
    pub fn current() -> Self {
        Self(thread::current())
    }

    pub fn wake(self, mark: impl FnOnce()) {
        mark();
        self.0.unpark();
    }
}
