//! A limit that a timer watches, from when it is first set.

use super::{Expire, Timer};
use alloc::sync::{Arc, Weak};
use libos_base::Result;
use libos_base::sync::{Mutex, Once, class};

/// A limit that has been set.
pub struct Watch<S: 'static> {
    pub timer: Timer,
    /// What the last look left for the next one. Only one thread at a time may set the timer: it has this locked.
    pub state: Mutex<S>,
    /// Compares what was used with the limit, and sets the timer for the next look.
    look: fn(&Self),
}

impl<S: Send> Expire for Watch<S> {
    fn expire(&self) {
        (self.look)(self);
    }
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

impl<S: Send> Watch<S> {
    /// Sets the limit with `set` and watches it from then on. ENOMEM.
    pub fn change(watch: &Once<Arc<Self>>, state: S, look: fn(&Self), set: impl FnOnce() -> Result<()>) -> Result<()> {
        let watch = watch.get_or_try(|| {
            super::owned(|me: Weak<Self>, timer| Self {
                timer: timer(me),
                state: Mutex::new(class::CPU_LIMIT, state),
                look,
            })
        })?;
        set()?;
        look(watch);
        Ok(())
    }
}
