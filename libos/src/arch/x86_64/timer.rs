//! Each CPU's one-shot timer: TSC deadline where the CPU has it, else the APIC's down counter.

use super::cpu::{MSR_TSC_DEADLINE, cpuid, rdtsc, write_msr};
use super::{apic, clock};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static DEADLINE_MODE: AtomicBool = AtomicBool::new(false);
/// APIC timer ticks per second.
static APIC_HZ: AtomicU64 = AtomicU64::new(0);

/// Measures the APIC timer against the TSC. Boot CPU, after `clock::init`.
pub(super) fn calibrate() {
    if cpuid(1, 0).ecx & 1 << 24 != 0 {
        DEADLINE_MODE.store(true, Ordering::Relaxed);
        return;
    }
    // 1 ms: the rate only has to be right to a percent, since an early interrupt re-arms.
    let ticks = clock::hz() / 1000;
    let start = rdtsc();
    apic::start_counting();
    while rdtsc().wrapping_sub(start) < ticks {
        core::hint::spin_loop();
    }
    let counted = apic::counted() as u64;
    let elapsed = rdtsc().wrapping_sub(start);
    let hz = (counted as u128 * clock::hz() as u128 / elapsed as u128) as u64;
    APIC_HZ.store(hz.max(1), Ordering::Relaxed);
}

/// Prepares this CPU's timer.
pub(super) fn init_cpu() {
    if DEADLINE_MODE.load(Ordering::Relaxed) {
        apic::use_deadline_mode();
    } else {
        apic::start_timer(0);
        apic::use_one_shot_mode();
    }
}

/// Interrupts this CPU (`upcall::timer_interrupt`) when the monotonic clock reaches `ns`; `u64::MAX` for never. Replaces an
/// earlier deadline. May fire early: the handler looks at the clock.
pub fn set_deadline(ns: u64) {
    if DEADLINE_MODE.load(Ordering::Relaxed) {
        let at = if ns == u64::MAX { 0 } else { clock::tsc_at(ns).max(1) };
        write_msr(MSR_TSC_DEADLINE, at);
        return;
    }
    if ns == u64::MAX {
        apic::start_timer(0);
        return;
    }
    let delta = ns.saturating_sub(clock::monotonic_ns());
    let ticks = (delta as u128 * APIC_HZ.load(Ordering::Relaxed) as u128 / 1_000_000_000) as u64 + 1;
    apic::start_timer(ticks.min(u32::MAX as u64) as u32);
}
