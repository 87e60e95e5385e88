//! Monotonic time from the counter that every processor has (here the time stamp counter); wall time from the clock read at boot.

use super::cpu::rdtsc;
use core::sync::atomic::{AtomicU64, Ordering};

/// Nanoseconds per tick, 32.32 fixed point; 0 before `init`.
static SCALE: AtomicU64 = AtomicU64::new(0);
static START: AtomicU64 = AtomicU64::new(0);
static HZ: AtomicU64 = AtomicU64::new(0);
/// Wall time minus monotonic time, ns.
static WALL_OFFSET: AtomicU64 = AtomicU64::new(0);

/// Starts the clock. `hz`: ticks of the counter per second; `wall_ns`: nanoseconds since 1970 now.
pub fn init(hz: u64, wall_ns: u64) {
    START.store(rdtsc(), Ordering::Relaxed);
    HZ.store(hz, Ordering::Relaxed);
    SCALE.store(((1_000_000_000u128 << 32) / hz as u128) as u64, Ordering::Relaxed);
    WALL_OFFSET.store(wall_ns, Ordering::Relaxed);
}

/// Nanoseconds since `init`.
#[inline]
pub fn monotonic_ns() -> u64 {
    let ticks = rdtsc().wrapping_sub(START.load(Ordering::Relaxed));
    // A CPU whose counter lags the boot CPU's by a little must not see time before the start.
    if ticks > 1 << 62 { 0 } else { ((ticks as u128 * SCALE.load(Ordering::Relaxed) as u128) >> 32) as u64 }
}

/// Nanoseconds since 1970.
pub fn realtime_ns() -> u64 {
    realtime_at(monotonic_ns())
}

/// The wall clock's time at a monotonic time, as it is set now.
pub fn realtime_at(monotonic: u64) -> u64 {
    monotonic.wrapping_add(WALL_OFFSET.load(Ordering::Relaxed))
}

/// Sets the wall clock. Ordered before anything that the caller does afterwards; see `timer::wall`.
pub fn set_realtime_ns(ns: u64) {
    WALL_OFFSET.store(ns.wrapping_sub(monotonic_ns()), Ordering::SeqCst);
}

/// Moves the wall clock by `by` nanoseconds. Ordered as above.
pub fn step_realtime_ns(by: i64) {
    WALL_OFFSET.fetch_add(by as u64, Ordering::SeqCst);
}

/// Ticks per second.
pub fn hz() -> u64 {
    HZ.load(Ordering::Relaxed)
}

/// The counter value at `ns`.
pub(super) fn tsc_at(ns: u64) -> u64 {
    let ticks = ns as u128 * HZ.load(Ordering::Relaxed) as u128 / 1_000_000_000;
    START.load(Ordering::Relaxed).wrapping_add(ticks.min(u64::MAX as u128 / 2) as u64)
}

/// The counter itself, for values that must differ each time.
pub fn counter() -> u64 {
    rdtsc()
}
