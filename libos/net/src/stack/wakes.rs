//! Whom to wake once the lock is released.

use super::Shared;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::poll::Events;

/// The list. Empty most of the time, and then it uses no memory.
#[derive(Default)]
pub struct Wakes(Vec<(Arc<Shared>, Events)>);

impl Wakes {
    /// Adds the watchers of a socket.
    pub fn add(&mut self, shared: &Arc<Shared>, events: Events) {
        if let Some(last) = self.0.last_mut()
            && Arc::ptr_eq(&last.0, shared)
        {
            last.1 |= events;
            return;
        }
        if self.0.try_reserve(1).is_ok() {
            self.0.push((shared.clone(), events));
        } else {
            shared.pollee.notify(events);
        }
    }

    /// Whether there is nobody to wake.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what was added since the last time.
    pub fn take(&mut self) -> Self {
        core::mem::take(self)
    }

    /// Wakes them, without the lock.
    pub fn tell(self) {
        for (shared, events) in self.0 {
            shared.pollee.notify(events);
        }
    }
}
