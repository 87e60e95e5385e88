//! Interrupts of the card that are put off while every processor is busy.

use super::net;
use crate::sched::idle_mask;
use crate::timer::{Expire, Timer, owned};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use libos_base::sync::Once;
use libos_base::{poll, time};
use libos_net::sleeper::{LATER, Watched};

struct Later {
    timer: Timer,
    /// The timer is set; only who sets this may set that.
    set: AtomicBool,
}

static TIMER: Once<Arc<Later>> = Once::new();

impl Expire for Later {
    /// Under load somebody looks at the card again and again, and sends what is held: then nothing is to be done here
    /// but to go on watching, which need not take a switch to another thread.
    fn rests(&self, now: u64) -> Option<u64> {
        // Before the questions, as below.
        self.set.swap(false, Ordering::SeqCst);
        let until = match poll::aged() {
            Some(true) => return None,
            Some(false) => now + LATER,
            None => match net().watched() {
                Watched::Now => now + LATER,
                Watched::Asleep => u64::MAX,
                Watched::No => {
                    net().hand_over();
                    u64::MAX
                }
            },
        };
        // Somebody who has set this meanwhile sets the timer, too.
        if until == u64::MAX || self.set.swap(true, Ordering::SeqCst) { Some(u64::MAX) } else { Some(until) }
    }
    fn expire(&self) {
        // Before the question what is held: see `poll::holds`.
        self.set.swap(false, Ordering::SeqCst);
        poll::settle();
        net().overdue();
    }
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

/// Makes the timer; without memory for it, nothing is put off.
pub(super) fn init() {
    if let Ok(later) = owned(|me, timer| Later { timer: timer(me), set: AtomicBool::new(false) }) {
        TIMER.set(|| later);
    }
}

/// See [`libos_net::config::Hooks::later`].
pub(super) fn later(ns: u64) -> bool {
    let Some(later) = TIMER.get().filter(|_| idle_mask() == 0) else { return false };
    if !later.set.load(Ordering::Relaxed) && !later.set.swap(true, Ordering::Acquire) {
        later.timer.set(time::after(ns));
    }
    true
}
