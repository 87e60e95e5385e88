//! Clocks of processor time, of the process and of one thread, which timers and sleeps can be set by.
//!
//! Nothing is counted while threads run beyond what the scheduler counts anyway. A time of such a clock lies on the
//! monotonic clock where it would be reached if its users ran on from now, on every processor that they can; then the
//! clock is checked again. So a timer is never early, and late by no more than a tick of Linux. A program that waits
//! while such a timer is set wakes the machine for these checks.

use super::wall::{Line, When};
use crate::sched::{self, current};
use libos_base::thread::FOREVER;
use libos_base::time::{NS, monotonic_ns};

/// How late an expiry may be.
const GRAIN_NS: u64 = NS / 250;

/// What a clock counts. [`Line`] has references to it rather than its functions, so that programs without such timers
/// do not link them.
pub struct Source {
    /// Processor time used by now; `None`: the thread is gone.
    used: fn(u32) -> Option<u64>,
    /// How many times faster than the monotonic clock it may run.
    rate: fn() -> u64,
}

static PROCESS: Source =
    Source { used: |_| Some(sched::process_cpu_ns()), rate: || sched::online_mask().count_ones().into() };
static THREAD: Source = Source { used: |tid| sched::find(tid).map(|t| t.cpu_ns()), rate: || 1 };

/// The process's clock.
pub fn of_process() -> Line {
    Line::Cpu(&PROCESS, 0)
}
/// A thread's clock.
pub fn of_thread(tid: u32) -> Line {
    Line::Cpu(&THREAD, tid)
}
/// Whether it is the running thread's clock, which stands still while the thread waits.
pub fn is_own(line: Line) -> bool {
    line == of_thread(current().tid)
}

/// Whether the clock's thread is gone.
pub fn is_gone(line: Line) -> bool {
    matches!(line, Line::Cpu(source, who) if (source.used)(who).is_none())
}

impl Source {
    pub(super) fn now(&self, who: u32) -> u64 {
        (self.used)(who).unwrap_or(0)
    }
    pub(super) fn monotonic(&self, who: u32, ns: u64) -> u64 {
        match (self.used)(who) {
            // Nobody uses this time any more.
            None => FOREVER,
            Some(used) => {
                let left = ns.saturating_sub(used);
                monotonic_ns().saturating_add(if left == 0 { 0 } else { (left / (self.rate)()).max(GRAIN_NS) })
            }
        }
    }
}

impl Line {
    /// A time of this line that is `ns` away. For the wall clock too it goes by the monotonic one, whatever happens to
    /// that.
    pub fn after(self, ns: u64) -> When {
        match self {
            Line::Cpu(..) => When { ns: self.now().saturating_add(ns), line: self },
            Line::Monotonic | Line::Wall => When::after(ns),
        }
    }
}
