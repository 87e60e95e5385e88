//! The wall clock follows the machine's.
//!
//! At boot it is read from kvmclock, which is exact, or from the CMOS clock, which has whole seconds only (and QEMU's
//! begins its seconds when QEMU starts, so that it is up to one behind). In the second case the host is asked over the
//! control port, if anyone listens there; otherwise the clock approaches the CMOS clock's seconds each time it is read.
//!
//! A machine that was stopped and continues, or that was restored from a snapshot, has missed time: its counters stood
//! still, the machine's clock did not. So asking for the time of day checks that clock as well, at most four times a
//! second, and so do waits for a time of day, once a minute. An idle machine is not woken for it otherwise.

mod track;

use super::wall;
use crate::arch::clock;
use crate::devices;
use core::sync::atomic::{AtomicU64, Ordering::*};
use libos_base::sync::{IrqSpinLock, Provider, class};
use libos_base::time::NS;
use libos_base::{thread, time};
use track::{Moved, Track};

static TRACK: IrqSpinLock<Track> = IrqSpinLock::new(class::WALL_CLOCK, Track::new());
/// When the host was asked for the time; 0: it was not asked, or has answered.
static ASKED: AtomicU64 = AtomicU64::new(0);
/// How often to ask it again, and how long the quickest answer took.
static AGAIN: AtomicU64 = AtomicU64::new(0);
static QUICKEST: AtomicU64 = AtomicU64::new(u64::MAX);

/// Asks the host for the time; set once someone listens on the control port. The answer comes to [`told`].
pub static ASK_HOST: Provider<fn()> = Provider::new();

/// Time between two checks, once the clock is known well and before that.
const CALM: u64 = NS / 4;
const SEARCHING: u64 = NS / 50;
/// How long boot waits for the host's first answer, and for a better one; a later answer makes a step.
const FIRST: u64 = NS;
const PATIENCE: u64 = NS / 10;
/// If an answer takes longer it is not exact enough, and the host is asked again, at most this many times.
const QUICK: u64 = NS / 100;
const TIMES: u64 = 8;

/// Sets what the machine's clock read at boot: not before `ns`, and before `ns + width`.
pub fn init(ns: u64, width: u64) {
    TRACK.lock().start(time::monotonic_ns(), ns, width);
}

/// Nanoseconds since 1970, for callers that may wait: no lock is held.
#[inline]
pub fn now() -> u64 {
    now_if_known().unwrap_or_else(|| {
        look();
        clock::realtime_ns()
    })
}

/// The same for callers that may not wait; `None` when the machine's clock is to be checked.
#[inline]
pub fn now_if_known() -> Option<u64> {
    let now = time::monotonic_ns();
    (now < clock::checked_until()).then(|| clock::realtime_at(now))
}

/// Checks the machine's clock if that is due. No lock is held.
pub fn check() {
    now();
}

#[cold]
fn look() {
    let moved = {
        // One thread at a time: the clocks are read in several steps.
        let Some(mut track) = TRACK.try_lock() else { return };
        let now = time::monotonic_ns();
        clock::set_checked_until(now + if track.is_known() { CALM } else { SEARCHING });
        let Some((ns, width)) = devices::read_wall_clock() else { return };
        track.feed(now, ns, width)
    };
    match moved {
        Moved::No => return,
        Moved::Closer(by) => clock::step_realtime_ns(by),
        Moved::Away(by) => {
            clock::step_realtime_ns(by);
            let (to, ms) = (if by < 0 { "back" } else { "on" }, by.unsigned_abs() / 1_000_000);
            libos_base::warn!("this machine stood still, or its clock was set: the time of day goes {to} by {ms} ms");
            ask();
        }
    }
    wall::stepped();
}

/// The console's thread will [`ask`] later: [`settle`] waits for that as well, as it may run first.
pub fn expect() {
    if !TRACK.lock().is_exact() {
        ASKED.store(time::monotonic_ns(), SeqCst);
    }
}

/// Asks the host, if the machine's clock has only whole seconds.
pub fn ask() {
    if !TRACK.lock().is_exact() {
        AGAIN.store(TIMES, Relaxed);
        QUICKEST.store(u64::MAX, Relaxed);
        send();
    }
}

fn send() {
    ASKED.store(time::monotonic_ns(), SeqCst);
    if let Some(ask) = ASK_HOST.get() {
        ask();
    }
}

/// The host's answer. It was right some time between the question and now. On the console's thread.
pub fn set_by_host(ns: u64) {
    let (now, asked) = (time::monotonic_ns(), ASKED.load(SeqCst));
    if asked == 0 {
        return;
    }
    let took = now.saturating_sub(asked);
    if took < QUICKEST.fetch_min(took, Relaxed) {
        clock::set_realtime_ns(ns.saturating_add(took / 2));
        TRACK.lock().is_told();
        wall::stepped();
    }
    if took > QUICK && AGAIN.load(Relaxed) > 0 {
        AGAIN.fetch_sub(1, Relaxed);
        send();
    } else {
        ASKED.store(0, SeqCst);
    }
}

/// Waits a moment for the answer, so that the program starts with the right time.
pub fn settle() {
    let begin = time::monotonic_ns();
    let patience = || if QUICKEST.load(Relaxed) == u64::MAX { FIRST } else { PATIENCE };
    while ASKED.load(SeqCst) != 0 && time::monotonic_ns() < begin + patience() {
        thread::park(time::after(NS / 5000), false);
    }
}
