//! Small helpers: allocations that may fail, and decimal text without `core::fmt`.

use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::Result;
pub use libos_base::memory::{room_for, try_box};
use unibody_proto::number;

/// `Arc::new` that fails with ENOMEM.
pub fn try_arc<T>(value: T) -> Result<Arc<T>> {
    room_for(size_of::<T>() + 16)?;
    Ok(Arc::new(value))
}

/// Builds `/proc` style text.
#[derive(Default)]
pub struct Text(pub Vec<u8>);

impl Text {
    /// An empty text.
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds bytes.
    pub fn s(mut self, s: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(s.as_ref());
        self
    }
    /// Adds a decimal number.
    pub fn n(mut self, n: u64) -> Self {
        self.0.extend_from_slice(number::to_decimal(n, &mut [0; 20]));
        self
    }
    /// Adds a decimal number that may be negative.
    pub fn int(self, n: i16) -> Self {
        self.s(if n < 0 { "-" } else { "" }).n(n.unsigned_abs().into())
    }
    /// Adds a decimal number, padded on the left with `pad` to `width`.
    pub fn pad(mut self, n: u64, width: usize, pad: u8) -> Self {
        let t = Text::new().n(n).0;
        self.0.extend(core::iter::repeat_n(pad, width.saturating_sub(t.len())));
        self.0.extend_from_slice(&t);
        self
    }
    /// Adds a hexadecimal number with this many digits.
    pub fn hex(mut self, n: u64, digits: u32) -> Self {
        let digit = |i: u32| b"0123456789abcdef"[(n >> (4 * i) & 15) as usize];
        self.0.extend((0..digits).rev().map(digit));
        self
    }
    /// Adds an octal number.
    pub fn octal(mut self, n: u64) -> Self {
        let digits = (64 - n.leading_zeros()).div_ceil(3).max(1);
        self.0.extend((0..digits).rev().map(|i| b'0' + (n >> (3 * i) & 7) as u8));
        self
    }
    /// The text as a string (it is ASCII except for path names, whose invalid bytes are replaced).
    pub fn string(self) -> alloc::string::String {
        alloc::string::String::from_utf8(self.0)
            .unwrap_or_else(|e| alloc::string::String::from_utf8_lossy(e.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(Text::new().s("a").n(0).s(" ").n(u64::MAX).string(), "a0 18446744073709551615");
        assert_eq!(Text::new().pad(42, 5, b' ').string(), "   42");
        assert_eq!(Text::new().int(-100).int(7).string(), "-1007");
        assert_eq!(Text::new().hex(0x1f0, 4).string(), "01f0");
        assert_eq!(Text::new().octal(0o100_002).s(" ").octal(0).string(), "100002 0");
    }
}
