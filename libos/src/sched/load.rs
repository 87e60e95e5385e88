//! The load averages (getloadavg(3)): how many threads run or wait for a processor, averaged over 1, 5 and 15 minutes.
//!
//! Linux counts such threads every five seconds. Here nothing wakes an idle machine for that: the average since the last
//! look is computed from the time that threads have run, which is known, and that they have waited, which is counted by
//! slices; when a processor becomes idle, when its timer goes off, and when somebody asks. Between these there is no
//! change.

use super::cpu::all;
use super::cpu_times;
use super::queue::SLICE_NS;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libos_base::sync::{IrqSpinLock, Provider, class};
use libos_base::time::{NS, monotonic_ns};

/// The averages are fixed-point numbers with this 1, as on Linux (sched/loadavg.h).
pub const ONE: u64 = 1 << 11;
const EVERY_NS: u64 = 5 * NS;
/// What five seconds leave of an old average: e to the power of -5 by the number of seconds.
const DECAY: [u64; 3] = [1884, 2014, 2037];

struct Load {
    /// When this was computed, and how many nanoseconds threads had run and waited by then.
    at: u64,
    work: u64,
    averages: [u64; 3],
}

/// [`update`], from when somebody asks for the first time: what was before counts as even.
static LOOK: Provider<fn(u64)> = Provider::new();
static LOAD: IrqSpinLock<Load> = IrqSpinLock::new(class::LOAD, Load { at: 0, work: 0, averages: [0; 3] });
/// When it is to be computed next; read without the lock.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds that threads have waited for a processor.
static WAITED: AtomicU64 = AtomicU64::new(0);

/// `n` threads have waited for a slice.
pub(super) fn waited(n: usize) {
    WAITED.fetch_add(n as u64 * SLICE_NS, Relaxed);
}

/// Looks, if somebody has asked before. No run queue is locked.
#[inline]
pub(super) fn look(now: impl FnOnce() -> u64) {
    if let Some(update) = LOOK.get() {
        update(now());
    }
}

/// Looks, if five seconds have passed.
fn update(now: u64) {
    if now < NEXT.load(Relaxed) {
        return;
    }
    let mut l = LOAD.lock();
    // Another processor may have done it meanwhile, and with a later time.
    if now < NEXT.load(Relaxed) {
        return;
    }
    NEXT.store(now + EVERY_NS, Relaxed);
    let busy: u64 = all().filter_map(|c| cpu_times(c.id)).map(|(total, idle)| total.saturating_sub(idle)).sum();
    let work = busy + WAITED.load(Relaxed);
    let passed = (now - l.at).max(1);
    let active = (u128::from(work.saturating_sub(l.work)) * u128::from(ONE) / u128::from(passed)) as u64;
    for (average, decay) in l.averages.iter_mut().zip(DECAY) {
        *average = decayed(*average, power(decay, passed / EVERY_NS), active);
    }
    (l.at, l.work) = (now, work);
}

/// The average after a time that leaves `kept` of it, in which `active` threads ran or waited.
fn decayed(average: u64, kept: u64, active: u64) -> u64 {
    // Rounded up on the way up and down on the way down, so that it gets to where it goes.
    (average * kept + active * (ONE - kept) + if active >= average { ONE - 1 } else { 0 }) / ONE
}

/// `of` to the power of `n`.
fn power(mut of: u64, mut n: u64) -> u64 {
    let mut result = ONE;
    while n > 0 {
        if n & 1 != 0 {
            result = (result * of + ONE / 2) / ONE;
        }
        of = (of * of + ONE / 2) / ONE;
        n >>= 1;
    }
    result
}

/// The averages over 1, 5 and 15 minutes, in units of 1 / [`ONE`].
pub fn averages() -> [u64; 3] {
    LOOK.provide(&(update as fn(u64)));
    update(monotonic_ns());
    LOAD.lock().averages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_follow_what_is_and_forget_what_was() {
        let minute = |from, active| (0..12).fold(from, |l, _| decayed(l, DECAY[0], active));
        let up = minute(0, 2 * ONE);
        // 1 - 1/e of two threads.
        assert!((1.24..1.28).contains(&(up as f64 / ONE as f64)));
        assert_eq!(decayed(0, power(DECAY[0], 12), 2 * ONE).abs_diff(up) / 16, 0);
        assert_eq!((0..500).fold(up, |l, _| decayed(l, DECAY[0], 0)), 0);
        assert_eq!((0..500).fold(up, |l, _| decayed(l, DECAY[0], ONE)), ONE);
        assert_eq!((power(DECAY[2], 0), power(DECAY[0], 10_000)), (ONE, 0));
    }
}
