//! Clocks.

pub use crate::upcall::{monotonic_ns, realtime_ns};
pub use libos_abi::layout::NS;

/// A deadline `ns` from now, saturating ([`crate::thread::FOREVER`] when it overflows).
pub fn after(ns: u64) -> u64 {
    monotonic_ns().saturating_add(ns)
}
