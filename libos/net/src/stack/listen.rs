//! Listening sockets: backlog, who gets in, accept.

use super::Stack;
use super::conn::{Owner, TcpOpts};
use super::interface::InterfaceId;
use super::sock::Kind;
use super::transmit::headers;
use crate::frame::Tcp;
use alloc::collections::VecDeque;
use libos_base::poll::Events;
use libos_base::time::NS;
use libos_base::{Errno, Result};
use libos_tcp::congestion::Algorithm;
use libos_tcp::{ACK, Config, FIN, RST, SYN};
use smoltcp::wire::IpAddress;

/// net.core.somaxconn.
pub const SOMAXCONN: usize = 4096;

/// What `listen` adds to a socket.
pub struct Listener {
    /// Accept queue limit.
    pub backlog: usize,
    /// Complete connections, waiting to be accepted.
    pub queue: VecDeque<u32>,
    /// Number of connections in the handshake.
    pub half_len: usize,
    /// Since when there have been as many as allowed. 0: there are fewer.
    full_since: u64,
}

impl Listener {
    /// For `listen(fd, backlog)`.
    pub fn new(backlog: i32) -> Self {
        Self { backlog: limit(backlog), queue: VecDeque::new(), half_len: 0, full_since: 0 }
    }

    /// SYNs are dropped while the accept queue is over its limit, as on Linux.
    pub fn overflows(&self) -> bool {
        self.queue.len() > self.backlog
    }
}

/// The accept queue limit for a `backlog` argument.
pub fn limit(backlog: i32) -> usize {
    (backlog as u32 as usize).min(SOMAXCONN)
}

impl Stack {
    /// Handles a segment that matches no connection. Returns true if a listening socket dealt with it. As in Linux's
    /// LISTEN (tcp_rcv_state_process), only a pure SYN opens, an ACK is refused unless it brings a cookie back, and the
    /// rest is ignored: FIN, null and Christmas tree scans learn nothing.
    pub fn listener_in(&mut self, ifc: InterfaceId, raw: &[u8], t: &Tcp<'_>) -> bool {
        let suits = |b: &super::ports::Bound| b.listening && self.on_device(b.sock, ifc);
        let Some(sid) = self.ports.best(&t.tuple, suits) else { return false };
        if t.segment.has(ACK) {
            return self.cookie_in(sid, ifc, raw, t);
        }
        if t.segment.has(SYN) && !t.segment.has(FIN | RST) {
            self.syn_in(sid, ifc, raw, t);
        }
        true
    }

    fn syn_in(&mut self, sid: u32, ifc: InterfaceId, raw: &[u8], t: &Tcp<'_>) {
        let now = self.now;
        let Some(Kind::Listen(l)) = self.sockets.get_mut(sid).map(|s| &mut s.kind) else { return };
        // Those of all listening sockets together must leave room for connections.
        let full = l.half_len >= l.backlog.max(8) * 2 || self.memory.half > self.memory.budget() / 2;
        match (full, l.full_since) {
            (false, _) => l.full_since = 0,
            (true, 0) => l.full_since = now,
            _ => {}
        }
        // Either the backlog has room for those who come back with a cookie, or this is a flood whose handshakes stay.
        // A burst is over within a second, and may come again then.
        let room = l.queue.len() + l.half_len < l.backlog;
        let cookie = full && (room || self.sequence.cookies_out(now) || now >= l.full_since + NS);
        if l.overflows() || full && !cookie {
            self.stats.syn_dropped += 1;
        } else if cookie {
            self.send_cookie(sid, ifc, raw, t);
        } else if let Err(why) = self.request(sid, ifc, raw, t) {
            self.stats.syn_dropped += 1;
            self.tell_loopback(ifc, t, why);
        }
    }

    /// There is no memory for the SYN `t`. A peer retries later; over loopback that would need this same memory again,
    /// for two minutes, so the connecting socket fails at once.
    fn tell_loopback(&mut self, ifc: InterfaceId, t: &Tcp<'_>, why: Errno) {
        if ifc == InterfaceId::Lo
            && matches!(why, Errno::ENOBUFS | Errno::ENOMEM)
            && let Some(id) = self.connections.find(&t.tuple.back())
            && let Some(c) = self.connections.get_mut(id)
        {
            c.abort(Some(Errno::ENOBUFS), &mut self.memory);
            self.connections.touch(id);
        }
    }

    /// A handshake for the listening socket is complete: puts the connection into its accept queue.
    pub fn established(&mut self, sid: u32, id: u32) {
        let Some(sock) = self.sockets.get_mut(sid) else { return self.remove_conn(id) };
        let shared = sock.shared.clone();
        let room = match &mut sock.kind {
            Kind::Listen(l) => l.queue.try_reserve(1).map(|()| l.queue.push_back(id)).is_ok(),
            _ => false,
        };
        if !room {
            return self.remove_conn(id);
        }
        self.stats.accepted += 1;
        self.wakes.add(&shared, Events::IN | Events::RDNORM);
    }

    /// Takes the next complete connection. `None`: there is none.
    pub fn accept(&mut self, sid: u32) -> Option<Result<u32>> {
        let sock = self.sockets.get_mut(sid)?;
        let Kind::Listen(l) = &mut sock.kind else { return Some(Err(Errno::EINVAL)) };
        while let Some(id) = l.queue.pop_front() {
            // One that was reset meanwhile is still returned, as on Linux: reading from it gives ECONNRESET.
            if self.connections.get(id).is_some() {
                return Some(Ok(id));
            }
        }
        None
    }

    /// `close` of a listening socket: connections not accepted yet get an RST.
    pub fn close_listener(&mut self, sid: u32) {
        self.forget_requests(sid);
        for id in 0..self.connections.end() {
            let Some(c) = self.connections.get_mut(id) else { continue };
            if c.owner != Owner::Queued(sid) {
                continue;
            }
            if c.detached {
                // Its peer has already reset it.
                self.remove_conn(id);
            } else {
                c.abort(None, &mut self.memory);
                c.owner = Owner::Orphan;
                self.connections.touch(id);
            }
        }
    }

    /// The largest segment that reaches us over an interface.
    pub fn mss(&self, ifc: InterfaceId, local: &IpAddress) -> u16 {
        (self.interfaces.mtu(ifc) - headers(local)) as u16
    }

    /// What a connection with these options starts with.
    pub fn config(&self, opts: &TcpOpts, ifc: InterfaceId, local: &IpAddress) -> Config {
        let (receive, send) = self.memory.sizes();
        let most = self.memory.most();
        let sizes = |asked: usize, usual: usize| if asked > 0 { (asked, asked) } else { (usual, most.max(usual)) };
        Config {
            mss: self.mss(ifc, local),
            receive: sizes(opts.rcvbuf, receive),
            send: sizes(opts.sndbuf, send),
            ack_delay: opts.ack_delay(),
            algorithm: Algorithm::by_name(opts.congestion.as_bytes()).unwrap_or_default(),
        }
    }
}
