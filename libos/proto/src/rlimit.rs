//! Resource limits with which a program starts.

use crate::number::decimal;

/// RLIM_INFINITY; also the largest number that can be asked for.
pub const UNLIMITED: u64 = u64::MAX;

/// One limit, by the number that getrlimit(2) has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// RLIMIT_*.
    pub which: u32,
    /// What is enforced.
    pub soft: u64,
    /// How far the program may raise it.
    pub hard: u64,
}

impl Rlimit {
    /// Reads `NUMBER:SOFT:HARD`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = text.split(|&b| b == b':').map(decimal);
        let mut next = || fields.next().flatten();
        let new = Self { which: u32::try_from(next()?).ok()?, soft: next()?, hard: next()? };
        fields.next().is_none().then_some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_and_nothing_else() {
        let all = Rlimit { which: 7, soft: 10, hard: UNLIMITED };
        assert_eq!(Rlimit::parse(b"7:10:18446744073709551615"), Some(all));
        for bad in [&b""[..], b"7", b"7:10", b"7:10:", b"7:10:20:", b":10:20", b"7:-1:20", b"4294967296:1:1"] {
            assert_eq!(Rlimit::parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }
}
