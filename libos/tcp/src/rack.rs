//! Which segments are lost: RACK (RFC 8985). A segment is lost if one that was sent later has arrived, and the time in
//! which reordering would have brought it has passed.

use crate::flight::{Flight, Sent};
use crate::{NEVER, Seq};

/// How many recoveries a wider reordering window lasts after a needless retransmission.
const PERSIST: u8 = 16;

/// See the module.
#[derive(Clone, Copy, Default)]
pub struct Rack {
    /// The most recently sent segment that has arrived: when it was sent, its end, its round trip.
    at: u64,
    end: Seq,
    rtt: u64,
    /// The highest sequence number known to have arrived.
    forward: Option<Seq>,
    /// Segments have arrived out of order.
    reordering: bool,
    /// Quarters of a round trip in addition to the first, for how many more recoveries, and when the next may be added.
    steps: u8,
    persist: u8,
    round: Option<Seq>,
    /// When the next segment may turn out to be lost; 0: none is suspected.
    due: u64,
}

impl Rack {
    /// A segment has arrived.
    pub fn delivered(&mut self, s: &Sent, now: u64, least: u64) {
        let rtt = now.saturating_sub(s.at);
        match self.forward {
            Some(f) if s.end().before(f) => self.reordering |= !s.again(),
            _ => self.forward = Some(s.end()),
        }
        // Faster than the network: what arrived was the first copy.
        if s.again() && rtt < least {
            return;
        }
        if s.at > self.at || s.at == self.at && s.end().after(self.end) {
            (self.at, self.end) = (s.at, s.end());
        }
        self.rtt = rtt;
    }

    /// The peer has received something twice: the reordering window was too small.
    pub fn needless(&mut self, una: Seq, next: Seq) {
        if self.round.is_none_or(|round| !una.before(round)) {
            self.steps = self.steps.saturating_add(1);
            self.persist = PERSIST;
            self.round = Some(next);
        }
    }

    /// A recovery is over.
    pub fn recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.steps = 0;
        }
    }

    /// How long a segment may be late. `certain`: enough others have arrived, or losses are known.
    fn tolerance(&self, certain: bool, least: u64, smoothed: u64) -> u64 {
        if !self.reordering && certain {
            return 0;
        }
        (least / 4 * (1 + u64::from(self.steps))).min(smoothed)
    }

    /// Marks what is lost by now. Returns how many bytes.
    pub fn detect(&mut self, flight: &mut Flight, now: u64, certain: bool, least: u64, smoothed: u64) -> u32 {
        let late = self.rtt + self.tolerance(certain, least, smoothed);
        let (at, end) = (self.at, self.end);
        let mut due = NEVER;
        let lost = flight.lose(|s| {
            if !(at > s.at || at == s.at && end.after(s.end())) {
                return false;
            }
            due = if s.at + late > now { due.min(s.at + late) } else { due };
            s.at + late <= now
        });
        self.due = if due == NEVER { 0 } else { due };
        lost
    }

    /// When [`detect`](Self::detect) may find more.
    pub fn due(&self) -> u64 {
        if self.due == 0 { NEVER } else { self.due }
    }
    /// Nothing is suspected.
    pub fn rest(&mut self) {
        self.due = 0;
    }
}
