//! How connections end: close, data that nobody can read any more, and the end of the process.

use super::Stack;
use super::conn::{Conn, Owner};
use super::sock::Kind;
use libos_base::Errno;
use libos_tcp::State;

impl Stack {
    /// Ends a connection because of data that nobody can read. Returns true if the segment now belongs to no connection
    /// and must be answered as such: that reset has exactly the number that the peer expects. Otherwise the connection
    /// sends the reset itself.
    pub fn refuse_data(&mut self, id: u32) -> bool {
        match self.connections.get_mut(id) {
            Some(c) if c.owner != Owner::Orphan => {
                c.abort(Some(Errno::ECONNRESET), &mut self.memory);
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
        c.orphan(now);
        if c.detached {
            self.remove_conn(id);
            return;
        }
        // Unread data means that the peer's words are lost, and it must learn that (RFC 2525 section 2.17). A connection that
        // the peer has not answered ends without a word (RFC 9293 section 3.10.4).
        if linger == Some(0) || c.tcp().recv_queue() > 0 || c.tcp().state() == State::SynSent {
            c.abort(None, &mut self.memory);
        } else {
            c.tcp_mut().finish(now);
        }
        self.connections.touch(id);
    }

    /// At the end of a process: closes every socket. Datagrams waiting for the card stay there.
    pub fn close_all(&mut self) {
        for sid in 0..self.sockets.end() {
            if self.sockets.get(sid).is_some_and(|s| !matches!(s.kind, Kind::Udp(_))) {
                self.close(sid);
            }
        }
    }

    /// Bytes that peers beyond the card have not received or not acknowledged; a FIN, a reset and a datagram count as
    /// one.
    pub fn undelivered(&self) -> usize {
        self.connections.all().map(Conn::undelivered).sum::<usize>() + self.datagrams.dirty()
    }

    /// Resets connections with undelivered data: better than silence, which a peer may wait out for hours.
    pub fn abort_all(&mut self) {
        for id in 0..self.connections.end() {
            let Some(c) = self.connections.get_mut(id).filter(|c| c.undelivered() > 0) else { continue };
            c.abort(None, &mut self.memory);
            self.connections.touch(id);
        }
    }
}
