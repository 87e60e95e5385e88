//! Write errors, reported once to every open description (Linux's errseq_t, lib/errseq.c).
//!
//! Opening the file records the position in the sequence; a sync that finds it further on reports the error and records
//! the new position. An error that has not been reported yet is also reported to later openers.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use libos_base::{Errno, Result};

/// This error has been reported: the next one must advance the counter, even if it is the same.
const SEEN: u32 = 1 << 12;
const COUNT: u32 = SEEN << 1;
const ERRNO: u32 = SEEN - 1;

/// The error sequence of one file.
#[derive(Default)]
pub struct ErrorSeq(AtomicU32);

impl ErrorSeq {
    /// No errors yet.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// An error happened. Only EIO and ENOSPC are remembered as themselves, as on Linux.
    pub fn set(&self, e: Errno) {
        let code = if e == Errno::ENOSPC { e } else { Errno::EIO } as u32;
        let _ = self.0.fetch_update(Relaxed, Relaxed, |old| {
            let new = old & !(ERRNO | SEEN) | code;
            Some(if old & SEEN != 0 { new.wrapping_add(COUNT) } else { new })
        });
    }

    /// Where a new description starts: before an error that nobody has seen yet.
    pub fn sample(&self) -> u32 {
        let now = self.0.load(Relaxed);
        if now & SEEN != 0 { now } else { 0 }
    }

    /// The error since `since`, which is moved on.
    pub fn check(&self, since: &AtomicU32) -> Result<()> {
        let now = self.0.load(Relaxed);
        let before = since.load(Relaxed);
        if now == before || now & ERRNO == 0 {
            return Ok(());
        }
        // A newer error may come in between; it is then reported together with this one.
        let now = self.0.fetch_or(SEEN, Relaxed) | SEEN;
        since.store(now, Relaxed);
        Err(if now & ERRNO == Errno::ENOSPC as u32 { Errno::ENOSPC } else { Errno::EIO })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_description_is_told_once() {
        let s = ErrorSeq::new();
        let (a, b) = (AtomicU32::new(s.sample()), AtomicU32::new(s.sample()));
        assert_eq!(s.check(&a), Ok(()));
        s.set(Errno::EIO);
        assert_eq!(s.check(&a), Err(Errno::EIO));
        assert_eq!(s.check(&a), Ok(()));
        assert_eq!(s.check(&b), Err(Errno::EIO));
        assert_eq!(s.check(&b), Ok(()));
        // Already reported: later openers do not get it.
        let c = AtomicU32::new(s.sample());
        assert_eq!(s.check(&c), Ok(()));
        // The same error again is a new one.
        s.set(Errno::EIO);
        // Not reported yet: later openers get it.
        let d = AtomicU32::new(s.sample());
        for x in [&a, &b, &c, &d] {
            assert_eq!(s.check(x), Err(Errno::EIO));
            assert_eq!(s.check(x), Ok(()));
        }
        s.set(Errno::ENOSPC);
        assert_eq!(s.check(&a), Err(Errno::ENOSPC));
        s.set(Errno::EROFS);
        assert_eq!(s.check(&a), Err(Errno::EIO));
        assert_eq!(s.check(&b), Err(Errno::EIO));
    }
}
