//! timer_create and its family.

use super::{Expire, Setting, Timer};
use crate::sched;
use crate::signal::{self, Info, code};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use libos_base::sync::Mutex;
use libos_base::{Errno, Result, time};

/// How an expiry is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// SIGEV_NONE.
    Nothing,
    /// SIGEV_SIGNAL.
    Process { signo: i32, value: u64 },
    /// SIGEV_THREAD_ID (libc's SIGEV_THREAD is made of it).
    Thread { tid: u32, signo: i32, value: u64 },
}

struct State {
    setting: Setting,
    overrun: i32,
}

/// A timer of the program.
pub struct PosixTimer {
    timer: Timer,
    /// The clock it was made for.
    pub clock: i32,
    id: usize,
    notify: Option<Notify>,
    state: Mutex<State>,
}

/// By id. Linux's limit is RLIMIT_SIGPENDING; this is its usual order of magnitude.
static ALL: Mutex<Vec<Option<Arc<PosixTimer>>>> = Mutex::new(Vec::new());
const MAX: usize = 4096;

impl Expire for PosixTimer {
    fn expire(&self) {
        let n = {
            let mut s = self.state.lock();
            let n = s.setting.take(time::monotonic_ns());
            if n > 0 {
                s.overrun = i32::try_from(n - 1).unwrap_or(i32::MAX);
            }
            if s.setting.armed() {
                self.timer.set(s.setting.deadline);
            }
            n
        };
        if n == 0 {
            return;
        }
        let info = |signo, value| Info {
            signo,
            code: code::SI_TIMER,
            word16: self.id as u64 | (n - 1).min(i32::MAX as u64) << 32,
            word24: value,
            ..Info::default()
        };
        // A full queue loses the expiry, as an overrun does; a thread that ended takes its timer's signals along.
        let _ = match self.notify {
            None | Some(Notify::Nothing) => Ok(()),
            Some(Notify::Process { signo, value }) => signal::post_process_info(info(signo, value)),
            Some(Notify::Thread { tid, signo, value }) => match sched::find(tid) {
                Some(t) => signal::post_thread(&t, info(signo, value)),
                None => Ok(()),
            },
        };
    }
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

/// Makes a timer; its id. `None`: SIGALRM with the id as its value. EAGAIN when there are too many.
pub fn create(clock: i32, notify: Option<Notify>) -> Result<usize> {
    let mut all = ALL.lock();
    let id = match all.iter().position(Option::is_none) {
        Some(id) => id,
        None if all.len() >= MAX => return Err(Errno::EAGAIN),
        None => {
            all.try_reserve(1)?;
            all.push(None);
            all.len() - 1
        }
    };
    let notify = notify.or(Some(Notify::Process { signo: signal::SIGALRM, value: id as u64 }));
    all[id] = Some(super::owned(|me: Weak<PosixTimer>, timer| PosixTimer {
        timer: timer(me),
        clock,
        id,
        notify,
        state: Mutex::new(State { setting: Setting::default(), overrun: 0 }),
    })?);
    Ok(id)
}

/// The timer with this id; EINVAL.
pub fn find(id: usize) -> Result<Arc<PosixTimer>> {
    ALL.lock().get(id).and_then(Clone::clone).ok_or(Errno::EINVAL)
}

/// Removes it; EINVAL.
pub fn delete(id: usize) -> Result<()> {
    let gone = ALL.lock().get_mut(id).and_then(Option::take);
    // Outside the table's lock: dropping waits for the timer heap's.
    gone.map(|t| t.set(0, 0)).ok_or(Errno::EINVAL).map(|_| ())
}

impl PosixTimer {
    /// Sets it (0: off); (time left, interval) of before.
    pub fn set(&self, deadline_ns: u64, interval_ns: u64) -> (u64, u64) {
        let mut s = self.state.lock();
        let old = s.setting.left(time::monotonic_ns());
        s.setting = Setting::new(deadline_ns, interval_ns);
        self.timer.cancel();
        if s.setting.armed() {
            self.timer.set(deadline_ns);
        }
        old
    }

    /// (time left, interval).
    pub fn get(&self) -> (u64, u64) {
        self.state.lock().setting.left(time::monotonic_ns())
    }

    /// Expirations that the last signal stands for, beyond the first.
    pub fn overrun(&self) -> usize {
        self.state.lock().overrun as usize
    }
}
