//! Randomness for every part of the kernel.

/// Fills `buf` from the kernel's generator.
pub fn fill(buf: &mut [u8]) {
    crate::upcall::fill_random(buf);
}

/// A random number.
pub fn u64() -> u64 {
    let mut b = [0; 8];
    fill(&mut b);
    u64::from_le_bytes(b)
}
