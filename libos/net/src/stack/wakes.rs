//! Whom to wake once the lock is released.

use super::Shared;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::poll::Events;

/// The list. Most of the time there is nobody, or one socket's watchers, and then it uses no memory.
#[derive(Default)]
pub struct Wakes {
    first: Option<(Arc<Shared>, Events)>,
    more: Vec<(Arc<Shared>, Events)>,
}

impl Wakes {
    /// Adds the watchers of a socket.
    pub fn add(&mut self, shared: &Arc<Shared>, events: Events) {
        if let Some(last) = self.more.last_mut().or(self.first.as_mut())
            && Arc::ptr_eq(&last.0, shared)
        {
            last.1 |= events;
            return;
        }
        if self.first.is_none() {
            self.first = Some((shared.clone(), events));
        } else if self.more.try_reserve(1).is_ok() {
            self.more.push((shared.clone(), events));
        } else {
            shared.pollee.notify(events);
        }
    }

    /// Whether there is nobody to wake.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Takes what was added since the last time, if anything was.
    #[inline]
    pub fn take(&mut self) -> Option<Self> {
        if self.is_empty() { None } else { Some(core::mem::take(self)) }
    }

    /// Wakes them, without the lock.
    pub fn tell(self) {
        for (shared, events) in self.first.into_iter().chain(self.more) {
            shared.pollee.notify(events);
        }
    }
}
