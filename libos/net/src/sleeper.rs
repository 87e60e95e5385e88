//! Who looks at the card.
//!
//! Under load its interrupt is off: a thread that has nothing left to do looks at the card itself before it sleeps, and
//! goes on with what it finds. Only a thread that does sleep arms the interrupt, and then that thread is woken, not the
//! network thread. This is what NAPI does with its poll loop, in the thread that wants the data.
//!
//! A program may also compute for long while the interrupt is off, or waits where nobody looks. An interrupt that finds
//! no sleeper is therefore put off only while every processor is busy, and for [`SOON`] only if nobody looks meanwhile.

use crate::net::Net;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use libos_base::sync::{IrqSpinLock, class};
use libos_base::thread::{self, Park, Wake};
use libos_base::time::{self, NS};

/// How long an interrupt may be put off.
const SOON: u64 = NS / 1000;
/// The same while threads look by themselves.
pub(crate) const LATER: u64 = 4 * SOON;
/// Looks in a row before a thread goes back to its own work.
const LOOKS: usize = 4;

/// See the module.
pub(crate) struct Watch {
    sleeper: IrqSpinLock<Option<Sleeper>>,
    /// The card has interrupted since the last look.
    pub interrupted: AtomicBool,
    /// How often threads have looked, and how often as of the last [`Net::overdue`].
    looks: AtomicU32,
    seen: AtomicU32,
}

struct Sleeper {
    thread: Arc<dyn Park>,
    called: bool,
}

impl Watch {
    pub const fn new() -> Self {
        Self {
            sleeper: IrqSpinLock::new(class::NET_SLEEPER, None),
            interrupted: AtomicBool::new(false),
            looks: AtomicU32::new(0),
            seen: AtomicU32::new(0),
        }
    }

    /// A thread is about to sleep. It takes the place of an earlier one, which is idle for longer.
    fn enter(&self, thread: &Arc<dyn Park>) {
        let earlier = self.sleeper.lock().replace(Sleeper { thread: thread.clone(), called: false });
        // Not under the lock: it may be the last that is left of that thread.
        drop(earlier);
    }

    /// It is awake. Returns whether the card has called it.
    fn leave(&self, thread: &Arc<dyn Park>) -> bool {
        let left = self.sleeper.lock().take_if(|s| Arc::ptr_eq(&s.thread, thread));
        left.is_some_and(|s| s.called)
    }

    /// Wakes the sleeper, if there is one.
    fn call(&self) -> bool {
        let mut sleeper = self.sleeper.lock();
        let Some(s) = &mut *sleeper else { return false };
        s.called = true;
        s.thread.unpark();
        true
    }

    fn occupied(&self) -> bool {
        self.sleeper.lock().is_some()
    }

    /// A thread has looked at the card.
    pub fn looked(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }
}

impl Net {
    /// For a thread that has nothing to do: takes in what the card has.
    pub fn look(&self) {
        if self.has_card {
            self.poll();
        }
    }

    /// [`thread::park`], interruptibly, by a thread that looks at the card when that has something. Wake-ups may be
    /// spurious.
    pub fn park(&self, deadline_ns: u64) -> Wake {
        if !self.has_card {
            return thread::park(deadline_ns, true);
        }
        let me = thread::current();
        self.watch.enter(&me);
        let more = self.arm();
        let wake = if more { Wake::Token } else { thread::park(deadline_ns, true) };
        if !self.watch.leave(&me) && !more {
            return wake;
        }
        self.take_in();
        // Frames that never end must not keep signals and the deadline away.
        match wake {
            Wake::Token => match thread::park(0, true) {
                Wake::Timeout if time::monotonic_ns() < deadline_ns => Wake::Token,
                wake => wake,
            },
            wake => wake,
        }
    }

    /// Takes in what the card has, and has it interrupt for what comes after that.
    fn take_in(&self) {
        for _ in 0..LOOKS {
            self.poll();
            if !self.arm() {
                return;
            }
        }
        self.put_off(SOON);
    }

    /// For the card's interrupt.
    pub fn interrupt(&self) {
        self.watch.interrupted.store(true, Ordering::Release);
        if !self.watch.call() {
            self.put_off(SOON);
        }
    }

    fn put_off(&self, ns: u64) {
        if !self.hooks().later(ns) {
            self.wake_worker();
        }
    }

    /// For [`Hooks::later`](crate::config::Hooks::later).
    pub fn overdue(&self) {
        let looks = self.watch.looks.load(Ordering::Relaxed);
        if self.watch.occupied() {
            // It has armed the interrupt, or is on its way to look.
        } else if self.watch.seen.swap(looks, Ordering::Relaxed) != looks {
            self.put_off(LATER);
        } else {
            self.take_in();
        }
    }
}
