//! Repairing losses: when the window shrinks, how fast lost data is sent again (proportional rate reduction, RFC 6937),
//! and taking it all back if it turns out that nothing was lost.

use crate::Seq;
use crate::congestion::{Algorithm, Window};
use crate::connection::Connection;

/// What sending is about at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// Lost segments are being sent again, until everything before `high` has arrived.
    Recovery { high: Seq },
    /// The same after a timeout: all in flight counts as lost, and the window begins anew.
    Loss { high: Seq },
}

/// The state of a recovery.
#[derive(Clone, Copy)]
pub struct Recovery {
    pub phase: Phase,
    /// Bytes delivered and sent since it began, and in flight then.
    delivered: u64,
    sent: u64,
    start: u32,
    /// Segments sent again since it began that were not reported as needless, and where they are.
    again: u32,
    where_again: (Seq, Seq),
    /// When the last of them was.
    again_at: u64,
    /// What the window was.
    before: Option<(Window, Algorithm)>,
}

impl Recovery {
    pub const fn new() -> Self {
        Self {
            phase: Phase::Open,
            delivered: 0,
            sent: 0,
            start: 0,
            again: 0,
            where_again: (Seq(0), Seq(0)),
            again_at: 0,
            before: None,
        }
    }
    /// Something was sent.
    pub fn sent(&mut self, bytes: u32) {
        self.sent += u64::from(bytes);
    }
    /// A segment was sent again.
    pub fn sent_again(&mut self, now: u64, seq: Seq, len: u32) {
        self.again_at = now;
        let (start, end) = if self.again == 0 { (seq, seq) } else { self.where_again };
        self.where_again = (start.min(seq), end.max(seq + len));
        self.again += 1;
        self.sent(len);
    }
}

impl Connection {
    /// Shrinks the window, once for what was lost in the same flight.
    fn shrink(&mut self, now: u64) {
        let r = &mut self.recovery;
        // As long as the last one may still turn out to have been needless, this one stands or falls with it.
        let settled = r.again == 0 || now > r.again_at + 2 * self.rtt.smoothed().unwrap_or(0);
        if settled || r.before.is_none() {
            (r.before, r.again) = (Some((self.window, self.algorithm)), 0);
        }
        self.window.threshold = self.algorithm.lost(&self.window);
    }

    /// Something in flight is lost, by RACK or by duplicate acknowledgments. `outstanding`: bytes not acknowledged.
    pub(crate) fn recover(&mut self, now: u64, outstanding: u32) {
        if self.recovery.phase == Phase::Open {
            self.shrink(now);
            let high = self.send.next;
            let r = &mut self.recovery;
            (r.phase, r.delivered, r.sent, r.start) = (Phase::Recovery { high }, 0, 0, outstanding.max(1));
            self.window.size = self.flight.pipe(outstanding) + self.window.mss;
        }
    }

    /// The retransmission timer has fired.
    pub(crate) fn lose_all(&mut self, now: u64) {
        if !matches!(self.recovery.phase, Phase::Loss { high } if self.send.una.before(high)) {
            self.shrink(now);
        }
        self.recovery.phase = Phase::Loss { high: self.send.next };
        self.window.size = self.window.mss;
        self.flight.lose_all();
        self.rack.rest();
    }

    /// Moves the window after an acknowledgment: `delivered` bytes arrived of `outstanding` before it.
    pub(crate) fn steer(&mut self, now: u64, delivered: u32, outstanding: u32, advanced: bool, lost: u32) {
        let una = self.send.una;
        match self.recovery.phase {
            Phase::Recovery { high } if una.before(high) => return self.pace(delivered, advanced && lost == 0),
            Phase::Recovery { .. } => {
                self.window.size = self.window.threshold.max(self.window.mss);
                self.recovery.phase = Phase::Open;
                self.rack.recovered();
            }
            Phase::Loss { high } if !una.before(high) => {
                self.recovery.phase = Phase::Open;
                self.rack.recovered();
            }
            _ => {}
        }
        // A window that was not used has not been tried.
        let w = &mut self.window;
        let used = if w.slow_start() { outstanding.saturating_mul(2) } else { outstanding + 3 * w.mss };
        if delivered > 0 && used >= w.size {
            self.algorithm.acknowledged(w, delivered, now, self.rtt.smoothed().unwrap_or(0));
        }
    }

    /// Proportional rate reduction: as much goes out as arrives, scaled down to the new threshold.
    fn pace(&mut self, delivered: u32, safe: bool) {
        let (pipe, threshold) = (self.flight.pipe(self.outstanding()), self.window.threshold);
        let r = &mut self.recovery;
        r.delivered += u64::from(delivered);
        let more = if pipe > threshold {
            (r.delivered * u64::from(threshold)).div_ceil(u64::from(r.start)).saturating_sub(r.sent)
        } else {
            let extra = if safe { u64::from(self.window.mss) } else { 0 };
            let most = r.delivered.saturating_sub(r.sent).max(u64::from(delivered)) + extra;
            most.min(u64::from(threshold - pipe))
        };
        // The first one goes out at once.
        let least = if r.sent == 0 { u64::from(self.window.mss) } else { 0 };
        self.window.size = pipe.saturating_add(more.max(least) as u32).max(self.window.mss);
    }

    /// The peer reports that it received something twice. If that is so for all that was sent again, nothing was lost.
    /// The network makes copies, too: those tell nothing.
    pub(crate) fn received_twice(&mut self, start: Seq, end: Seq) {
        let r = &mut self.recovery;
        let sent_again = r.again > 0 && !start.before(r.where_again.0) && !end.after(r.where_again.1);
        if !sent_again || !start.before(end) {
            return;
        }
        // The peer may have joined several.
        r.again = r.again.saturating_sub((end - start).div_ceil(self.send.mss));
        if r.again == 0
            && let Some((window, algorithm)) = r.before.take()
        {
            r.phase = Phase::Open;
            self.window.size = self.window.size.max(window.size);
            self.window.threshold = window.threshold;
            self.algorithm = algorithm;
        }
        self.rack.needless(self.send.una, self.send.next);
    }

    /// A router on the way reports that a segment with this number is too large: what is in flight is sent again in
    /// smaller ones. Returns whether the report is believed (RFC 5927: it quotes what is in flight).
    pub fn path_narrows(&mut self, seq: Seq, mss: u32) -> bool {
        let plausible = !seq.before(self.send.una) && seq.before(self.send.next) && mss < self.send.mss;
        if plausible {
            self.set_mss(mss);
            self.flight.lose(|s| s.len > mss);
        }
        plausible
    }

    /// A probe has shown that the last segment of a flight was lost.
    pub(crate) fn lost_tail(&mut self, now: u64) {
        if self.recovery.phase == Phase::Open {
            self.shrink(now);
            self.window.size = self.window.threshold;
        }
    }
}
