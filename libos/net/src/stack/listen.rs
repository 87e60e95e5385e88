//! Listening sockets: backlog, SYN to connection, accept.

use super::conn::{Conn, Owner, TcpOpts};
use super::interface::InterfaceId;
use super::sequence::seeded;
use super::sock::Kind;
use super::{Stack, instant};
use crate::frame::{Tcp, Tuple};
use crate::phy::{FrameQueue, Link, OneSlot, Report};
use alloc::collections::VecDeque;
use libos_base::poll::Events;
use libos_base::time::NS;
use libos_base::{Errno, Result};
use smoltcp::phy::Medium;
use smoltcp::socket::tcp::{self, State};

/// net.core.somaxconn.
pub const SOMAXCONN: usize = 4096;
/// How long a handshake may take (tcp_synack_retries 5).
const HANDSHAKE: u64 = 63 * NS;

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
    pub fn listener_in(&mut self, ifc: InterfaceId, raw: &[u8], ip: &[u8], t: &Tcp) -> bool {
        let suits = |b: &super::ports::Bound| b.listening && self.on_device(b.sock, ifc);
        let Some(sid) = self.ports.best(&t.tuple, suits) else { return false };
        if t.has_ack {
            return self.cookie_in(sid, ifc, raw, t);
        }
        if t.syn && !t.fin && !t.rst {
            self.syn_in(sid, ifc, raw, ip, t);
        }
        true
    }

    fn syn_in(&mut self, sid: u32, ifc: InterfaceId, raw: &[u8], ip: &[u8], t: &Tcp) {
        let now = self.now;
        let Some(Kind::Listen(l)) = self.sockets.get_mut(sid).map(|s| &mut s.kind) else { return };
        // Handshakes already have buffers: those of all listening sockets together must leave room for connections.
        let full = l.half_len >= l.backlog.max(8) * 2 || self.memory.half > self.memory.budget / 2;
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
        } else if let Err(why) = self.open_half(sid, ifc, ip, t, None) {
            self.stats.syn_dropped += 1;
            self.tell_loopback(ifc, t, why);
        }
    }

    /// There is no memory for the SYN `t`. A peer retries later; over loopback that would need this same memory again,
    /// for two minutes, so the connecting socket fails at once.
    fn tell_loopback(&mut self, ifc: InterfaceId, t: &Tcp, why: Errno) {
        let back = Tuple { local: t.tuple.remote, lport: t.tuple.rport, remote: t.tuple.local, rport: t.tuple.lport };
        if ifc == InterfaceId::Lo
            && matches!(why, Errno::ENOBUFS | Errno::ENOMEM)
            && let Some(id) = self.connections.find(&back)
            && let Some(c) = self.connections.get_mut(id)
        {
            c.abort(Some(Errno::ENOBUFS));
            self.connections.touch(id);
        }
    }

    /// Makes a connection in the handshake from the SYN `t` in packet `ip`. `cookie`: the initial sequence number with
    /// which the SYN was answered before.
    pub fn open_half(&mut self, sid: u32, ifc: InterfaceId, ip: &[u8], t: &Tcp, cookie: Option<u32>) -> Result<u32> {
        let opts = self.sock(sid)?.opts;
        let now = self.now;
        self.connections.reserve(&t.tuple)?;
        let ((mut set, handle), charged) = self.memory.socket(self.sizes(&opts))?;
        let s = set.get_mut::<tcp::Socket>(handle);
        let mtu = self.interfaces.mtu(ifc);
        s.abort();
        s.set_congestion_control(tcp::CongestionControl::None);
        let isn = cookie.unwrap_or_else(|| self.sequence.isn(&t.tuple, now));
        let mut own = seeded(isn, t.tuple.local, mtu, now);
        let mut ok = s.listen((t.tuple.local, t.tuple.lport)).is_ok();
        let mut report = Report::default();
        if ok && let Ok(own) = &mut own {
            // The SYN is processed on an interface of its own: see `seeded`.
            let link = Link { medium: Medium::Ip, mtu, tx_checksum: true, tso4: None };
            let mut dev = OneSlot { link, rx: Some(ip), sink: &mut FrameQueue::default(), report };
            own[0].poll_ingress_single(instant(now), &mut dev, &mut set);
            ok = set.get::<tcp::Socket>(handle).state() == State::SynReceived;
            if cookie.is_some() {
                // smoltcp's answer is already out.
                own[0].poll_egress(instant(now), &mut dev, &mut set);
                report = dev.report;
            }
        }
        if !ok || own.is_err() {
            self.memory.put_back((set, handle), charged);
            return Err(own.err().unwrap_or(Errno::EINVAL));
        }
        let mut c = Conn::new((set, handle), t.tuple, ifc, Owner::Half(sid), opts, now);
        c.charged = charged;
        c.receive.begins_at(t.seq.wrapping_add(1));
        c.patience.set_deadline(now + HANDSHAKE);
        c.set_mss(mtu, t.mss);
        c.note(&report);
        c.apply();
        let id = self.add_conn(c)?;
        self.memory.half += charged;
        if let Some(Kind::Listen(l)) = self.sockets.get_mut(sid).map(|s| &mut s.kind) {
            l.half_len += 1;
        }
        self.connections.touch(id);
        Ok(id)
    }

    /// A connection leaves the handshake, successfully or not.
    pub fn leave_half(&mut self, id: u32, owner: Owner) {
        let Some(c) = self.connections.get_mut(id) else { return };
        let Owner::Half(sid) = core::mem::replace(&mut c.owner, owner) else { return };
        self.memory.half -= c.charged;
        if let Some(Kind::Listen(l)) = self.sockets.get_mut(sid).map(|s| &mut s.kind) {
            l.half_len -= 1;
        }
    }

    /// A handshake is complete: puts the connection into the accept queue, unless TCP_DEFER_ACCEPT still wants data.
    pub fn established(&mut self, id: u32) {
        let Some(c) = self.connections.get_mut(id) else { return };
        let Owner::Half(sid) = c.owner else { return };
        let has_data = c.tcp().recv_queue() > 0 || c.rx_ended();
        if c.opts.defer > 0 && !has_data {
            let until = c.patience.made_at() + u64::from(c.opts.defer) * NS;
            if self.now < until {
                c.patience.set_deadline(until);
                return;
            }
        }
        c.patience.set_deadline(0);
        self.leave_half(id, Owner::Queued(sid));
        let Some(sock) = self.sockets.get_mut(sid) else { return };
        let shared = sock.shared.clone();
        let Kind::Listen(l) = &mut sock.kind else { return };
        if l.queue.try_reserve(1).is_err() {
            self.remove_conn(id);
            return;
        }
        l.queue.push_back(id);
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
        for id in 0..self.connections.end() {
            let Some(c) = self.connections.get_mut(id) else { continue };
            if c.owner != Owner::Half(sid) && c.owner != Owner::Queued(sid) {
                continue;
            }
            if c.detached {
                // Its peer has already reset it.
                self.remove_conn(id);
            } else {
                c.abort(None);
                self.leave_half(id, Owner::Orphan);
                self.connections.touch(id);
            }
        }
    }

    /// Buffer sizes for a connection with these options.
    pub fn sizes(&self, opts: &TcpOpts) -> (usize, usize) {
        let (r, s) = self.memory.sizes();
        (if opts.rcvbuf > 0 { opts.rcvbuf } else { r }, if opts.sndbuf > 0 { opts.sndbuf } else { s })
    }
}
