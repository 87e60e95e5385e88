//! setitimer(ITIMER_REAL) and alarm: the one interval timer of the process that sends SIGALRM.

use super::{Expire, Setting, Timer};
use crate::signal::{self, Info, SIGALRM};
use alloc::sync::{Arc, Weak};
use libos_base::sync::{Mutex, Once};
use libos_base::{Result, time};

struct Alarm {
    timer: Timer,
    setting: Mutex<Setting>,
}

static ALARM: Once<Arc<Alarm>> = Once::new();

impl Expire for Alarm {
    fn expire(&self) {
        let n = {
            let mut s = self.setting.lock();
            let n = s.take(time::monotonic_ns());
            if s.armed() {
                self.timer.set(s.deadline);
            }
            n
        };
        if n > 0 {
            // A standard signal: posting cannot fail.
            let _ = signal::post_process_info(Info::kernel(SIGALRM));
        }
    }
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

fn alarm() -> Result<&'static Arc<Alarm>> {
    if let Some(a) = ALARM.get() {
        return Ok(a);
    }
    let a = super::owned(|me: Weak<Alarm>, timer| Alarm { timer: timer(me), setting: Mutex::new(Setting::default()) })?;
    Ok(ALARM.set(|| a))
}

/// Sets it (0: off); (time left, interval) of before, in nanoseconds. ENOMEM.
pub fn set(value_ns: u64, interval_ns: u64) -> Result<(u64, u64)> {
    let a = alarm()?;
    let now = time::monotonic_ns();
    let mut s = a.setting.lock();
    let old = s.left(now);
    *s = Setting::new(if value_ns == 0 { 0 } else { now.saturating_add(value_ns) }, interval_ns);
    a.timer.cancel();
    if s.armed() {
        a.timer.set(s.deadline);
    }
    Ok(old)
}

/// (time left, interval).
pub fn get() -> (u64, u64) {
    ALARM.get().map_or((0, 0), |a| a.setting.lock().left(time::monotonic_ns()))
}
