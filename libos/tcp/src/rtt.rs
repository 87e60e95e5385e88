//! Round-trip times and the retransmission timeout (RFC 6298), with Linux's bounds.

use crate::{MS, S};

/// The shortest time that is added to the round trip before something is sent again (tcp_rto_min).
pub const LEAST: u64 = 200 * MS;
/// The longest timeout, and the one before anything was measured.
const MOST: u64 = 120 * S;
const FIRST: u64 = S;
/// After this time the smallest round trip is measured anew: the route may have changed.
const FRESH: u64 = 10 * S;

/// See the module.
#[derive(Clone, Copy)]
pub struct Rtt {
    /// Smoothed; 0: nothing was measured.
    smoothed: u64,
    variation: u64,
    least: u64,
    least_at: u64,
    backoff: u8,
}

impl Rtt {
    pub const fn new() -> Self {
        Self { smoothed: 0, variation: 0, least: 0, least_at: 0, backoff: 0 }
    }

    /// A segment that was sent once was acknowledged after `sample`.
    pub fn measured(&mut self, sample: u64, now: u64) {
        let sample = sample.max(1);
        if self.smoothed == 0 {
            (self.smoothed, self.variation) = (sample, sample / 2);
        } else {
            let off = self.smoothed.abs_diff(sample);
            self.variation = (self.variation * 3 + off) / 4;
            self.smoothed = (self.smoothed * 7 + sample) / 8;
        }
        if self.least == 0 || sample <= self.least || now > self.least_at + FRESH {
            (self.least, self.least_at) = (sample, now);
        }
        self.backoff = 0;
    }

    /// The smoothed round trip, if anything was measured.
    pub fn smoothed(&self) -> Option<u64> {
        (self.smoothed != 0).then_some(self.smoothed)
    }
    pub fn variation(&self) -> u64 {
        self.variation
    }
    /// The smallest round trip in a while; 0: unknown.
    pub fn least(&self) -> u64 {
        self.least
    }

    /// The retransmission timeout.
    pub fn timeout(&self) -> u64 {
        let base = if self.smoothed == 0 { FIRST } else { self.smoothed + (4 * self.variation).max(LEAST) };
        (base << self.backoff.min(20)).min(MOST)
    }
    /// It has passed in vain: the next one is twice as long.
    pub fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(20);
    }
    /// The peer has answered.
    pub fn answered(&mut self) {
        self.backoff = 0;
    }
    /// How often it has passed in vain.
    pub fn backoff(&self) -> u8 {
        self.backoff
    }
}
