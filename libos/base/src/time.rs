//! Clocks.

use crate::{Errno, Result, abi::Timespec, hooks};

/// Nanoseconds a second.
pub const NS: u64 = 1_000_000_000;

/// Nanoseconds since boot; never goes back.
pub fn monotonic_ns() -> u64 {
    hooks::libos_monotonic_ns()
}

/// Nanoseconds since the Unix epoch.
pub fn realtime_ns() -> u64 {
    hooks::libos_realtime_ns()
}

/// A deadline `ns` from now, saturating ([`crate::thread::FOREVER`] when it overflows).
pub fn after(ns: u64) -> u64 {
    monotonic_ns().saturating_add(ns)
}

impl Timespec {
    /// From nanoseconds.
    pub fn from_ns(ns: u64) -> Self {
        Self { sec: (ns / NS) as i64, nsec: (ns % NS) as i64 }
    }
    /// To nanoseconds, saturating; EINVAL when negative or not normalised.
    pub fn to_ns(self) -> Result<u64> {
        if self.sec < 0 || !(0..NS as i64).contains(&self.nsec) {
            return Err(Errno::EINVAL);
        }
        Ok((self.sec as u64).saturating_mul(NS).saturating_add(self.nsec as u64))
    }
}
