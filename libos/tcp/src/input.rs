//! A segment arrives (RFC 9293 section 3.10.7). An RST is believed only with the exact sequence number, and whatever
//! else a blind attacker could have sent is answered with an acknowledgment (RFC 5961): a peer that really has lost the
//! connection answers that with an exact RST.

use crate::chunk::Pool;
use crate::connection::{Connection, End, State};
use crate::options::{Parsed, SynOptions};
use crate::{ACK, FIN, MS, RST, SYN, Segment, Seq};

/// Time between two challenge ACKs of a connection (net.ipv4.tcp_invalid_ratelimit: 500 ms). A limit for the whole host
/// would tell an attacker about other connections (CVE-2016-5696); Linux has disabled its own.
pub const PAUSE: u64 = 500 * MS;

/// What a segment was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The connection has dealt with it; it may have something to send.
    Taken,
    /// The connection is over; the segment is to be judged as one that belongs to none.
    Stale,
    /// To be answered with an acknowledgment of [`Connection::position`], without consequences for the connection.
    Challenge,
    /// To be answered with a reset, without consequences for the connection.
    Reset,
    /// Data that nobody can read any more: the connection has to end with a reset.
    Unwanted,
}

impl Connection {
    /// Takes a segment. `unread`: nobody can read what it brings.
    pub fn on_segment(&mut self, now: u64, s: &Segment<'_>, unread: bool, pool: &mut Pool) -> Verdict {
        match self.state {
            State::Closed => Verdict::Stale,
            State::SynSent => self.in_syn_sent(now, s, pool),
            _ => self.synchronized(now, s, unread, pool),
        }
    }

    fn in_syn_sent(&mut self, now: u64, s: &Segment<'_>, pool: &mut Pool) -> Verdict {
        let acks = s.has(ACK);
        if acks && (s.ack != self.send.isn + 1 || self.send.next == self.send.isn) {
            return if s.has(RST) { Verdict::Taken } else { Verdict::Reset };
        }
        if s.has(RST) {
            if acks {
                self.close(End::Reset, pool);
            }
            return Verdict::Taken;
        }
        if !s.has(SYN) {
            return Verdict::Taken;
        }
        self.heard(now);
        self.take_syn(s, &SynOptions::read(s.options));
        self.receive.acknowledge();
        if acks {
            self.acknowledged(now, s, &Parsed::default(), false, pool);
            self.established();
        } else {
            // Both have sent a SYN. Ours is repeated, with an acknowledgment.
            self.state = State::SynReceived;
            self.flight.lose(|_| true);
        }
        Verdict::Taken
    }

    fn established(&mut self) {
        self.state = if self.send.fin { State::FinWait1 } else { State::Established };
    }

    fn synchronized(&mut self, now: u64, s: &Segment<'_>, unread: bool, pool: &mut Pool) -> Verdict {
        if s.has(RST) {
            return self.take_reset(now, s, pool);
        }
        if s.has(SYN) {
            return self.take_stray_syn(now, s, pool);
        }
        if !s.has(ACK) {
            return Verdict::Taken;
        }
        if self.state == State::SynReceived && s.ack != self.send.next {
            return Verdict::Reset;
        }
        let ack = self.send.una.max(s.ack);
        if s.ack.after(self.send.next) || ack != s.ack && self.too_old(s) {
            return self.challenge(now);
        }
        if !self.receive.acceptable(s.seq, s.len()) {
            self.heard(now);
            // What is repeated until it is acknowledged is acknowledged; other things as often as a challenge, and so is
            // everything in a handshake, which has no acknowledgments but that of the SYN.
            return if s.is_empty() || self.state == State::SynReceived {
                self.challenge(now)
            } else {
                self.repeated(s);
                Verdict::Taken
            };
        }
        let refusing = unread && matches!(self.state, State::FinWait1 | State::FinWait2);
        if refusing && !s.data.is_empty() && (s.seq + s.data.len() as u32).after(self.receive.next) {
            return Verdict::Unwanted;
        }
        self.heard(now);
        let o = if s.options.is_empty() { Parsed::default() } else { Parsed::read(s.options) };
        if s.ack == ack {
            let scale = if self.scaled { self.send.scale } else { 0 };
            let old = self.send.window;
            let opened = self.send.take_window(s.seq, s.ack, s.window, scale);
            if self.send.window > 0 && opened {
                self.timers.opened();
            }
            if self.state == State::SynReceived {
                self.established();
            }
            if self.outstanding() > 0 || self.recovery.phase != crate::recovery::Phase::Open {
                let bare = s.is_empty() && self.send.window == old;
                self.acknowledged(now, s, &o, bare, pool);
                self.follow_fin(now, pool);
            }
        } else if self.sack && self.outstanding() > 0 {
            // Overtaken by a newer one, but nothing else may tell what it reports.
            self.acknowledged(now, s, &o, false, pool);
        }
        self.take_data(now, s, pool)
    }

    /// The state after our FIN may have been acknowledged.
    fn follow_fin(&mut self, now: u64, pool: &mut Pool) {
        if self.fin_acknowledged() {
            match self.state {
                State::FinWait1 => {
                    self.state = State::FinWait2;
                    self.fin_waits(now);
                }
                State::Closing => self.state = State::TimeWait,
                State::LastAck => self.close(End::Normal, pool),
                _ => {}
            }
        }
    }

    fn take_data(&mut self, now: u64, s: &Segment<'_>, pool: &mut Pool) -> Verdict {
        if !s.has(FIN) && s.data.is_empty() {
            return Verdict::Taken;
        }
        match self.state {
            State::Established | State::FinWait1 | State::FinWait2 => {}
            // Nothing can follow a FIN but its repetition.
            _ => {
                self.repeated(s);
                return Verdict::Taken;
            }
        }
        match self.receive.store(pool, now, s.seq, s.data, s.has(FIN)) {
            false => {}
            true => {
                self.state = match self.state {
                    // Ours may follow soon, and the acknowledgment can go with it.
                    State::Established => State::CloseWait,
                    state => {
                        self.receive.acknowledge();
                        if state == State::FinWait1 { State::Closing } else { State::TimeWait }
                    }
                };
            }
        }
        Verdict::Taken
    }

    /// Something that we have: the acknowledgment of it was lost.
    fn repeated(&mut self, s: &Segment<'_>) {
        self.receive.repeated(s.seq, s.data.len() as u32);
    }

    /// Whether an acknowledgment is older than anything that could still be on its way (RFC 5961 section 5.2).
    fn too_old(&self, s: &Segment<'_>) -> bool {
        let ever = self.send.una - self.send.isn;
        self.send.una - s.ack > ever.min(self.send.most_window) + 1
    }

    fn take_reset(&mut self, now: u64, s: &Segment<'_>, pool: &mut Pool) -> Verdict {
        match s.seq.0.wrapping_sub(self.receive.next.0) {
            0 => {
                self.close(End::Reset, pool);
                Verdict::Taken
            }
            ahead if ahead < self.receive.window() => self.challenge(now),
            _ => Verdict::Taken,
        }
    }

    fn take_stray_syn(&mut self, now: u64, s: &Segment<'_>, pool: &mut Pool) -> Verdict {
        match self.state {
            // Both have connected at once: the other one's answer.
            State::SynReceived if s.has(ACK) && s.seq + 1 == self.receive.next && s.ack == self.send.next => {
                self.heard(now);
                self.send.take_window(s.seq, s.ack, s.window, 0);
                self.acknowledged(now, s, &Parsed::default(), false, pool);
                self.established();
                Verdict::Taken
            }
            // A repetition: so is our answer.
            State::SynReceived if s.seq + 1 == self.receive.next => {
                if self.challenge_allowed(now) {
                    self.flight.lose(|_| true);
                }
                Verdict::Taken
            }
            // Its TIME-WAIT is about to begin: the same as its table would say.
            State::TimeWait if !s.has(ACK) && s.seq.after(self.receive.next) => Verdict::Stale,
            _ => self.challenge(now),
        }
    }

    /// A challenge ACK, unless one was just sent.
    fn challenge(&mut self, now: u64) -> Verdict {
        if self.challenge_allowed(now) { Verdict::Challenge } else { Verdict::Taken }
    }

    /// What an acknowledgment would say now: its number, what is expected, the window field.
    pub fn position(&mut self) -> (Seq, Seq, u16) {
        (self.send.next, self.receive.next, self.receive.sending(self.scaled))
    }

    fn challenge_allowed(&mut self, now: u64) -> bool {
        let allowed = self.challenged_at == 0 || now >= self.challenged_at + PAUSE;
        if allowed {
            self.challenged_at = now;
        }
        allowed
    }
}
