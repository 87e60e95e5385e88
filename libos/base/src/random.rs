//! Randomness for every part of the kernel.

pub use crate::upcall::fill_random as fill;

/// A random number.
pub fn u64() -> u64 {
    let mut b = [0; 8];
    fill(&mut b);
    u64::from_le_bytes(b)
}
