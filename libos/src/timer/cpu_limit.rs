//! RLIMIT_CPU: SIGXCPU at the soft limit and at every second of processor time after it, SIGKILL at the hard limit.
//!
//! A timer expires when the processors could have used up what is left, if all of them ran the program until then.

use super::watch::Watch;
use crate::sched;
use crate::signal::{self, SIGKILL, SIGXCPU};
use alloc::sync::Arc;
use libos_base::Result;
use libos_base::limits::{self, INFINITY};
use libos_base::sync::Once;
use libos_base::time::{NS, monotonic_ns};

/// How late a signal may be.
const GRAIN_NS: u64 = NS / 50;

static WATCH: Once<Arc<Watch<()>>> = Once::new();

/// Sets the limit with `set` and watches it from then on. ENOMEM.
pub fn change(set: impl FnOnce() -> Result<()>) -> Result<()> {
    Watch::change(&WATCH, (), look, set)
}

fn look(watch: &Watch<()>) {
    let _one = watch.state.lock();
    watch.timer.cancel();
    let used = sched::process_cpu_ns();
    let (soft, hard) = limits::CPU.get();
    if used / NS >= hard {
        signal::post_process(SIGKILL);
        return;
    }
    // A limit of 0 would end the program at once; Linux gives it a second.
    let mut next = soft.max(1);
    if used / NS >= next {
        signal::post_process(SIGXCPU);
        next = used / NS + 1;
        limits::CPU.set_soft(next);
    }
    let next = next.min(hard);
    if next != INFINITY {
        let left = next.saturating_mul(NS) - used;
        let cpus = crate::arch::percpu::count_online() as u64;
        watch.timer.set(monotonic_ns().saturating_add((left / cpus).max(GRAIN_NS)));
    }
}
