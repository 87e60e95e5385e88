//! setitimer(ITIMER_VIRTUAL) and ITIMER_PROF: SIGVTALRM and SIGPROF for processor time of the process. All of it is counted as
//! the user's (as in `getrusage`), so the two behave alike.

use super::cpu_clock;
use super::wall::When;
use super::{Expire, Setting, Timer};
use crate::signal::{self, Info, SIGPROF, SIGVTALRM};
use alloc::sync::{Arc, Weak};
use libos_base::Result;
use libos_base::sync::{Mutex, Once, class};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Virtual,
    Prof,
}

struct Alarm {
    timer: Timer,
    signo: i32,
    setting: Mutex<Setting>,
}

static ALARMS: [Once<Arc<Alarm>>; 2] = [Once::new(), Once::new()];

impl Expire for Alarm {
    fn expire(&self) {
        let expired = {
            let mut s = self.setting.lock();
            let now = s.line.now();
            let n = s.take(now);
            s.arm(&self.timer);
            n > 0
        };
        if expired {
            signal::post_process_busy(Info::kernel(self.signo));
        }
    }
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

fn alarm(which: Which) -> Result<&'static Arc<Alarm>> {
    let signo = if which == Which::Virtual { SIGVTALRM } else { SIGPROF };
    ALARMS[which as usize].get_or_try(|| {
        super::owned(|me: Weak<Alarm>, timer| Alarm {
            timer: timer(me),
            signo,
            setting: Mutex::new(class::CPU_TIMER, Setting::default()),
        })
    })
}

/// Sets it (0: off); returns the (time left, interval) before, in nanoseconds. ENOMEM.
pub fn set(which: Which, value_ns: u64, interval_ns: u64) -> Result<(u64, u64)> {
    let a = alarm(which)?;
    let first = if value_ns == 0 { When::default() } else { cpu_clock::of_process().after(value_ns) };
    let mut s = a.setting.lock();
    let old = s.left_now();
    *s = Setting::new(first, interval_ns);
    a.timer.cancel();
    s.arm(&a.timer);
    Ok(old)
}

/// (time left, interval).
pub fn get(which: Which) -> (u64, u64) {
    ALARMS[which as usize].get().map_or((0, 0), |a| a.setting.lock().left_now())
}
