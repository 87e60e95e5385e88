//! Which segments of a connection smoltcp gets to see. It believes any RST inside the window; RFC 5961 requires the
//! exact sequence number, and an acknowledgment ("challenge ACK") for anything that a blind attacker could have sent: a
//! peer that really has lost the connection answers that with an exact RST.

use super::Conn;
use crate::frame::Tcp;
use crate::phy::before;
use crate::stack::reply::Segment;
use smoltcp::socket::tcp::State;

/// Time between two challenge ACKs of a connection (net.ipv4.tcp_invalid_ratelimit: 500 ms). A limit for the whole host
/// would tell an attacker about other connections (CVE-2016-5696); Linux has disabled its own.
pub const PAUSE: u64 = 500_000_000;

/// What happens to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// For smoltcp to process.
    Take,
    /// Ignored.
    Drop,
    /// Ignored, except for an acknowledgment of our position.
    Challenge,
    /// Data that nobody can read any more: the connection ends with an RST.
    Refuse,
    /// The connection is over; the segment is judged as one that belongs to none.
    Stale,
}

impl Conn {
    /// Judges a segment with this connection's addresses (RFC 9293 section 3.10.7.4, RFC 5961 sections 3 to 5).
    pub fn judge(&self, t: &Tcp) -> Fate {
        let socket = self.tcp();
        let state = socket.state();
        match state {
            // All that remains is to send our RST.
            State::Closed => return Fate::Stale,
            // Not synchronized: smoltcp requires an exact acknowledgment of our SYN.
            State::SynSent | State::Listen => return Fate::Take,
            _ => {}
        }
        if t.rst {
            let window = (socket.recv_capacity() - socket.recv_queue()) as u32;
            return match t.seq.wrapping_sub(self.receive.next()) {
                0 => Fate::Take,
                ahead if ahead < window => Fate::Challenge,
                _ => Fate::Drop,
            };
        }
        if t.syn {
            return match state {
                // A repetition, or a simultaneous open.
                State::SynReceived if t.seq.wrapping_add(1) == self.receive.next() => Fate::Take,
                // The TIME-WAIT begins with this batch of frames: the same as its table would say.
                State::TimeWait if !t.has_ack && before(self.receive.next(), t.seq) => Fate::Stale,
                _ => Fate::Challenge,
            };
        }
        if !t.has_ack {
            return Fate::Drop;
        }
        if state == State::SynReceived {
            // smoltcp answers a wrong acknowledgment with an RST, as it should.
            return Fate::Take;
        }
        if self.send.high().is_some_and(|high| before(high, t.ack)) {
            // smoltcp would believe that data still in our buffer was received.
            return Fate::Challenge;
        }
        let acked = self.send.acked(socket.send_queue());
        let old = self.send.sequence(acked).wrapping_sub(t.ack);
        // Older than anything that could still be on its way: never more than a send buffer was in flight.
        if (old as i32) > 0 && u64::from(old) > acked.min(socket.send_capacity() as u64) + 1 {
            return Fate::Challenge;
        }
        if self.unwanted(t) { Fate::Refuse } else { Fate::Take }
    }

    /// A challenge ACK, unless one was just sent.
    pub fn challenge(&mut self, now: u64) -> Option<Segment> {
        let seq = self.send.high()?;
        if self.challenged_at != 0 && now < self.challenged_at + PAUSE {
            return None;
        }
        self.challenged_at = now;
        Some(Segment::ack(seq, self.receive.next(), self.receive.promised()))
    }
}
