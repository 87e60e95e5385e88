//! Deadline, interval and expirations of one timer: arithmetic only.

use super::Timer;
use super::wall::{Line, When};

/// What a timer is set to, and how often it has expired. Every `now` is a time of the setting's own line.
#[derive(Clone, Copy, Default)]
pub struct Setting {
    /// Next expiry; 0: not armed.
    pub deadline: u64,
    /// 0: expires once.
    pub interval: u64,
    /// The line that `deadline` is a time of.
    pub line: Line,
    expired: u64,
}

impl Setting {
    /// A setting armed for `first` (0: disarmed).
    pub fn new(first: When, interval: u64) -> Self {
        Self { deadline: first.ns, interval, line: first.line, expired: 0 }
    }

    /// Whether it will expire.
    pub fn armed(&self) -> bool {
        self.deadline != 0
    }

    /// Sets `timer` to the next expiry, as the clocks stand now, unless there is none.
    pub fn arm(&self, timer: &Timer) {
        if self.armed() {
            timer.set(When { ns: self.deadline, line: self.line }.monotonic());
        }
    }

    /// Counts the expiries up to `now`; returns how many.
    pub fn advance(&mut self, now: u64) -> u64 {
        if self.deadline == 0 || now < self.deadline {
            return 0;
        }
        let n = match self.interval {
            0 => {
                self.deadline = 0;
                1
            }
            i => {
                let n = (now - self.deadline) / i + 1;
                self.deadline = self.deadline.saturating_add(n.saturating_mul(i));
                n
            }
        };
        self.expired += n;
        n
    }

    /// Expirations since the last call.
    pub fn take(&mut self, now: u64) -> u64 {
        self.advance(now);
        core::mem::take(&mut self.expired)
    }

    /// Whether `take` would return any.
    pub fn is_due(&self, now: u64) -> bool {
        self.expired > 0 || (self.deadline != 0 && now >= self.deadline)
    }

    /// [`Self::left`] at this moment.
    pub fn left_now(&self) -> (u64, u64) {
        self.left(self.line.now())
    }

    /// (time left, interval): 0 when disarmed, never 0 when armed.
    pub fn left(&self, now: u64) -> (u64, u64) {
        let mut s = *self;
        s.advance(now);
        (if s.armed() { (s.deadline - now).max(1) } else { 0 }, s.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> When {
        When { ns, line: Line::Wall }
    }

    #[test]
    fn once() {
        let mut s = Setting::new(at(100), 0);
        assert_eq!((s.take(99), s.is_due(99), s.left(99)), (0, false, (1, 0)));
        assert_eq!((s.take(500), s.armed(), s.take(501)), (1, false, 0));
        assert_eq!(s.left(501), (0, 0));
    }

    #[test]
    fn repeated_and_late() {
        let mut s = Setting::new(at(100), 10);
        assert_eq!((s.take(100), s.deadline), (1, 110));
        assert_eq!(s.left(145), (5, 10));
        assert_eq!((s.take(145), s.deadline), (4, 150));
        assert_eq!((s.advance(160), s.take(160)), (2, 2));
    }

    #[test]
    fn a_clock_that_is_set_back_waits_longer() {
        let mut s = Setting::new(at(1000), 0);
        assert_eq!((s.left(900), s.left(100)), ((100, 0), (900, 0)));
        assert_eq!((s.take(999), s.take(1000)), (0, 1));
    }
}
