//! Clocks of processor time, of the process and of one thread, as what timers and sleeps are set by.
//!
//! Nothing counts while threads run but what the scheduler counts anyway. Where a time lies on the monotonic clock is where it
//! would be reached if whoever uses it up ran on from now, on every processor that it can; it is looked at again then. So a
//! timer is never early, and late by no more than a tick of Linux. A program that waits while such a timer is set wakes the
//! machine for these looks.

use super::wall::{Line, When};
use crate::sched::{self, current};
use libos_base::thread::FOREVER;
use libos_base::time::{NS, monotonic_ns};

/// How late an expiry may be.
const GRAIN_NS: u64 = NS / 250;

/// What a clock counts. References to it and not its functions are in [`Line`], so that programs without such timers do not
/// link them.
pub struct Source {
    /// Processor time used by now; `None`: the thread is gone.
    used: fn(u32) -> Option<u64>,
    /// How many times faster than the monotonic clock it may go.
    rate: fn() -> u64,
}

static PROCESS: Source =
    Source { used: |_| Some(sched::process_cpu_ns()), rate: || sched::online_mask().count_ones().into() };
static THREAD: Source = Source { used: |tid| sched::find(tid).map(|t| t.cpu_ns()), rate: || 1 };

/// The process's.
pub fn of_process() -> Line {
    Line::Cpu(&PROCESS, 0)
}
/// A thread's.
pub fn of_thread(tid: u32) -> Line {
    Line::Cpu(&THREAD, tid)
}
/// The running thread's, which a thread that waits does not use.
pub fn is_own(line: Line) -> bool {
    line == of_thread(current().tid)
}

/// Whether the thread is gone whose time it is.
pub fn is_gone(line: Line) -> bool {
    matches!(line, Line::Cpu(source, who) if (source.used)(who).is_none())
}

impl Source {
    pub(super) fn now(&self, who: u32) -> u64 {
        (self.used)(who).unwrap_or(0)
    }
    pub(super) fn monotonic(&self, who: u32, ns: u64) -> u64 {
        match (self.used)(who) {
            // Nobody uses time any more.
            None => FOREVER,
            Some(used) => {
                let left = ns.saturating_sub(used);
                monotonic_ns().saturating_add(if left == 0 { 0 } else { (left / (self.rate)()).max(GRAIN_NS) })
            }
        }
    }
}

impl Line {
    /// A time of this line that is `ns` away: of the wall clock too, whatever happens to that, by the monotonic one.
    pub fn after(self, ns: u64) -> When {
        match self {
            Line::Cpu(..) => When { ns: self.now().saturating_add(ns), line: self },
            Line::Monotonic | Line::Wall => When::after(ns),
        }
    }
}
