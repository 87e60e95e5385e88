//! Sequence numbers: 32 bits that wrap (RFC 9293 section 3.4).

use core::ops::{Add, AddAssign, Sub};

/// A sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seq(pub u32);

impl Seq {
    /// Whether it comes before `other`, which is at most 2 GiB away.
    pub fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }
    pub fn after(self, other: Self) -> bool {
        other.before(self)
    }
    /// The later one.
    pub fn max(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }
    /// The earlier one.
    pub fn min(self, other: Self) -> Self {
        if self.before(other) { self } else { other }
    }
}

impl Add<u32> for Seq {
    type Output = Self;
    fn add(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }
}

impl AddAssign<u32> for Seq {
    fn add_assign(&mut self, n: u32) {
        *self = *self + n;
    }
}

/// The distance from an earlier number.
impl Sub for Seq {
    type Output = u32;
    fn sub(self, from: Self) -> u32 {
        self.0.wrapping_sub(from.0)
    }
}
