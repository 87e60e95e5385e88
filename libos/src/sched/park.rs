//! Parking the running thread, and waking others. The protocol is in [`super::state`].

use super::hw;
use super::run::{Leaving, enqueue, schedule};
use super::thread::{Thread, arc_of, current};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use libos_base::sync::{Provider, check};
use libos_base::thread::{FOREVER, Park, Wake};
use libos_base::time;

/// See [`libos_base::thread::park`].
pub(crate) fn park(deadline_ns: u64, interruptible: bool) -> Wake {
    check::may_wait();
    let me = current();
    if me.state.take_token() {
        return Wake::Token;
    }
    let timed = deadline_ns != FOREVER;
    if timed {
        if interruptible && me.is_program && me.signals.interrupts_park() {
            return Wake::Interrupted;
        }
        if time::monotonic_ns() >= deadline_ns {
            return Wake::Timeout;
        }
    }
    if interruptible {
        before_wait(me.tid);
    }
    let irq = hw::disable_interrupts();
    let wake = if me.state.begin_park(interruptible) {
        // A sender posts its signal first and looks for a parked thread second; we park first and look for signals
        // second: one of the two sees it. Our own exchange back may lose to one that has already enqueued us.
        let cancelled = interruptible && me.is_program && me.signals.interrupts_park() && me.state.interrupt();
        if !cancelled {
            if timed {
                me.timer.set(deadline_ns);
            }
            schedule(Leaving::Parked);
            if timed {
                me.timer.cancel();
            }
        }
        me.state.end_park()
    } else {
        Wake::Token
    };
    hw::restore_interrupts(irq);
    wake
}

/// The id of the thread whose next wait is reported, 0 for none.
static WATCHED: AtomicU32 = AtomicU32::new(0);
/// What it is reported to.
static TELL: Provider<fn()> = Provider::new();

/// Has `tell` called once, when the running thread is about to wait for something that a signal would interrupt, but
/// has not begun to: `tell` must not wait, which would use up the wake-up that this thread is waiting for.
pub fn tell_next_wait(tell: &'static fn()) {
    TELL.provide(tell);
    WATCHED.store(current().tid, Relaxed);
}

#[inline]
fn before_wait(tid: u32) {
    if WATCHED.load(Relaxed) == tid {
        WATCHED.store(0, Relaxed);
        if let Some(tell) = TELL.get() {
            tell();
        }
    }
}

impl Park for Thread {
    fn unpark(&self) {
        if self.state.unpark() {
            enqueue(arc_of(self));
        }
    }
}

/// Unparks a thread that waits for `mark`, and ends no sooner: nothing else need keep it alive.
#[inline]
pub fn unpark_marked(t: &Thread, mark: impl FnOnce()) {
    if t.state.unpark() {
        // It does not run before it is enqueued.
        mark();
        enqueue(arc_of(t));
    } else {
        // It runs, and may end as soon as it sees the mark; the token may be used up by then.
        let t = arc_of(t);
        mark();
        t.unpark();
    }
}

/// Waking for reasons other than a token.
pub trait Unpark {
    /// The deadline of its park passed.
    fn time_out(&self);
    /// A signal is pending.
    fn interrupt(&self);
}

impl Unpark for Thread {
    fn time_out(&self) {
        if self.state.time_out() {
            enqueue(arc_of(self));
        }
    }
    fn interrupt(&self) {
        if self.state.interrupt() {
            enqueue(arc_of(self));
        }
    }
}
