//! Sending signals.

use crate::pending::{Expiry, Info, PROCESS, SIG_DFL, action, ignored};
use crate::sched::{self, Thread, Unpark};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use libos_base::Result;
use libos_base::abi::signal::{DefaultAction as Act, SigSet, code, default_action, name};
use libos_base::thread::Park;

/// Whether `t` would take `signo` now.
fn wants(t: &Thread, signo: i32) -> bool {
    t.is_program && (!t.signals.blocked().has(signo) || SigSet(t.signals.waited.load(SeqCst)).has(signo))
}

/// Makes `t` notice that something new is pending for it.
fn notify(t: &Thread, signo: i32) {
    if SigSet(t.signals.waited.load(SeqCst)).has(signo) {
        t.unpark();
    }
    if !t.signals.blocked().has(signo) {
        t.interrupt();
        sched::poke(t);
    }
}

/// Whether the signal would have no effect; ignored signals that are blocked stay pending, as their action may change.
fn dropped(signo: i32, t: &Thread) -> bool {
    let a = action(signo);
    if !ignored(signo, &a) || t.signals.blocked().has(signo) {
        return false;
    }
    if a.handler == SIG_DFL && default_action(signo) == Act::Stop {
        static SAID: AtomicBool = AtomicBool::new(false);
        if !SAID.swap(true, Relaxed) {
            libos_base::warn!("{} is ignored: nothing could continue a stopped program here", name(signo));
        }
    }
    true
}

/// What became of a timer's signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is pending.
    Queued,
    /// It is ignored.
    Ignored,
    /// The thread is gone.
    Nowhere,
}

/// Sends the signal of a timer's setting `number` to a thread, or to the process; `busy`: preferably to a running
/// thread. For kernel threads.
pub fn post_timer(tid: Option<u32>, info: Info, timer: Arc<dyn Expiry>, number: u32, busy: bool) -> Sent {
    let signo = info.signo;
    // For the process, the main thread decides, though it may have ended before the others.
    let t = sched::find(tid.unwrap_or(sched::PID));
    match &t {
        Some(t) if dropped(signo, t) => return Sent::Ignored,
        None if tid.is_some() => return Sent::Nowhere,
        _ => {}
    }
    match t.filter(|_| tid.is_some()) {
        Some(t) => {
            t.signals.own.with(|q| q.push_timer(info, timer, number));
            super::signalfd::posted();
            notify(&t, signo);
        }
        None => {
            PROCESS.with(|q| q.push_timer(info, timer, number));
            super::signalfd::posted();
            if busy { wake_busy(signo) } else { wake_one(signo) }
        }
    }
    Sent::Queued
}

/// Sends to one thread.
pub fn post_thread(t: &Thread, info: Info) -> Result<()> {
    if dropped(info.signo, t) {
        return Ok(());
    }
    t.signals.own.with(|q| q.push(info))?;
    super::signalfd::posted();
    notify(t, info.signo);
    Ok(())
}

/// Sends to the process: a thread that does not block the signal takes it. Not for interrupt handlers.
pub fn post_process_info(info: Info) -> Result<()> {
    post_process_by(info, wake_one)
}
/// Sends a standard signal about used processor time: preferably to a running thread.
pub fn post_process_busy(info: Info) {
    // A standard signal cannot fail.
    let _ = post_process_by(info, wake_busy);
}

fn post_process_by(info: Info, wake: fn(i32)) -> Result<()> {
    let signo = info.signo;
    let me = sched::try_current().filter(|t| t.is_program);
    let main = sched::find(sched::PID);
    if let Some(t) = me.or(main.as_deref())
        && dropped(signo, t)
    {
        return Ok(());
    }
    PROCESS.with(|q| q.push(info))?;
    super::signalfd::posted();
    wake(signo);
    Ok(())
}

/// Finds a thread for a signal that is pending for the process.
pub(super) fn wake_one(signo: i32) {
    if let Some(t) = sched::find(sched::PID).filter(|t| wants(t, signo)) {
        return notify(&t, signo);
    }
    let mut chosen: Option<Arc<Thread>> = None;
    sched::for_each_thread(|t| {
        if chosen.is_none() && wants(t, signo) {
            chosen = Some(t.clone());
        }
    });
    if let Some(t) = chosen {
        notify(&t, signo);
    }
}

/// The same, preferring running threads: those that would take it do so in turn, as a profiler wants.
fn wake_busy(signo: i32) {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let fits = |t: &Thread| wants(t, signo) && t.is_runnable();
    let mut n = 0;
    sched::for_each_thread(|t| n += usize::from(fits(t)));
    let mut before = TURN.fetch_add(1, Relaxed).checked_rem(n);
    let mut chosen: Option<Arc<Thread>> = None;
    sched::for_each_thread(|t| {
        if let Some(left) = before
            && fits(t)
        {
            before = left.checked_sub(1);
            if before.is_none() {
                chosen = Some(t.clone());
            }
        }
    });
    match chosen {
        Some(t) => notify(&t, signo),
        None => wake_one(signo),
    }
}

/// Sends the program a signal from outside: the host's `kill`, the power button, the terminal. For kernel threads.
pub fn post_process(signo: i32) {
    let mut info = Info::kernel(signo);
    info.code = code::USER;
    // A standard signal cannot fail; a real-time one that finds the queue full is lost, as with any sender.
    if post_process_info(info).is_err() {
        libos_base::warn!("{} lost: too many are pending", name(signo));
    }
}

/// Sends a signal from the running thread to itself (SIGPIPE, SIGXFSZ): it is taken when its call ends.
pub fn raise_current(signo: i32) {
    let me = sched::current();
    if me.is_program {
        // Standard signals cannot fail.
        let _ = post_thread(me, Info::user(signo, code::USER));
    }
}

/// A thread that may have been chosen for pending signals has blocked `set`: choose again.
pub(crate) fn retarget(set: SigSet) {
    let mut left = SigSet(PROCESS.set().0 & set.0);
    while let Some(signo) = left.first() {
        wake_one(signo);
        left = left.without(SigSet::of(signo));
    }
}
