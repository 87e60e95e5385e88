//! Clocks.

use crate::upcall;

pub use libos_abi::layout::NS;

/// Nanoseconds since boot; never goes back.
pub fn monotonic_ns() -> u64 {
    upcall::monotonic_ns()
}

/// Nanoseconds since the Unix epoch.
pub fn realtime_ns() -> u64 {
    upcall::realtime_ns()
}

/// A deadline `ns` from now, saturating ([`crate::thread::FOREVER`] when it overflows).
pub fn after(ns: u64) -> u64 {
    monotonic_ns().saturating_add(ns)
}
