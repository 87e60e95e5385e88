//! Errors of writing, told once to every open description (Linux's errseq_t, lib/errseq.c).
//!
//! Whoever opens the file remembers where the sequence stood; whoever syncs it and finds it further on reports the
//! error and remembers the new place. An error that nobody was told yet is also told to those who open later.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use libos_base::{Errno, Result};

/// Somebody was told this error: the next one must count on, even if it is the same.
const SEEN: u32 = 1 << 12;
const COUNT: u32 = SEEN << 1;
const ERRNO: u32 = SEEN - 1;

/// The sequence of one file.
#[derive(Default)]
pub struct ErrorSeq(AtomicU32);

impl ErrorSeq {
    /// No error yet.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// An error happened. Of all errors only EIO and ENOSPC are remembered as themselves, as on Linux.
    pub fn set(&self, e: Errno) {
        let code = if e == Errno::ENOSPC { e } else { Errno::EIO } as u32;
        let _ = self.0.fetch_update(Relaxed, Relaxed, |old| {
            let new = old & !(ERRNO | SEEN) | code;
            Some(if old & SEEN != 0 { new.wrapping_add(COUNT) } else { new })
        });
    }

    /// Where a new description starts: before an error that nobody has seen.
    pub fn sample(&self) -> u32 {
        let now = self.0.load(Relaxed);
        if now & SEEN != 0 { now } else { 0 }
    }

    /// The error since `since`, which moves on.
    pub fn check(&self, since: &AtomicU32) -> Result<()> {
        let now = self.0.load(Relaxed);
        let before = since.load(Relaxed);
        if now == before || now & ERRNO == 0 {
            return Ok(());
        }
        // A newer error may come in between; it is then told with this one.
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
        // Told already: those who open now are not told.
        let c = AtomicU32::new(s.sample());
        assert_eq!(s.check(&c), Ok(()));
        // The same error again is a new one.
        s.set(Errno::EIO);
        // Not told yet: those who open now are.
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
