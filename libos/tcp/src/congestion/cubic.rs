//! CUBIC (RFC 9438): the window follows a cubic function of the time since the last loss, whatever the round trip, and
//! is never slower than Reno would be.

use super::{Congestion, Window};
use crate::MS;

/// The longest time since a loss that is computed with, in ms: its cube still fits.
const LONGEST: u64 = 1_000_000;

/// See the module. Sizes in bytes, times in ms. The constant C is 0.4, beta is 0.7.
#[derive(Clone, Copy, Default)]
pub struct Cubic {
    /// The window at the last loss; 0: none yet.
    top: u32,
    /// When the present growth began; 0: it has not.
    since: u64,
    /// The window at that time, and after how many ms it is at the top again.
    origin: u32,
    until_top: u64,
    /// What Reno's window would be, and the bytes counted towards its next step.
    reno: u32,
    counted: u32,
}

impl Congestion for Cubic {
    const NAME: &'static str = "cubic";

    fn acknowledged(&mut self, w: &mut Window, mut acked: u32, now: u64, rtt: u64) {
        if w.slow_start() {
            acked = w.start(acked);
            if acked == 0 {
                return;
            }
        }
        if self.since == 0 {
            self.begin(w, now);
        }
        let t = (now + rtt).saturating_sub(self.since) / MS;
        let target = self.at(t, w.mss).clamp(w.size, w.size.saturating_add(w.size / 2));
        // The whole distance in one round trip.
        let grow = u64::from(target - w.size) * u64::from(acked) / u64::from(w.size.max(1));
        self.count(w, acked);
        w.size = w.size.saturating_add(grow as u32).max(self.reno);
    }

    fn lost(&mut self, w: &Window) -> u32 {
        // Fast convergence: a flow that lost before it got back to its top leaves room to others.
        self.top = if w.size < self.top { (u64::from(w.size) * 17 / 20) as u32 } else { w.size };
        self.since = 0;
        ((u64::from(w.size) * 7 / 10) as u32).max(2 * w.mss)
    }

    fn paused(&mut self, pause: u64) {
        if self.since != 0 {
            self.since += pause;
        }
    }
}

impl Cubic {
    fn begin(&mut self, w: &Window, now: u64) {
        (self.since, self.origin, self.reno, self.counted) = (now, w.size, w.size, 0);
        if self.top <= w.size {
            (self.top, self.until_top) = (w.size, 0);
        } else {
            // K = cbrt((top - origin) / C), in ms: segments / 0.4 * 10^9.
            let gap = u64::from(self.top - w.size) * 1000 / u64::from(w.mss.max(1));
            self.until_top = cube_root(gap * 2_500_000);
        }
    }

    /// The window `t` ms after growth began.
    fn at(&self, t: u64, mss: u32) -> u32 {
        let d = t.abs_diff(self.until_top).min(LONGEST);
        // 0.4 * (d / 1000)^3 segments.
        let off = d * d * d / 1_000_000 * u64::from(mss) / 2500;
        let off = u32::try_from(off).unwrap_or(u32::MAX);
        if t < self.until_top { self.top.saturating_sub(off) } else { self.top.saturating_add(off) }
    }

    /// What Reno would do with beta 0.7: 3 * 0.3 / 1.7 = 0.53 segments for each window (section 4.3).
    fn count(&mut self, w: &Window, acked: u32) {
        let share = if self.reno < self.top { u64::from(acked) * 9 / 17 } else { u64::from(acked) };
        self.counted = self.counted.saturating_add(share as u32);
        while self.counted >= self.reno.max(1) {
            self.counted -= self.reno.max(1);
            self.reno = self.reno.saturating_add(w.mss);
        }
    }
}

/// The integer cube root.
fn cube_root(n: u64) -> u64 {
    let mut root = 0u64;
    for bit in (0..21).rev() {
        let next = root | 1 << bit;
        if next * next * next <= n {
            root = next;
        }
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_that_of_the_rfc() {
        for n in [0, 1, 7, 8, 26, 27, 1_000_000, u64::from(u32::MAX)] {
            let r = cube_root(n);
            assert!(r * r * r <= n && (r + 1).pow(3) > n);
        }
        let mut w = Window { size: 1_000_000, threshold: 0, mss: 1000 };
        let mut c = Cubic::default();
        w.size = c.lost(&w);
        w.threshold = w.size;
        assert_eq!(w.size, 700_000);
        c.begin(&w, MS);
        // cbrt(300 / 0.4) = 9.086 s.
        assert!((9080..9090).contains(&c.until_top), "{}", c.until_top);
        assert!((699_000..702_000).contains(&c.at(0, 1000)), "{}", c.at(0, 1000));
        assert_eq!(c.at(c.until_top, 1000), 1_000_000);
        assert!((1_399_000..1_401_000).contains(&c.at(c.until_top + 10_000, 1000)));
    }

    #[test]
    fn it_is_not_slower_than_reno() {
        let (mut w, rtt) = (Window { size: 20_000, threshold: 10_000, mss: 1000 }, 10 * MS);
        let mut c = Cubic::default();
        w.size = c.lost(&w);
        w.threshold = w.size;
        // A hundred round trips: Reno would be at 14 + 53 or more.
        for round in 1..=100u64 {
            let n = w.size;
            c.acknowledged(&mut w, n, round * rtt, rtt);
        }
        assert!(w.size > 60_000, "{}", w.size);
    }
}
