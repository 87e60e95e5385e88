//! Interrupts of the card that are put off while every processor is busy.

use super::net;
use crate::sched::idle_mask;
use crate::timer::{Expire, Timer, owned};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use libos_base::sync::Once;
use libos_base::time;

struct Later {
    timer: Timer,
    /// The timer is set; only who sets this may set that.
    set: AtomicBool,
}

static LATER: Once<Arc<Later>> = Once::new();

impl Expire for Later {
    fn expire(&self) {
        // Before the question what is held: see `poll::holds`.
        self.set.swap(false, Ordering::SeqCst);
        libos_base::poll::settle();
        net().overdue();
    }
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

/// Makes the timer; without memory for it, nothing is put off.
pub(super) fn init() {
    if let Ok(later) = owned(|me, timer| Later { timer: timer(me), set: AtomicBool::new(false) }) {
        LATER.set(|| later);
    }
}

/// See [`libos_net::config::Hooks::later`].
pub(super) fn later(ns: u64) -> bool {
    let Some(later) = LATER.get().filter(|_| idle_mask() == 0) else { return false };
    if !later.set.load(Ordering::Relaxed) && !later.set.swap(true, Ordering::Acquire) {
        later.timer.set(time::after(ns));
    }
    true
}
