//! RLIMIT_CPU: SIGXCPU at the soft limit and at every second of processor time after it, SIGKILL at the hard limit.
//!
//! A timer expires when the processors could have used up what is left, if all of them ran the program until then.

use super::{Expire, Timer};
use crate::sched;
use crate::signal::{self, SIGKILL, SIGXCPU};
use alloc::sync::{Arc, Weak};
use libos_base::Result;
use libos_base::limits::{self, INFINITY};
use libos_base::sync::{Mutex, Once, class};
use libos_base::time::{NS, monotonic_ns};

/// How late a signal may be.
const GRAIN_NS: u64 = NS / 50;

struct Watch {
    timer: Timer,
    /// Only one thread at a time may set the timer.
    lock: Mutex<()>,
}

static WATCH: Once<Arc<Watch>> = Once::new();

impl Expire for Watch {
    fn expire(&self) {
        self.look();
    }
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

impl Watch {
    fn look(&self) {
        let _one = self.lock.lock();
        self.timer.cancel();
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
            self.timer.set(monotonic_ns().saturating_add((left / cpus).max(GRAIN_NS)));
        }
    }
}

/// Sets the limit with `set` and watches it from then on. ENOMEM.
pub fn change(set: impl FnOnce() -> Result<()>) -> Result<()> {
    let watch = WATCH.get_or_try(|| {
        super::owned(|me: Weak<Watch>, timer| Watch { timer: timer(me), lock: Mutex::new(class::CPU_LIMIT, ()) })
    })?;
    set()?;
    watch.look();
    Ok(())
}
