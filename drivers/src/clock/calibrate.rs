//! How fast the TSC runs: as reported where possible, otherwise measured against a counter of known rate.

use super::{cpuid, hpet, kvm, pit, pm_timer, rdtsc};

/// The counters that the machine has.
#[derive(Clone, Copy, Default)]
pub struct Sources {
    /// From the FADT.
    pub pm_timer: Option<pm_timer::Counter>,
    /// From ACPI's HPET table.
    pub hpet: Option<hpet::Counter>,
}

/// Anything slower or faster is a measuring error.
const SANE: core::ops::RangeInclusive<u64> = 100_000_000..=20_000_000_000;
/// Length of one measurement: 1/HZ_PART of a second.
const PER_SECOND: u64 = 500;
/// Two measurements agree when they differ by less than 1/AGREE.
const AGREE: u64 = 1000;
const TRIES: usize = 6;
/// TSC ticks before a counter is read for the first time: 1 to 160 us.
const FIRST_WAIT: u64 = 1 << 14;
/// A counter that did not move for so many TSC ticks (0.2 ms of the fastest one) stands still.
const DEAD: u64 = 1 << 22;

/// The TSC's rate in Hz; takes at most some 12 ms (each measurement 2 ms, two that agree suffice).
pub fn calibrate_tsc(s: &Sources) -> Option<u64> {
    let sane = |hz: Option<u64>| hz.filter(|h| SANE.contains(h));
    sane(kvm::vcpu_time().and_then(|t| t.tsc_hz()))
        .or_else(|| sane(cpuid::timing_leaf_hz()))
        .or_else(|| sane(cpuid::crystal_hz()))
        .or_else(|| {
            let t = s.pm_timer?;
            sane(measure(&mut || t.read(), t.mask, pm_timer::HZ, &mut rdtsc))
        })
        .or_else(|| {
            let t = s.hpet?;
            sane(measure(&mut || t.read(), t.mask, t.hz, &mut rdtsc))
        })
        .or_else(|| {
            pit::start();
            sane(measure(&mut pit::read, pit::MASK, pit::HZ, &mut rdtsc))
        })
        // Exact to a percent only: nothing better answered.
        .or_else(|| sane(cpuid::nominal_hz()))
}

/// Measures the TSC against a counter of `hz` ticks per second that wraps at `mask`. A host that takes the processor
/// away in the middle spoils a measurement, so it is repeated until two agree; if none do, the median counts.
/// `None` when the counter stands still.
pub fn measure(counter: &mut dyn FnMut() -> u64, mask: u64, hz: u64, tsc: &mut dyn FnMut() -> u64) -> Option<u64> {
    let mut seen = [0u64; TRIES];
    for i in 0..TRIES {
        let now = once(counter, mask, hz, tsc)?;
        if let Some(close) = seen[..i].iter().find(|s| s.abs_diff(now) < now / AGREE) {
            return Some(now / 2 + close / 2);
        }
        seen[i] = now;
    }
    // Without a sort: a handful of values is not worth its code.
    let middle = |m: &&u64| {
        seen.iter().filter(|s| s < m).count() <= TRIES / 2 && seen.iter().filter(|s| s > m).count() <= TRIES / 2
    };
    seen.iter().find(middle).copied()
}

/// A count and the TSC at the same moment: the quickest of a few readings.
fn sample(counter: &mut dyn FnMut() -> u64, tsc: &mut dyn FnMut() -> u64) -> (u64, u64) {
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..4 {
        let before = tsc();
        let count = counter();
        let took = tsc().wrapping_sub(before);
        if took < best.0 {
            best = (took, count, before + took / 2);
        }
    }
    (best.1, best.2)
}

fn once(counter: &mut dyn FnMut() -> u64, mask: u64, hz: u64, tsc: &mut dyn FnMut() -> u64) -> Option<u64> {
    let window = hz / PER_SECOND;
    let (c0, t0) = sample(counter, tsc);
    // Reading a counter leaves the virtual machine, reading the TSC does not. So the TSC is watched, and each reading of the
    // counter tells how much longer it takes.
    let mut wait = FIRST_WAIT;
    loop {
        let begin = tsc();
        while tsc().wrapping_sub(begin) < wait {
            core::hint::spin_loop();
        }
        let counted = counter().wrapping_sub(c0) & mask;
        if counted >= window {
            break;
        }
        wait = if counted == 0 {
            wait * 2
        } else {
            let passed = u128::from(tsc().wrapping_sub(t0));
            // At most twice as long as so far: the first ticks may have been cut short.
            (passed * u128::from(window - counted) / u128::from(counted)).min(passed * 2) as u64 + 1
        };
        if counted == 0 && wait > DEAD {
            return None;
        }
    }
    let (c1, t1) = sample(counter, tsc);
    let ticks = c1.wrapping_sub(c0) & mask;
    let tsc_ticks = u128::from(t1.wrapping_sub(t0));
    // A wrap while the processor was away gives nonsense; the caller compares with another try.
    u64::try_from(tsc_ticks * u128::from(hz) / u128::from(ticks.max(1))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    fn world(tsc_hz: u64, hz: u64, mask: u64, jump: impl Fn(u64) -> u64) -> Option<u64> {
        let now = Cell::new(1u64 << 40); // picoseconds
        let reads = Cell::new(0);
        let step = |ps: u64| {
            reads.set(reads.get() + 1);
            now.set(now.get() + ps + jump(reads.get()));
            now.get()
        };
        let rate = |ps: u64, hz: u64| (u128::from(ps) * u128::from(hz) / 1_000_000_000_000) as u64;
        measure(&mut || rate(step(900_000), hz) & mask, mask, hz, &mut || rate(step(20_000), tsc_hz))
    }

    fn close(a: Option<u64>, b: u64) {
        let a = a.expect("measured");
        assert!(a.abs_diff(b) < b / 500, "{a} against {b}");
    }

    #[test]
    fn exact_world() {
        close(world(2_994_370_000, pm_timer::HZ, 0xff_ffff, |_| 0), 2_994_370_000);
        close(world(2_100_000_000, pit::HZ, pit::MASK, |_| 0), 2_100_000_000);
        close(world(3_000_000_000, 10_000_000, u64::MAX, |_| 0), 3_000_000_000);
    }

    #[test]
    fn stolen_time() {
        // The host takes the processor away for 70 ms (longer than the PIT's period) during the first measurement.
        let jump = |n| if n == 700 { 70_000_000_000 } else { 0 };
        close(world(2_500_000_000, pit::HZ, pit::MASK, jump), 2_500_000_000);
    }

    #[test]
    fn dead_counter() {
        let mut now = 0;
        let tsc = &mut || {
            now += 100;
            now
        };
        assert_eq!(measure(&mut || 0xffff, 0xffff, 1_000_000, tsc), None);
    }

    #[test]
    fn few_readings() {
        for hz in [pit::HZ, pm_timer::HZ, 100_000_000] {
            let (now, readings) = (Cell::new(0u64), Cell::new(0));
            let rate = |hz: u64| (u128::from(now.get()) * u128::from(hz) / 1_000_000_000) as u64;
            let counter = &mut || {
                readings.set(readings.get() + 1);
                now.set(now.get() + 1000);
                rate(hz)
            };
            let tsc = &mut || {
                now.set(now.get() + 20);
                rate(2_000_000_000)
            };
            close(measure(counter, u64::MAX, hz, tsc), 2_000_000_000);
            assert!(readings.get() < 50, "{} readings at {hz} Hz", readings.get());
        }
    }
}
