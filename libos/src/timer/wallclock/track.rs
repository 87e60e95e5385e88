//! How the machine's clock relates to the monotonic one: bounds that every reading narrows.

use libos_base::time::NS;

/// The difference "machine's clock minus monotonic clock", in nanoseconds.
pub struct Track {
    low: i64,
    high: i64,
    /// Monotonic time of the last reading.
    at: u64,
    /// The wall clock was set by the host; otherwise it is at the lower bound.
    exact: bool,
}

/// What a reading showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Nothing new.
    No,
    /// The lower bound rose by this much.
    Closer(i64),
    /// The clocks moved against each other by this much.
    Away(i64),
}

/// A smaller difference is no move: the two clocks are not read at the same moment.
const SLACK: i64 = 50_000_000;
/// The monotonic clock's rate was measured to 1/1024 or better.
const DRIFT: u32 = 10;

impl Track {
    pub const fn new() -> Self {
        Self { low: 0, high: 0, at: 0, exact: false }
    }

    /// The first reading: the machine's clock is at `ns` or less than `width` later.
    pub fn start(&mut self, now: u64, ns: u64, width: u64) {
        let low = ns as i64 - now as i64;
        *self = Self { low, high: low + width as i64, at: now, exact: width == 0 };
    }

    /// Whether the machine's clock is finer than whole seconds.
    pub fn is_exact(&self) -> bool {
        self.exact && self.low == self.high
    }

    /// The wall clock was set by the host.
    pub fn is_told(&mut self) {
        self.exact = true;
    }

    /// Whether reading often would not help.
    pub fn is_known(&self) -> bool {
        self.exact || self.high - self.low < NS as i64 / 20
    }

    /// Takes a reading made at monotonic time `now`.
    pub fn feed(&mut self, now: u64, ns: u64, width: u64) -> Moved {
        let low = ns as i64 - now as i64;
        let high = low + width as i64;
        let slack = SLACK + (now.saturating_sub(self.at) >> DRIFT) as i64;
        self.at = now;
        let (was_low, was_high) = (self.low, self.high);
        if low > was_high + slack || high < was_low - slack {
            (self.low, self.high) = (low, high);
            return Moved::Away((low + high) / 2 - (was_low + was_high) / 2);
        }
        (self.low, self.high) = (low.max(was_low), high.min(was_high));
        // They drifted apart by less than counts: the newer reading is right.
        if low > was_high {
            self.high = low;
        } else if high < was_low {
            self.low = high;
        }
        match self.low - was_low {
            by @ 1.. if !self.exact => Moved::Closer(by),
            _ => Moved::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = NS;

    /// A clock of whole seconds, `ahead` of the monotonic one.
    fn seconds(now: u64, ahead: u64) -> u64 {
        (now + ahead) / S * S
    }

    #[test]
    fn looks_close_in_on_the_edge_of_a_second_and_never_pass_it() {
        let ahead = 1_700_000_000 * S + 730_000_000;
        let mut t = Track::new();
        t.start(0, seconds(0, ahead), S);
        let mut wall = seconds(0, ahead) as i64;
        for i in 1..200u64 {
            let now = i * 20_000_000;
            match t.feed(now, seconds(now, ahead), S) {
                Moved::Closer(by) => wall += by,
                Moved::No => {}
                Moved::Away(by) => panic!("{by}"),
            }
            assert!(wall <= ahead as i64);
        }
        assert!(t.is_known() && ahead as i64 - wall < 20_000_000, "{}", ahead as i64 - wall);
    }

    #[test]
    fn a_pause_is_seen_and_drift_is_none() {
        let ahead = 1_700_000_000 * S + 200_000_000;
        let mut t = Track::new();
        t.start(0, seconds(0, ahead), S);
        t.is_told();
        // 0.01 % too slow, for an hour.
        for i in 1..3600u64 {
            let now = i * S;
            assert_eq!(t.feed(now, seconds(now, ahead + now / 10_000), S), Moved::No);
        }
        let now = 3600 * S;
        let Moved::Away(by) = t.feed(now, seconds(now, ahead + now / 10_000 + 90 * S), S) else { panic!() };
        assert!((89 * S as i64..=91 * S as i64).contains(&by), "{by}");
        assert_eq!(t.feed(now + S, seconds(now + S, ahead + now / 10_000 + 90 * S), S), Moved::No);
    }

    #[test]
    fn an_exact_clock_tells_a_short_pause() {
        let mut t = Track::new();
        t.start(5, 1_700_000_000 * S, 0);
        assert!(t.is_exact() && t.is_known());
        assert_eq!(t.feed(S + 5, 1_700_000_001 * S + 1000, 0), Moved::No);
        let Moved::Away(by) = t.feed(2 * S + 5, 1_700_000_002 * S + 300_000_000, 0) else { panic!() };
        assert_eq!(by, 300_000_000 - 1000);
    }
}
