//! The receiving half of a connection: what has arrived, what of that was read, and the peer's FIN.

use super::{Conn, Owner};
use crate::frame::Tcp;
use crate::phy::{Report, before};
use smoltcp::socket::tcp::State;

/// See the module.
#[derive(Default)]
pub struct Receiver {
    /// shutdown(SHUT_RD).
    pub shut: bool,
    /// Bytes received and not read at the last poll.
    seen: usize,
    /// The next sequence number expected.
    next: u32,
    /// The sequence number after the peer's FIN, once that was taken in.
    fin_end: Option<u32>,
    /// The watchers know that the peer has ended.
    fin_told: bool,
    /// What our last segment acknowledged, and the window field that went with it.
    last_ack: u32,
    last_win: u16,
}

impl Receiver {
    /// The next sequence number expected.
    pub fn next(&self) -> u32 {
        self.next
    }
    /// The peer's SYN had the number before this one.
    pub fn begins_at(&mut self, next: u32) {
        self.next = next;
    }
    /// What our last segment acknowledged; the whole once the peer's FIN was taken in.
    pub fn acknowledged(&self) -> u32 {
        self.fin_end.unwrap_or(self.last_ack)
    }
    /// Whether the peer's FIN, if it has sent one, was acknowledged on the wire.
    pub fn fin_acked(&self) -> bool {
        self.fin_end.is_none_or(|end| end == self.last_ack)
    }
    /// The window as far as smoltcp has promised it: it takes nothing beyond that.
    pub fn promised(&self) -> u16 {
        u32::from(self.last_win).saturating_sub(self.next.wrapping_sub(self.last_ack)) as u16
    }
    /// Takes in what a poll sent.
    pub fn note(&mut self, r: &Report) {
        if let Some(s) = r.last {
            (self.last_ack, self.last_win) = (s.ack, s.window);
        }
    }
}

impl Conn {
    /// The peer will send no more.
    pub fn rx_ended(&self) -> bool {
        matches!(
            self.tcp().state(),
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait | State::Closed
        )
    }

    /// Takes in that smoltcp has processed a segment, before which `queued` bytes could be read.
    pub fn took(&mut self, t: &Tcp, queued: usize) {
        let grown = (self.tcp().recv_queue() - queued) as u32;
        let fin = t.fin && self.receive.fin_end.is_none() && self.rx_ended();
        let r = &mut self.receive;
        r.next = r.next.wrapping_add(grown);
        if fin {
            r.next = r.next.wrapping_add(1);
            r.fin_end = Some(r.next);
        }
    }

    /// The program has read.
    pub fn has_read(&mut self) {
        self.receive.seen = self.tcp().recv_queue();
    }

    /// Whether there is more to read than at the last poll, or it is news that there will be no more.
    pub fn arrived(&mut self) -> bool {
        let queued = self.tcp().recv_queue();
        let more = queued > core::mem::replace(&mut self.receive.seen, queued);
        let ended = self.rx_ended() && !core::mem::replace(&mut self.receive.fin_told, true);
        more || ended
    }

    /// Whether a segment brings data that can never be read, because the socket was closed or both its directions were
    /// shut down. RFC 1122 section 4.2.2.13 wants it answered with a reset, and Linux does that: else the peer writes on,
    /// and hears of nothing. What is merely repeated is smoltcp's business.
    pub fn unwanted(&self, t: &Tcp) -> bool {
        let end = t.seq.wrapping_add(t.len as u32);
        t.len > 0
            && (self.owner == Owner::Orphan || self.receive.shut && self.send.shut)
            && matches!(self.tcp().state(), State::FinWait1 | State::FinWait2)
            && before(self.receive.next, end)
            && !before(self.receive.next.wrapping_add(self.tcp().recv_capacity() as u32), t.seq)
    }
}
