//! timer_create and its family.
//!
//! As on Linux, a timer has one signal. Once that is pending, a periodic timer rests; when the signal is taken, the
//! expiries that have passed meanwhile become its overrun, and the timer is set to the next one. While the signal is
//! ignored the timer rests as well.

use super::wall::{self, Line, OnStep, When};
use super::{Expire, Setting, Timer};
use crate::signal::{self, Expiry, Info, Sent, code};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use libos_base::sync::{Mutex, class};
use libos_base::{Errno, Result};

/// How an expiry is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// SIGEV_NONE.
    Nothing,
    /// A signal: to a thread (SIGEV_THREAD_ID, which libc also uses for SIGEV_THREAD), or to the process
    /// (SIGEV_SIGNAL).
    Signal { tid: Option<u32>, signo: i32, value: u64 },
}

#[derive(Default)]
struct State {
    setting: Setting,
    /// Expiries beyond the first that the last signal taken stood for.
    overrun: i32,
    /// Changes with each setting and each signal taken: a signal with another number is void.
    number: u32,
    /// It expired, and its signal is on the way.
    resting: bool,
    /// It rests because its signal was ignored.
    ignored: bool,
    /// Is told of steps of the wall clock.
    watches_steps: bool,
}

/// A timer of the program.
pub struct PosixTimer {
    me: Weak<Self>,
    timer: Timer,
    /// The line of the clock that it was made for.
    pub line: Line,
    id: usize,
    notify: Notify,
    state: Mutex<State>,
}

/// All timers, by id.
static ALL: Mutex<Vec<Option<Arc<PosixTimer>>>> = Mutex::new(class::POSIX_TIMERS, Vec::new());

impl State {
    /// Sets the timer to the next expiry.
    fn arm(&self, timer: &Timer) {
        if !self.resting {
            self.setting.arm(timer);
        }
    }
}

impl Expire for PosixTimer {
    fn expire(&self) {
        super::wallclock::check();
        let mut s = self.state.lock();
        if s.resting || !s.setting.armed() || self.notify == Notify::Nothing {
            return;
        }
        let now = s.setting.line.now();
        if now < s.setting.deadline {
            return s.arm(&self.timer);
        }
        if s.setting.interval == 0 {
            s.setting.advance(now);
        } else {
            s.resting = true;
        }
        let number = s.number;
        drop(s);
        self.send(number);
    }
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

impl Expiry for PosixTimer {
    fn taken(&self, number: u32) -> Option<i32> {
        let mut s = self.state.lock();
        if s.number != number {
            return None;
        }
        if !s.resting {
            return Some(0);
        }
        let now = s.setting.line.now();
        // Even if the clock was set back since, the expiry has happened.
        let expiries = s.setting.take(now).max(1);
        s.overrun = i32::try_from(expiries - 1).unwrap_or(i32::MAX);
        s.number += 1;
        s.resting = false;
        s.arm(&self.timer);
        Some(s.overrun)
    }
    fn ignored(&self, number: u32) {
        let mut s = self.state.lock();
        s.ignored = s.number == number && s.resting;
    }
}

impl OnStep for PosixTimer {
    fn stepped(&self) {
        self.state.lock().arm(&self.timer);
    }
}

/// A signal is no longer ignored: sends what expired in the meantime.
fn heeded(signo: i32) {
    let mut id = 0;
    loop {
        let timer = match ALL.lock().get(id) {
            None => return,
            Some(t) => t.clone(),
        };
        id += 1;
        if let Some(t) = timer
            && matches!(t.notify, Notify::Signal { signo: s, .. } if s == signo)
        {
            let number = {
                let mut s = t.state.lock();
                core::mem::take(&mut s.ignored).then_some(s.number)
            };
            if let Some(number) = number {
                t.send(number);
            }
        }
    }
}

/// Makes a timer; returns its id. `None`: SIGALRM with the id as its value. EAGAIN when there are too many.
pub fn create(line: Line, notify: Option<Notify>) -> Result<usize> {
    signal::ON_HEEDED.provide(&(heeded as fn(i32)));
    let mut all = ALL.lock();
    let id = match all.iter().position(Option::is_none) {
        Some(id) => id,
        None => {
            all.try_reserve(1)?;
            all.push(None);
            all.len() - 1
        }
    };
    let notify = notify.unwrap_or(Notify::Signal { tid: None, signo: signal::SIGALRM, value: id as u64 });
    let made = super::owned(|me: Weak<PosixTimer>, timer| PosixTimer {
        timer: timer(me.clone()),
        me,
        line,
        id,
        notify,
        state: Mutex::new(class::POSIX_TIMER, State::default()),
    })?;
    signal::for_timers(made.target(), |q| q.add_timer()).unwrap_or(Ok(()))?;
    all[id] = Some(made);
    Ok(id)
}

/// The timer with this id; EINVAL.
pub fn find(id: usize) -> Result<Arc<PosixTimer>> {
    ALL.lock().get(id).and_then(Clone::clone).ok_or(Errno::EINVAL)
}

/// Removes it; EINVAL. A pending signal of it becomes void.
pub fn delete(id: usize) -> Result<()> {
    let gone = ALL.lock().get_mut(id).and_then(Option::take).ok_or(Errno::EINVAL)?;
    gone.set(When::default(), 0)?;
    signal::for_timers(gone.target(), |q| q.remove_timer());
    Ok(())
}

impl PosixTimer {
    /// The thread whose queue its signal goes to; `None`: the process's.
    fn target(&self) -> Option<u32> {
        match self.notify {
            Notify::Signal { tid, .. } => tid,
            Notify::Nothing => None,
        }
    }

    fn send(&self, number: u32) {
        let (Notify::Signal { tid, signo, value }, Some(me)) = (self.notify, self.me.upgrade()) else { return };
        let info = Info { signo, code: code::TIMER, word16: self.id as u64, word24: value, ..Info::default() };
        let busy = matches!(self.line, Line::Cpu(..));
        if signal::post_timer(tid, info, me, number, busy) == Sent::Ignored {
            self.ignored(number);
        }
    }

    /// Sets it (0: off); returns the (time left, interval) before. ENOMEM.
    pub fn set(&self, first: When, interval_ns: u64) -> Result<(u64, u64)> {
        let mut s = self.state.lock();
        wall::tell_of_steps(first, &self.me, &mut s.watches_steps)?;
        let old = s.setting.left_now();
        self.timer.cancel();
        *s = State {
            setting: Setting::new(first, interval_ns),
            number: s.number + 1,
            watches_steps: s.watches_steps,
            ..State::default()
        };
        if self.notify != Notify::Nothing {
            s.arm(&self.timer);
        }
        Ok(old)
    }

    /// (time left, interval).
    pub fn get(&self) -> (u64, u64) {
        self.state.lock().setting.left_now()
    }

    /// Expirations that the last signal stands for, beyond the first.
    pub fn overrun(&self) -> usize {
        self.state.lock().overrun as usize
    }
}
