//! What an acknowledgment says about what was sent: round trips, what has arrived, what is lost.

use crate::chunk::Pool;
use crate::connection::Connection;
use crate::options::Parsed;
use crate::recovery::Phase;
use crate::{Segment, Seq};

/// Duplicate acknowledgments that mean a loss.
const DUPLICATES: u8 = 3;

impl Connection {
    /// Takes the acknowledgment of a segment, which is not older than the last one and not beyond what was sent. `bare`:
    /// it has nothing else to say.
    pub(crate) fn acknowledged(&mut self, now: u64, s: &Segment<'_>, o: &Parsed, bare: bool, pool: &mut Pool) {
        let (una, outstanding) = (self.send.una, self.outstanding());
        let advanced = s.ack.after(una);
        let (mut delivered, mut first) = (0, None);
        let least = self.rtt.least();
        let Self { flight, rack, .. } = self;
        let mut arrived = |sent: &crate::flight::Sent| {
            delivered += sent.len;
            if !sent.again() && first.is_none() {
                first = Some(sent.at);
            }
            rack.delivered(sent, now, least);
        };
        if advanced {
            flight.acknowledge(s.ack, &mut arrived);
        }
        let mut twice = None;
        if self.sack {
            let blocks = o.blocks();
            twice = reported_twice(blocks, s.ack);
            for &(start, end) in &blocks[usize::from(twice.is_some())..] {
                if start.before(end) && !start.before(una) && !end.after(self.send.next) {
                    flight.sack(start, end, self.send.mss, &mut arrived);
                }
            }
        }
        if let Some(at) = first {
            self.rtt.measured(now - at, now);
        }
        if advanced {
            self.advance(s.ack, pool);
            self.timers.progressed(now);
            self.timers.restarted = now;
            self.rtt.answered();
            self.duplicates = 0;
        } else if !self.sack && bare && outstanding > 0 {
            self.duplicates = self.duplicates.saturating_add(1);
            delivered = self.send.mss.min(outstanding);
        }
        if let Some((start, end)) = twice {
            self.received_twice(start, end);
        }
        self.probed_tail(now, s.ack, advanced, twice.is_some(), bare && delivered == 0);
        let lost = self.find_lost_after(now, advanced, outstanding);
        self.steer(now, delivered, outstanding, advanced, lost);
    }

    /// Everything before `ack` has arrived.
    fn advance(&mut self, ack: Seq, pool: &mut Pool) {
        let end = self.send.end();
        let start = self.send.start();
        let bytes = if ack.after(end) { self.send.buffer.len() } else { (ack - start) as usize };
        // The first acknowledgment may be that of the SYN alone.
        if ack.after(start) {
            self.send.buffer.consume(bytes, pool);
        }
        self.acknowledged += u64::from(ack - self.send.una);
        self.send.una = ack;
    }

    /// What is known to be lost after an acknowledgment; and that recovery begins.
    fn find_lost_after(&mut self, now: u64, advanced: bool, outstanding: u32) -> u32 {
        let lost = match self.sack {
            true if self.flight.plain() => {
                self.rack.rest();
                0
            }
            true => return self.find_lost(now),
            // NewReno (RFC 6582): the first one; and another one for each partial acknowledgment.
            false => match self.recovery.phase {
                Phase::Open if self.duplicates == DUPLICATES => self.flight.lose_first(self.send.mss),
                Phase::Recovery { high } if advanced && self.send.una.before(high) => {
                    self.flight.lose_first(self.send.mss)
                }
                _ => 0,
            },
        };
        if lost > 0 {
            self.recover(now, outstanding);
        }
        lost
    }

    /// Looks for what is lost by time. Returns the bytes.
    pub(crate) fn find_lost(&mut self, now: u64) -> u32 {
        let certain = self.recovery.phase != Phase::Open || self.flight.sacked() >= 3 * self.send.mss;
        let (least, smoothed) = (self.rtt.least(), self.rtt.smoothed().unwrap_or(0));
        let lost = self.rack.detect(&mut self.flight, now, certain, least, smoothed);
        if lost > 0 {
            self.recover(now, self.outstanding());
        }
        lost
    }

    /// Whether the probe of a tail has told something (RFC 8985 section 7.4).
    fn probed_tail(&mut self, now: u64, ack: Seq, advanced: bool, twice: bool, same: bool) {
        let Some((high, old)) = self.timers.tail else { return };
        if ack.before(high) {
            return;
        }
        if !old || twice || same {
            self.timers.tail = None;
        } else if ack.after(high) && advanced {
            self.timers.tail = None;
            self.lost_tail(now);
        }
    }

    /// Whether our FIN was acknowledged.
    pub(crate) fn fin_acknowledged(&self) -> bool {
        self.send.fin_sent && self.send.una == self.send.next
    }
}

/// What arrived twice, if the first block reports that (RFC 2883).
fn reported_twice(blocks: &[(Seq, Seq)], ack: Seq) -> Option<(Seq, Seq)> {
    match *blocks {
        [first, ..] if !first.1.after(ack) => Some(first),
        [first, whole, ..] if !first.0.before(whole.0) && !first.1.after(whole.1) => Some(first),
        _ => None,
    }
}
