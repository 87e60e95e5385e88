//! setitimer(ITIMER_REAL) and alarm: the one interval timer of the process that sends SIGALRM.
//!
//! As on Linux: once expired, it rests until a SIGALRM of the process is taken, so that one that is blocked or
//! ignored costs nothing.

use super::wall::When;
use super::{Expire, Setting, Timer};
use crate::signal::{self, Info, SIGALRM};
use alloc::sync::{Arc, Weak};
use libos_base::sync::{Mutex, Once, class};
use libos_base::{Result, time};

struct Alarm {
    timer: Timer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    setting: Setting,
    /// It expired, and no SIGALRM has been taken since.
    resting: bool,
}

static ALARM: Once<Arc<Alarm>> = Once::new();

impl State {
    /// (time left, interval). Nothing is left while it rests.
    fn left(&self) -> (u64, u64) {
        if self.resting { (0, self.setting.interval) } else { self.setting.left(time::monotonic_ns()) }
    }
}

impl Expire for Alarm {
    fn expire(&self) {
        {
            let mut s = self.state.lock();
            let now = time::monotonic_ns();
            if s.resting || !s.setting.is_due(now) {
                return;
            }
            if s.setting.interval == 0 {
                s.setting.take(now);
            } else {
                s.resting = true;
            }
        }
        // A standard signal: posting cannot fail.
        let _ = signal::post_process_info(Info::kernel(SIGALRM));
    }
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

/// A SIGALRM of the process was taken.
fn taken() {
    if let Some(a) = ALARM.get() {
        let mut s = a.state.lock();
        if s.resting {
            s.resting = false;
            s.setting.take(time::monotonic_ns());
            a.timer.set(s.setting.deadline);
        }
    }
}

fn alarm() -> Result<&'static Arc<Alarm>> {
    signal::ON_ALARM_TAKEN.provide(&(taken as fn()));
    ALARM.get_or_try(|| {
        super::owned(|me: Weak<Alarm>, timer| Alarm {
            timer: timer(me),
            state: Mutex::new(class::INTERVAL_TIMER, State::default()),
        })
    })
}

/// Sets it (0: off); returns the (time left, interval) before, in nanoseconds. ENOMEM.
pub fn set(value_ns: u64, interval_ns: u64) -> Result<(u64, u64)> {
    let a = alarm()?;
    let mut s = a.state.lock();
    let old = s.left();
    let first = if value_ns == 0 { When::default() } else { When::after(value_ns) };
    *s = State { setting: Setting::new(first, interval_ns), resting: false };
    a.timer.cancel();
    if s.setting.armed() {
        a.timer.set(s.setting.deadline);
    }
    Ok(old)
}

/// (time left, interval).
pub fn get() -> (u64, u64) {
    ALARM.get().map_or((0, 0), |a| a.state.lock().left())
}
