//! timerfd: expirations that can be read.

use super::wall::{self, Line, OnStep, When};
use super::{Expire, Setting, Timer};
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use libos_base::abi::{ClockId, TimerfdFlags};
use libos_base::file::{Description, FileLike};
use libos_base::io::Sink;
use libos_base::poll::{Events, Pollee, block_on};
use libos_base::sync::{Mutex, class};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result};

/// An open timerfd.
pub struct TimerFd {
    me: Weak<Self>,
    timer: Timer,
    clock: ClockId,
    description: Description,
    state: Mutex<State>,
    pollee: Pollee,
}

#[derive(Default)]
struct State {
    setting: Setting,
    /// TFD_TIMER_CANCEL_ON_SET: steps of the wall clock cancel it.
    cancel_on_set: bool,
    /// There was a step.
    cancelled: bool,
    /// Is told of steps: once it was set to a time of day.
    watches_steps: bool,
}

impl State {
    fn is_due(&self) -> bool {
        self.cancelled || self.setting.is_due(self.setting.line.now())
    }
}

impl TimerFd {
    /// Makes a timerfd that is not set. ENOMEM.
    pub fn new(clock: ClockId, flags: TimerfdFlags) -> Result<Arc<Self>> {
        super::owned(|me: Weak<Self>, timer| Self {
            timer: timer(me.clone()),
            me,
            clock,
            description: Description::both_ways(flags.bits()),
            state: Mutex::new(class::TIMERFD, State::default()),
            pollee: Pollee::new(),
        })
    }

    /// The clock it was made for.
    pub fn clock(&self) -> ClockId {
        self.clock
    }

    /// Sets it (0: off); returns the (time left, interval) before. ECANCELED: it is set, but so was the wall clock
    /// since the last read. ENOMEM.
    pub fn set(&self, first: When, interval_ns: u64, cancel_on_set: bool) -> Result<(u64, u64)> {
        let mut s = self.state.lock();
        wall::tell_of_steps(first, &self.me, &mut s.watches_steps)?;
        let old = s.setting.left_now();
        s.setting = Setting::new(first, interval_ns);
        s.cancel_on_set = cancel_on_set && first.line == Line::Wall;
        self.timer.cancel();
        s.setting.arm(&self.timer);
        let cancelled = core::mem::take(&mut s.cancelled) && s.cancel_on_set && s.setting.armed();
        if cancelled { Err(Errno::ECANCELED) } else { Ok(old) }
    }

    /// (time left, interval).
    pub fn get(&self) -> (u64, u64) {
        self.state.lock().setting.left_now()
    }
}

impl OnStep for TimerFd {
    fn stepped(&self) {
        {
            let mut s = self.state.lock();
            s.cancelled |= s.cancel_on_set;
            // Steps make no difference to relative settings.
            s.setting.arm(&self.timer);
        }
        self.pollee.notify(Events::IN | Events::RDNORM);
    }
}

impl Expire for TimerFd {
    fn expire(&self) {
        super::wallclock::check();
        {
            let s = &mut self.state.lock().setting;
            s.advance(s.line.now());
            s.arm(&self.timer);
        }
        self.pollee.notify(Events::IN | Events::RDNORM);
    }
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

impl FileLike for TimerFd {
    fn description(&self) -> &Description {
        &self.description
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        if dst.left() < 8 {
            return Err(Errno::EINVAL);
        }
        let n = block_on(&self.pollee, self.description.nonblock(), FOREVER, Errno::EAGAIN, || {
            let mut s = self.state.lock();
            let now = s.setting.line.now();
            let n = s.setting.take(now);
            if core::mem::take(&mut s.cancelled) {
                return Some(Err(Errno::ECANCELED));
            }
            if n > 0 {
                s.setting.arm(&self.timer);
            }
            (n > 0).then_some(Ok(n))
        })?;
        dst.put_whole(&n.to_le_bytes()).map(|()| 8)
    }
    fn events(&self) -> Events {
        if self.state.lock().is_due() { Events::IN | Events::RDNORM } else { Events::empty() }
    }
    fn pollee(&self) -> Option<&Pollee> {
        Some(&self.pollee)
    }
    fn describe(&self) -> String {
        String::from("anon_inode:[timerfd]")
    }
}
