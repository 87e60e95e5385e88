//! RLIMIT_RTTIME: how long a real-time thread may run without waiting for anything. SIGXCPU at the soft limit and at every
//! second after it, SIGKILL at the hard limit (getrlimit(2)).
//!
//! Once it is set, threads are looked at so often that a signal is late by no more than a tick of Linux; while none of
//! them is a real-time thread that could run, less often.

use super::watch::Watch;
use crate::sched;
use crate::signal::{self, SIGKILL, SIGXCPU};
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::Result;
use libos_base::limits::{self, INFINITY};
use libos_base::sync::Once;
use libos_base::time;

const LOOK_NS: u64 = time::NS / 250;
const LOOK_IDLE_NS: u64 = time::NS / 10;

/// Since when a thread has run without waiting.
struct Stint {
    tid: u32,
    waits: u64,
    /// Its processor time then.
    from_ns: u64,
}

static WATCH: Once<Arc<Watch<Vec<Stint>>>> = Once::new();

/// Sets the limit with `set` and watches it from then on. ENOMEM.
pub fn change(set: impl FnOnce() -> Result<()>) -> Result<()> {
    Watch::change(&WATCH, Vec::new(), look, set)
}

fn look(watch: &Watch<Vec<Stint>>) {
    let mut stints = watch.state.lock();
    watch.timer.cancel();
    let (soft, hard) = limits::RTTIME.get();
    if soft == INFINITY {
        return;
    }
    let (mut longest, mut any, mut known) = (0, false, Vec::new());
    sched::for_each_thread(|t| {
        if t.setting().priority == 0 {
            return;
        }
        any |= t.is_runnable();
        let (tid, waits, now) = (t.tid, t.waits(), t.cpu_ns());
        let before = stints.iter().find(|s| s.tid == tid && s.waits == waits);
        let from_ns = before.map_or(now, |s| s.from_ns);
        // What is read while a thread leaves its processor may lack its last turn.
        longest = longest.max(now.saturating_sub(from_ns));
        // One that does not fit is looked at as if it began to run now.
        if known.try_reserve(1).is_ok() {
            known.push(Stint { tid, waits, from_ns });
        }
    });
    *stints = known;
    drop(stints);
    let longest = longest / 1000;
    if longest > hard {
        signal::post_process(SIGKILL);
        return;
    }
    if longest > soft {
        signal::post_process(SIGXCPU);
        limits::RTTIME.set_soft(soft.saturating_add(time::NS / 1000));
    }
    let _one = watch.state.lock();
    watch.timer.set(time::after(if any { LOOK_NS } else { LOOK_IDLE_NS }));
}
