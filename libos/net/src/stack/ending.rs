//! How a connection ends: FIN behind everything that was written, close, and data that nobody can read any more.

use super::Stack;
use super::conn::{Conn, Owner};
use super::interface::InterfaceId;
use super::sock::Kind;
use crate::frame::Tcp;
use crate::phy::before;
use libos_base::Errno;
use smoltcp::socket::tcp::State;

impl Conn {
    /// FIN, after everything that was written.
    ///
    /// smoltcp's LAST-ACK takes in no window update: what acknowledges nothing is answered like a stray segment and
    /// dropped. Data that waits for the peer's window would then only go out with probes, seconds apart; so from
    /// CLOSE-WAIT the FIN is held back until the window has let everything through.
    pub fn finish(&mut self, now: u64) {
        self.owes_from(now);
        self.uncork();
        self.fin_due = self.tcp().state() == State::CloseWait && !self.all_sent();
        if !self.fin_due {
            self.tcp_mut().close();
        }
    }

    /// The FIN that was held back, when its time has come. Whether it was.
    pub fn finish_when_sent(&mut self) -> bool {
        if !(self.fin_due && self.all_sent()) {
            return false;
        }
        self.fin_due = false;
        self.tcp_mut().close();
        true
    }

    /// Whether the peer's window let everything through. A single byte may have been a probe that the peer refused.
    fn all_sent(&self) -> bool {
        match self.tcp().send_queue() {
            0 => true,
            1 => false,
            _ => !self.unsent(),
        }
    }

    /// See [`Stack::undelivered`].
    fn undelivered(&self) -> usize {
        if self.ifc != InterfaceId::Eth || self.detached {
            return 0;
        }
        let ending = matches!(self.tcp().state(), State::FinWait1 | State::Closing | State::LastAck);
        self.tcp().send_queue() + usize::from(ending || self.fin_due || self.dirty)
    }

    /// Whether a segment brings data that can never be read, because the socket was closed or both its directions were
    /// shut down. RFC 1122 section 4.2.2.13 wants it answered with a reset, and Linux does that: else the peer writes on,
    /// and hears of nothing. What is merely repeated is smoltcp's business.
    pub fn unwanted(&self, t: &Tcp) -> bool {
        let end = t.seq.wrapping_add(t.len as u32);
        t.len > 0
            && (self.owner == Owner::Orphan || self.rx_shut && self.tx_shut)
            && matches!(self.tcp().state(), State::FinWait1 | State::FinWait2)
            && before(self.rcv_nxt, end)
            && !before(self.rcv_nxt.wrapping_add(self.tcp().recv_capacity() as u32), t.seq)
    }
}

impl Stack {
    /// Ends a connection over data that nobody can read. Whether the segment is nobody's from here on, and to be answered
    /// as such: that reset has just the number that the peer expects. Otherwise the connection says it itself.
    pub fn refuse_data(&mut self, id: u32) -> bool {
        match self.connections.get_mut(id) {
            Some(c) if c.owner != Owner::Orphan => {
                c.abort(Some(Errno::ECONNRESET));
                self.connections.touch(id);
                false
            }
            _ => {
                self.remove_conn(id);
                true
            }
        }
    }

    /// `close` of a connected socket.
    pub fn close_conn(&mut self, id: u32, linger: Option<u32>) {
        let now = self.now;
        let Some(c) = self.connections.get_mut(id) else { return };
        c.owner = Owner::Orphan;
        c.shared = None;
        if c.detached || c.tcp().state() == State::Closed && c.tcp().remote_endpoint().is_none() {
            self.remove_conn(id);
            return;
        }
        // Unread data means that the peer's words are lost: it must hear that (RFC 2525 section 2.17).
        if linger == Some(0) || c.tcp().recv_queue() > 0 {
            c.abort(None);
        } else {
            c.finish(now);
        }
        self.connections.touch(id);
    }

    /// What the end of a process does: closes every socket. Datagrams that wait for the card stay there.
    pub fn close_all(&mut self) {
        for sid in 0..self.sockets.end() {
            if self.sockets.get(sid).is_some_and(|s| !matches!(s.kind, Kind::Udp(_))) {
                self.close(sid);
            }
        }
    }

    /// What peers beyond the card have not got, or not acknowledged, in bytes; a FIN, a reset and a datagram count as one.
    pub fn undelivered(&self) -> usize {
        self.connections.all().map(Conn::undelivered).sum::<usize>() + self.datagrams.dirty()
    }

    /// Resets what is not delivered: better than silence, which a peer may believe in for hours.
    pub fn abort_all(&mut self) {
        for id in 0..self.connections.end() {
            let Some(c) = self.connections.get_mut(id).filter(|c| c.undelivered() > 0) else { continue };
            c.abort(None);
            self.connections.touch(id);
        }
    }
}
