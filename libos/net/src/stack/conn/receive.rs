//! The receiving half of a connection: what has arrived, how much of it was read, and the peer's FIN.

use super::{Conn, Owner};
use crate::frame::Tcp;
use crate::phy::{Report, before};
use libos_base::Errno;
use smoltcp::socket::tcp::{self, State};

/// See the module.
#[derive(Default)]
pub struct Receiver {
    /// shutdown(SHUT_RD).
    pub shut: bool,
    /// Bytes received but not read as of the last poll.
    seen: usize,
    /// The next sequence number expected.
    next: u32,
    /// The sequence number after the peer's FIN, once that has been processed.
    fin_end: Option<u32>,
    /// The watchers know that the peer has ended.
    fin_told: bool,
    /// What our last segment acknowledged, and its window field.
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
    /// What our last segment acknowledged; everything once the peer's FIN has been processed.
    pub fn acknowledged(&self) -> u32 {
        self.fin_end.unwrap_or(self.last_ack)
    }
    /// Whether the peer's FIN, if it sent one, was acknowledged on the wire.
    pub fn fin_acked(&self) -> bool {
        self.fin_end.is_none_or(|end| end == self.last_ack)
    }
    /// The window as promised by smoltcp: it takes nothing beyond that.
    pub fn promised(&self) -> u16 {
        u32::from(self.last_win).saturating_sub(self.next.wrapping_sub(self.last_ack)) as u16
    }
    /// Takes note of what a poll sent.
    pub fn note(&mut self, r: &Report) {
        if let Some(s) = r.last {
            (self.last_ack, self.last_win) = (s.ack, s.window);
        }
    }
}

/// The state after a read.
pub struct Read {
    /// Bytes that can be read.
    pub left: usize,
    /// The window may have grown enough to be worth announcing.
    pub opened: bool,
}

/// Whether the peer sends nothing more in this state.
pub fn ended(state: State) -> bool {
    matches!(state, State::CloseWait | State::LastAck | State::Closing | State::TimeWait | State::Closed)
}

impl Conn {
    /// Whether the peer will send nothing more.
    pub fn rx_ended(&self) -> bool {
        ended(self.tcp().state())
    }

    /// Takes note that smoltcp has processed a segment, before which it was in state `before` with `queued` bytes to
    /// read. Returns the state.
    pub fn took(&mut self, t: &Tcp, before: State, queued: usize) -> State {
        let tcp = self.tcp();
        let (state, grown) = (tcp.state(), (tcp.recv_queue() - queued) as u32);
        if before == State::SynSent {
            // The peer's initial sequence number, once it is accepted.
            self.receive.next = t.seq.wrapping_add(1);
        }
        if before == State::LastAck && t.rst && state == State::Closed {
            self.error = Some(Errno::ECONNRESET);
        }
        self.receive.next = self.receive.next.wrapping_add(grown);
        if t.fin && self.receive.fin_end.is_none() && ended(state) {
            self.receive.next = self.receive.next.wrapping_add(1);
            self.receive.fin_end = Some(self.receive.next);
        }
        state
    }

    /// Passes the received data to `take`, piece by piece, until it does not take the whole of one.
    pub fn read(&mut self, mut take: impl FnMut(&[u8]) -> usize) -> Read {
        let tcp = self.set.get_mut::<tcp::Socket>(self.handle);
        let before = tcp.recv_queue();
        let mut left = before;
        while left > 0 {
            let whole = tcp.recv(|data| {
                let n = take(data);
                (n, n == data.len())
            });
            left = tcp.recv_queue();
            if whole != Ok(true) {
                break;
            }
        }
        self.receive.seen = left;
        Read { left, opened: before * 4 >= tcp.recv_capacity() }
    }

    /// Whether there is more to read than at the last poll, or it is news that nothing more will come.
    pub fn arrived(&mut self) -> bool {
        let tcp = self.tcp();
        let (queued, ended) = (tcp.recv_queue(), ended(tcp.state()));
        let more = queued > core::mem::replace(&mut self.receive.seen, queued);
        more | (ended && !core::mem::replace(&mut self.receive.fin_told, true))
    }

    /// Whether a segment carries data that can never be read, because the socket was closed or both its directions were
    /// shut down. RFC 1122 section 4.2.2.13 wants a reset as the answer, and Linux sends it: otherwise the peer keeps
    /// writing without noticing. Mere repetitions are left to smoltcp.
    pub fn unwanted(&self, t: &Tcp) -> bool {
        let end = t.seq.wrapping_add(t.len as u32);
        t.len > 0
            && (self.owner == Owner::Orphan || self.receive.shut && self.send.shut)
            && matches!(self.tcp().state(), State::FinWait1 | State::FinWait2)
            && before(self.receive.next, end)
            && !before(self.receive.next.wrapping_add(self.tcp().recv_capacity() as u32), t.seq)
    }
}
