//! Counters of known frequency, and how fast the TSC runs.

mod calibrate;
pub mod cpuid;
pub mod hpet;
pub mod kvm;
pub mod pit;
pub mod pm_timer;

pub use calibrate::{Sources, calibrate_tsc, measure};

/// Reads the TSC, after all earlier loads (LFENCE, Intel SDM vol. 2, RDTSC).
#[inline]
pub fn rdtsc() -> u64 {
    // SAFETY: both instructions exist on every x86-64 processor, and the kernel does not disable RDTSC.
    unsafe {
        core::arch::x86_64::_mm_lfence();
        core::arch::x86_64::_rdtsc()
    }
}
