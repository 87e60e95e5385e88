//! The sending half of a connection: what was written, how much of it went out, what cork holds back, and the FIN.

use super::{Conn, Moved, Owner};
use crate::phy::{Report, before};
use crate::stack::interface::InterfaceId;
use alloc::vec::Vec;
use libos_base::io::Source;
use libos_base::time::NS;
use libos_base::{Errno, Result};
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::IpAddress;

/// How long cork holds data back (200 ms, as Linux).
const CORK: u64 = NS / 5;

/// See the module.
pub struct Sender {
    /// shutdown(SHUT_WR).
    pub shut: bool,
    /// A writer found no room: notify when a third is free.
    pub want_room: bool,
    /// SO_SNDBUF, if set when the connection was already open.
    limit: usize,
    /// Full size of a segment's data.
    mss: usize,
    /// IP_TOS or IPV6_TCLASS.
    tos: u8,
    /// Stream bytes passed to smoltcp.
    enqueued: u64,
    /// Data that TCP_CORK or MSG_MORE holds back, less than a segment; and when it is sent regardless.
    corked: Vec<u8>,
    cork_at: u64,
    /// A FIN must follow data that the peer's window does not admit yet: see [`Conn::finish`].
    fin_due: bool,
    /// Sequence numbers seen on the way out: the first, the highest, the end of the last small segment, the end of the
    /// last segment.
    isn: u32,
    high: Option<u32>,
    small_end: Option<u32>,
    last_seq: u32,
    retransmits: u32,
}

impl Sender {
    pub fn new() -> Self {
        Self {
            shut: false,
            want_room: false,
            limit: usize::MAX,
            mss: 536,
            tos: 0,
            enqueued: 0,
            corked: Vec::new(),
            cork_at: 0,
            fin_due: false,
            isn: 0,
            high: None,
            small_end: None,
            last_seq: 0,
            retransmits: 0,
        }
    }

    /// SO_SNDBUF of an open connection.
    pub fn set_limit(&mut self, n: usize) {
        self.limit = n;
    }
    /// IP_TOS or IPV6_TCLASS.
    pub fn set_tos(&mut self, tos: u8) {
        self.tos = tos;
    }
    /// Full size of a segment's data.
    pub fn mss(&self) -> usize {
        self.mss
    }
    /// Number of retransmitted segments.
    pub fn retransmits(&self) -> u32 {
        self.retransmits
    }
    /// Whether a FIN is waiting for data to go out.
    pub fn fin_due(&self) -> bool {
        self.fin_due
    }
    pub fn isn(&self) -> u32 {
        self.isn
    }
    /// The highest sequence number sent.
    pub fn high(&self) -> Option<u32> {
        self.high
    }
    /// The sequence number after the last segment.
    pub fn last_seq(&self) -> u32 {
        self.last_seq
    }
    /// Bytes held back by cork.
    pub fn held(&self) -> usize {
        self.corked.len()
    }
    /// When cork ends; [`u64::MAX`] without data.
    pub fn cork_ends(&self) -> u64 {
        if self.cork_at != 0 && !self.corked.is_empty() { self.cork_at } else { u64::MAX }
    }
    /// Discards what cork holds back.
    pub fn drop_corked(&mut self) {
        self.corked.clear();
    }
    /// Stream bytes that the peer has acknowledged, given `queued` in smoltcp's buffer.
    pub fn acked(&self, queued: usize) -> u64 {
        self.enqueued - queued as u64
    }
    /// Sequence number of a byte that the program wrote.
    pub fn sequence(&self, byte: u64) -> u32 {
        self.isn.wrapping_add(1).wrapping_add(byte as u32)
    }
    /// Whether the peer has not acknowledged everything, given how much it has acknowledged.
    pub fn owed(&self, acked: u64) -> bool {
        self.enqueued != acked
    }

    /// Free room for writing, and the most that may wait to be sent and acknowledged.
    fn room(&self, tcp: &tcp::Socket<'_>) -> (usize, usize) {
        let capacity = tcp.send_capacity().min(self.limit);
        (capacity.saturating_sub(tcp.send_queue() + self.corked.len()), capacity)
    }

    /// Whether a third of the buffer is free: what Linux calls writable.
    pub fn writable(&self, tcp: &tcp::Socket<'_>) -> bool {
        let (room, capacity) = self.room(tcp);
        room * 3 >= capacity
    }

    /// The report that a poll starts with.
    #[inline(always)]
    pub fn report(&self) -> Report {
        Report { high: self.high, mss: self.mss, tos: self.tos, ..Report::default() }
    }
    /// Takes note of what a poll sent.
    pub fn note(&mut self, r: &Report) {
        if let Some(isn) = r.isn {
            self.isn = isn;
        }
        if let Some(s) = r.last {
            self.last_seq = s.seq.wrapping_add(s.len as u32).wrapping_add(u32::from(s.flags & 1));
        }
        self.high = r.high;
        if r.small_end.is_some() {
            self.small_end = r.small_end;
        }
    }
}

/// Room and order.
impl Conn {
    /// Sets the full size of a segment's data, from both sides' limits.
    pub fn set_mss(&mut self, mtu: usize, option: Option<u16>) {
        let headers = if matches!(self.tuple.local, IpAddress::Ipv4(_)) { 40 } else { 60 };
        let theirs = option.filter(|&m| m != 0).map_or(536, |m| usize::from(m).max(48));
        self.send.mss = theirs.min(mtu - headers);
    }

    /// Something was retransmitted. Until a first loss only the peer's window and our buffer limit sending; from then
    /// on congestion control does: smoltcp's starts at two segments, a tenth of what RFC 6928 allows.
    pub fn resent(&mut self) {
        self.send.retransmits += 1;
        if self.tcp().congestion_control() == tcp::CongestionControl::None {
            self.tcp_mut().set_congestion_control(tcp::CongestionControl::Reno);
        }
    }

    /// Nagle's algorithm as amended by Minshall and as Linux has it: a small segment waits only while another *small*
    /// one is unacknowledged. smoltcp's waits for everything in flight, which costs a delayed ACK at the end of every
    /// odd-sized response.
    pub fn decide_nagle(&mut self) {
        let unacked = || self.send.sequence(self.send.acked(self.tcp().send_queue()));
        let small = self.send.small_end.filter(|_| !self.opts.nodelay && !self.send.fin_due);
        let nagle = small.is_some_and(|end| before(unacked(), end));
        self.tcp_mut().set_nagle_enabled(nagle);
    }

    /// The most that may wait to be sent and acknowledged.
    pub fn send_capacity(&self) -> usize {
        self.send.room(self.tcp()).1
    }

    /// Free room for writing.
    pub fn room(&self) -> usize {
        self.send.room(self.tcp()).0
    }

    /// Whether data or a SYN has not gone out.
    pub fn unsent(&self) -> bool {
        let s = &self.send;
        let sent = s.high.map_or(0, |h| h.wrapping_sub(s.isn.wrapping_add(1)));
        s.high.is_none() || (s.enqueued as u32).wrapping_sub(sent) as i32 > 0 && self.tcp().send_queue() > 0
    }
}

/// Writing.
impl Conn {
    /// Takes what there is room for. `more`: the program has announced more.
    pub fn write(&mut self, src: &mut Source<'_>, room: usize, now: u64, more: bool) -> Result<Moved> {
        if more || !self.send.corked.is_empty() {
            self.hold_back(src, room, now, more)
        } else {
            Ok(self.push(src, usize::MAX))
        }
    }

    /// Copies from the program straight into the send buffer.
    fn push(&mut self, src: &mut Source<'_>, most: usize) -> Moved {
        let tcp = self.set.get_mut::<tcp::Socket>(self.handle);
        let mut moved = Moved::default();
        while src.left() > 0 && moved.bytes < most && !moved.stopped {
            let n = tcp.send(|room| {
                let wanted = room.len().min(most - moved.bytes).min(src.left());
                moved.stopped = !src.take_present(&mut room[..wanted]);
                let n = if moved.stopped { 0 } else { wanted };
                (n, n)
            });
            match n {
                Ok(n) if n > 0 => moved.bytes += n,
                _ => break,
            }
        }
        self.send.enqueued += moved.bytes as u64;
        moved
    }

    /// With cork, only full segments go to smoltcp; the rest waits here.
    fn hold_back(&mut self, src: &mut Source<'_>, room: usize, now: u64, more: bool) -> Result<Moved> {
        let mss = self.send.mss;
        if self.send.corked.capacity() == 0 {
            self.send.corked.try_reserve_exact(mss).map_err(|_| Errno::ENOBUFS)?;
        }
        let held = self.send.corked.len();
        let all = held + src.left().min(room);
        let full = if more { all / mss * mss } else { all };
        let mut moved = Moved::default();
        if full > 0 {
            // Copied directly, the few held bytes first. Their buffer is kept for the next ones.
            let mut data = core::mem::take(&mut self.send.corked);
            self.enqueue(&data);
            data.clear();
            self.send.corked = data;
            moved = self.push(src, full - held);
        }
        let corked = &mut self.send.corked;
        let rest = (room - moved.bytes).min(src.left()).min(mss - 1 - corked.len());
        if more && rest > 0 && !moved.stopped {
            let at = corked.len();
            corked.try_reserve(rest).map_err(|_| Errno::ENOBUFS)?;
            corked.resize(at + rest, 0);
            if src.take_present(&mut corked[at..]) {
                moved.bytes += rest;
            } else {
                corked.truncate(at);
                moved.stopped = true;
            }
        }
        if corked.is_empty() {
            self.send.cork_at = 0;
        } else if self.send.cork_at == 0 {
            self.send.cork_at = now + CORK;
        }
        Ok(moved)
    }

    /// Puts held bytes into the send buffer, where room is kept for them.
    fn enqueue(&mut self, held: &[u8]) {
        let n = self.tcp_mut().send_slice(held).unwrap_or(0);
        self.send.enqueued += n as u64;
    }

    /// Ends cork.
    pub fn uncork(&mut self) {
        if !self.send.corked.is_empty() {
            let data = core::mem::take(&mut self.send.corked);
            self.enqueue(&data);
        }
        self.send.cork_at = 0;
    }

    /// Ends cork, or MSG_MORE, if it no longer applies.
    pub fn uncork_in_time(&mut self, now: u64) {
        let applies = || now < self.send.cork_at && !self.send.shut && matches!(self.owner, Owner::Sock(_));
        if !self.send.corked.is_empty() && !applies() {
            self.uncork();
        }
    }
}

/// The end of a connection.
impl Conn {
    /// Sends a FIN after everything that was written.
    ///
    /// In LAST-ACK, smoltcp ignores window updates: a segment that acknowledges nothing is answered as a stray one and
    /// dropped. Data waiting for the peer's window would then only go out with probes, seconds apart; so from
    /// CLOSE-WAIT the FIN is held back until the window has admitted everything.
    pub fn finish(&mut self, now: u64) {
        self.owes_from(now);
        self.uncork();
        self.send.fin_due = self.tcp().state() == State::CloseWait && !self.all_sent();
        if !self.send.fin_due {
            self.tcp_mut().close();
        }
    }

    /// Sends the FIN that was held back, if its time has come. Returns whether it did.
    pub fn finish_when_sent(&mut self) -> bool {
        if !(self.send.fin_due && self.all_sent()) {
            return false;
        }
        self.send.fin_due = false;
        self.tcp_mut().close();
        true
    }

    /// Whether the peer's window has admitted everything. A single byte may have been a probe that the peer refused.
    fn all_sent(&self) -> bool {
        match self.tcp().send_queue() {
            0 => true,
            1 => false,
            _ => !self.unsent(),
        }
    }

    /// Bytes that a peer beyond the card has not received or not acknowledged; a FIN and a reset count as one.
    pub fn undelivered(&self) -> usize {
        if self.ifc != InterfaceId::Eth || self.detached {
            return 0;
        }
        let ending = matches!(self.tcp().state(), State::FinWait1 | State::Closing | State::LastAck);
        self.tcp().send_queue() + usize::from(ending || self.send.fin_due || self.dirty)
    }
}
