//! Times of day, which come earlier or later when the wall clock is set.
//!
//! A wait for a time of day is a wait on the monotonic clock until where that time lies now. A step of the wall clock
//! wakes the threads in such waits, and notifies the timers that are set so; each works out its deadline again. A
//! waiter announces itself first and reads the clock second; a step changes the clock first and looks for waiters
//! second. So none is missed.

use super::cpu_clock::Source;
use crate::sched::{current, for_each_thread};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering::*;
use libos_base::Result;
use libos_base::sync::{SpinLock, class};
use libos_base::thread::{self, FOREVER, Park, Wake};
use libos_base::time::{NS, monotonic_ns, realtime_ns};

/// The clock that a point in time refers to.
#[derive(Clone, Copy, Default)]
pub enum Line {
    /// Nanoseconds since boot.
    #[default]
    Monotonic,
    /// Nanoseconds since 1970.
    Wall,
    /// Nanoseconds of processor time, used by the one whom the number identifies.
    Cpu(&'static Source, u32),
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::Monotonic, Self::Monotonic) | (Self::Wall, Self::Wall) => true,
            (Self::Cpu(a, n), Self::Cpu(b, m)) => core::ptr::eq(a, b) && n == m,
            _ => false,
        }
    }
}

impl Line {
    /// The time now.
    pub fn now(self) -> u64 {
        match self {
            Self::Monotonic => monotonic_ns(),
            Self::Wall => realtime_ns(),
            Self::Cpu(source, who) => source.now(who),
        }
    }
}

/// A point in time.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct When {
    /// [`FOREVER`]: never.
    pub ns: u64,
    /// The clock that it is a time of.
    pub line: Line,
}

/// How often a wait for a time of day checks whether the machine was stopped meanwhile; see `wallclock`.
const LOOK_NS: u64 = 60 * NS;

impl When {
    /// A time that never comes.
    pub const NEVER: Self = Self { ns: FOREVER, line: Line::Monotonic };

    /// `ns` from now, whatever happens to the wall clock.
    pub fn after(ns: u64) -> Self {
        Self { ns: libos_base::time::after(ns), line: Line::Monotonic }
    }

    /// Where it lies on the monotonic clock, as the wall clock is set now. A time that is far away is given as nearer,
    /// so that it is checked again.
    pub fn monotonic(self) -> u64 {
        match self.line {
            _ if self.ns == FOREVER => FOREVER,
            Line::Monotonic => self.ns,
            Line::Wall => monotonic_ns().saturating_add(self.ns.saturating_sub(realtime_ns()).min(LOOK_NS)),
            Line::Cpu(source, who) => source.monotonic(who, self.ns),
        }
    }
}

/// [`thread::park`] to a point in time.
pub fn park(until: When, interruptible: bool) -> Wake {
    let wake = match until.line {
        Line::Monotonic => return thread::park(until.ns, interruptible),
        Line::Wall => {
            super::wallclock::check();
            let waits = &current().waits_for_wall;
            waits.store(true, SeqCst);
            let wake = thread::park(until.monotonic(), interruptible);
            waits.store(false, Relaxed);
            wake
        }
        Line::Cpu(..) => thread::park(until.monotonic(), interruptible),
    };
    // The clock was set back at the last moment, or this was only to check whether the machine stood still or how much
    // was used.
    if wake == Wake::Timeout && until.line.now() < until.ns { Wake::Token } else { wake }
}

/// What is notified of steps of the wall clock.
pub trait OnStep: Send + Sync {
    /// The wall clock was stepped. No lock is held.
    fn stepped(&self);
}

static STEP_WATCHERS: SpinLock<Vec<Weak<dyn OnStep>>> = SpinLock::new(class::WALL_WATCHERS, Vec::new());

/// Notifies `who` of steps from now on, as long as it exists, if it is set to a time of day and not `told` yet. ENOMEM.
pub fn tell_of_steps<T: OnStep + 'static>(first: When, who: &Weak<T>, told: &mut bool) -> Result<()> {
    if first.line == Line::Wall && !*told {
        tell(who.clone())?;
        *told = true;
    }
    Ok(())
}

fn tell(who: Weak<dyn OnStep>) -> Result<()> {
    let mut watchers = STEP_WATCHERS.lock();
    watchers.retain(|w| w.strong_count() > 0);
    watchers.try_reserve(1)?;
    watchers.push(who);
    Ok(())
}

/// The wall clock was set.
pub fn stepped() {
    for_each_thread(|t| {
        if t.waits_for_wall.load(SeqCst) {
            t.unpark();
        }
    });
    // From the end: what leaves the list meanwhile moves others towards the front.
    let mut i = STEP_WATCHERS.lock().len();
    while i > 0 {
        i -= 1;
        let who: Option<Arc<dyn OnStep>> = STEP_WATCHERS.lock().get(i).and_then(Weak::upgrade);
        if let Some(who) = who {
            who.stepped();
        }
    }
}
