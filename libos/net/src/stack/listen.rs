//! Listening sockets: backlog, SYN to connection, accept.

use super::conn::{Conn, Ifc, Owner, TcpOpts};
use super::sock::Kind;
use super::{Stack, instant};
use crate::frame::Tcp;
use crate::phy::{FrameQueue, Link, Nowhere, OneSlot, Report};
use crate::table::Keyed;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::hash::BuildHasher;
use libos_base::poll::Events;
use libos_base::time::NS;
use libos_base::{Errno, Result};
use smoltcp::iface::{Config, Interface};
use smoltcp::phy::Medium;
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

/// net.core.somaxconn.
pub const SOMAXCONN: usize = 4096;
/// How long a handshake may take (tcp_synack_retries 5).
const HANDSHAKE: u64 = 63 * NS;

/// What `listen` adds to a socket.
pub struct Listener {
    /// Accept queue limit.
    pub backlog: usize,
    /// Complete connections.
    pub queue: VecDeque<u32>,
    /// Connections in the handshake, oldest first. Ids that have moved on are skipped.
    pub half: VecDeque<u32>,
    /// How many of `half` still are.
    pub half_len: usize,
}

impl Listener {
    /// For `listen(fd, backlog)`.
    pub fn new(backlog: i32) -> Self {
        Self { backlog: limit(backlog), queue: VecDeque::new(), half: VecDeque::new(), half_len: 0 }
    }
}

/// The accept queue limit for a `backlog` argument.
pub fn limit(backlog: i32) -> usize {
    (backlog as u32 as usize).min(SOMAXCONN)
}

/// The seed with which an interface draws `isn` for its first connection. smoltcp's generator (PCG with 64 bits of
/// state) multiplies, adds, and gives 32 bits from a place that the top three bits name: with those zero, the 32 bits
/// below. A new interface first draws an IPv4 identification, again if that is 0. A test notices when this changes.
fn seed_for(isn: u32) -> u64 {
    const M: u64 = 0xbb2e_fcec_3c39_611d;
    const A: u64 = 0x7590_ef39;
    // The inverse of M modulo 2^64, by Newton's iteration: each round doubles the number of right bits.
    const INVERSE: u64 = {
        let (mut x, mut i) = (M, 0);
        while i < 5 {
            x = x.wrapping_mul(2u64.wrapping_sub(M.wrapping_mul(x)));
            i += 1;
        }
        x
    };
    let back = |state: u64| state.wrapping_sub(A).wrapping_mul(INVERSE);
    let mut second = u64::from(isn) << 29;
    loop {
        let first = back(second);
        let drawn = (first >> (29 - (first >> 61))) as u32;
        if (drawn ^ drawn >> 16) as u16 != 0 {
            return back(first);
        }
        // The low bits are not drawn from.
        second += 1;
    }
}

/// An interface of its own that draws `isn` as its next initial sequence number: smoltcp would take them from the
/// generator of the interface, whose next value can be computed from earlier ones.
pub fn seeded(isn: u32, local: IpAddress, mtu: usize, now: u64) -> Box<Interface> {
    let link = Link { medium: Medium::Ip, mtu, tx_checksum: true, tso4: None };
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed_for(isn);
    let mut dev = OneSlot { link, rx: None, sink: &mut Nowhere, report: Report::default() };
    let mut iface = super::interface(config, &mut dev, instant(now));
    let bits = if matches!(local, IpAddress::Ipv4(_)) { 32 } else { 128 };
    iface.update_ip_addrs(|a| {
        let _ = a.push(IpCidr::new(local, bits));
    });
    iface
}

/// Hash of a peer for choosing among SO_REUSEPORT listeners.
pub fn spread(hash: &Keyed, t: &crate::frame::Tuple) -> u64 {
    hash.hash_one(t)
}

impl Stack {
    /// The initial sequence number of a connection (RFC 6528): a clock, so that a later connection on the same
    /// tuple is told from an earlier one, plus a keyed hash of the tuple, so that nobody else can know it.
    pub fn isn(&self, t: &crate::frame::Tuple) -> u32 {
        // 64 ns a tick, as Linux: around once in 274 seconds.
        let clock = (self.now >> 6) as u32;
        clock.wrapping_add(crate::table::sip(self.isn_key, &t.bytes()) as u32)
    }

    /// A SYN that matches no connection. True when it was dealt with; false: nobody listens (RST).
    pub fn syn_in(&mut self, ifc: Ifc, ip: &[u8], t: &Tcp) -> bool {
        let h = spread(&self.hash, &t.tuple);
        let Some(sid) = self.ports.best(super::ports::Proto::Tcp, t.tuple.lport, &t.tuple.local, h, |b| b.listening)
        else {
            return false;
        };
        if self.open_half(sid, ifc, ip, t).is_err() {
            self.stats.syn_dropped += 1;
        }
        true
    }

    fn open_half(&mut self, sid: u32, ifc: Ifc, ip: &[u8], t: &Tcp) -> Result<()> {
        let oldest = self.oldest_half(sid);
        let (opts, oldest) = {
            let sock = self.socks.get_mut(sid).ok_or(Errno::EBADF)?;
            let opts = sock.opts;
            let Kind::Listen(l) = &mut sock.kind else { return Err(Errno::EINVAL) };
            // Linux: SYNs are dropped while the accept queue is over its limit.
            if l.queue.len() > l.backlog {
                return Err(Errno::EAGAIN);
            }
            l.half.try_reserve(1)?;
            // A full handshake queue loses its oldest entry rather than the new SYN: under a flood of SYNs that
            // are never answered, a real peer then only has to answer within a queue's worth of them.
            let full = l.half_len >= l.backlog.max(8) * 2 || l.half.len() > 4 * SOMAXCONN;
            (opts, if full { oldest } else { None })
        };
        if let Some(old) = oldest {
            self.drop_half(sid, old);
        }
        let sizes = self.sizes(&opts);
        let now = self.now;
        self.reserve_conn()?;
        let mut got = self.memory.socket(sizes);
        if got.is_err()
            && let Some(old) = self.oldest_half(sid)
        {
            self.drop_half(sid, old);
            got = self.memory.socket(self.sizes(&opts));
        }
        let ((mut set, handle), charged) = got?;
        let s = set.get_mut::<tcp::Socket>(handle);
        let mtu = self.mtu(ifc);
        s.abort();
        s.set_congestion_control(tcp::CongestionControl::None);
        let mut ok = s.listen((t.tuple.local, t.tuple.lport)).is_ok();
        if ok {
            // The SYN is processed on an interface of its own: see `seeded`.
            let link = Link { medium: Medium::Ip, mtu, tx_checksum: true, tso4: None };
            let mut dev = OneSlot { link, rx: Some(ip), sink: &mut FrameQueue::default(), report: Report::default() };
            let isn = self.isn(&t.tuple);
            seeded(isn, t.tuple.local, mtu, now).poll_ingress_single(instant(now), &mut dev, &mut set);
            ok = set.get::<tcp::Socket>(handle).state() == State::SynReceived;
        }
        if !ok {
            self.memory.put_back((set, handle), charged);
            return Err(Errno::EINVAL);
        }
        let mut c = Conn::new(set, handle, t.tuple, ifc, Owner::Half(sid), opts, now);
        c.charged = charged;
        c.prev = State::SynReceived;
        c.rcv_nxt = t.seq.wrapping_add(1);
        c.deadline = now + HANDSHAKE;
        c.set_mss(mtu, t.mss);
        c.apply();
        let id = self.add_conn(c)?;
        if let Some(Kind::Listen(l)) = self.socks.get_mut(sid).map(|s| &mut s.kind) {
            l.half.push_back(id);
            l.half_len += 1;
        }
        self.touch(id);
        Ok(())
    }

    fn oldest_half(&mut self, sid: u32) -> Option<u32> {
        let Some(Kind::Listen(l)) = self.socks.get_mut(sid).map(|s| &mut s.kind) else { return None };
        while let Some(&id) = l.half.front() {
            if self.conns.get(id).is_some_and(|c| c.owner == Owner::Half(sid)) {
                return Some(id);
            }
            l.half.pop_front();
        }
        None
    }

    /// Forgets a connection in the handshake.
    fn drop_half(&mut self, sid: u32, id: u32) {
        if let Some(Kind::Listen(l)) = self.socks.get_mut(sid).map(|s| &mut s.kind) {
            l.half.pop_front();
        }
        if self.conns.get(id).is_some_and(|c| c.owner == Owner::Half(sid)) {
            self.stats.syn_dropped += 1;
            self.remove_conn(id);
        }
    }

    /// A handshake is complete: into the accept queue, unless TCP_DEFER_ACCEPT still wants data.
    pub fn established(&mut self, id: u32) {
        let Some(c) = self.conns.get_mut(id) else { return };
        let Owner::Half(sid) = c.owner else { return };
        let has_data = c.tcp().recv_queue() > 0 || c.rx_ended();
        if c.opts.defer > 0 && !has_data {
            let until = c.made_at + u64::from(c.opts.defer) * NS;
            if self.now < until {
                c.deadline = until;
                return;
            }
        }
        c.deadline = 0;
        c.owner = Owner::Queued(sid);
        let Some(sock) = self.socks.get_mut(sid) else { return };
        let shared = sock.shared.clone();
        let Kind::Listen(l) = &mut sock.kind else { return };
        l.half_len = l.half_len.saturating_sub(1);
        if l.queue.try_reserve(1).is_err() {
            self.remove_conn(id);
            return;
        }
        l.queue.push_back(id);
        self.stats.accepted += 1;
        self.wake(&shared, Events::IN | Events::RDNORM);
    }

    /// Takes the next complete connection. `None`: none is there.
    pub fn accept(&mut self, sid: u32) -> Option<Result<u32>> {
        let sock = self.socks.get_mut(sid)?;
        let Kind::Listen(l) = &mut sock.kind else { return Some(Err(Errno::EINVAL)) };
        while let Some(id) = l.queue.pop_front() {
            // One that was reset meanwhile is still handed out, as on Linux: reading it gives ECONNRESET.
            if self.conns.get(id).is_some() {
                return Some(Ok(id));
            }
        }
        None
    }

    /// `close` of a listening socket: whoever was not accepted gets an RST.
    pub fn close_listener(&mut self, l: Listener) {
        for id in l.queue.into_iter().chain(l.half) {
            let pending = |c: &Conn| matches!(c.owner, Owner::Half(_) | Owner::Queued(_));
            if self.conns.get(id).is_some_and(pending)
                && let Some(c) = self.conns.get_mut(id)
            {
                c.owner = Owner::Orphan;
                c.abort(None);
                self.touch(id);
            }
        }
    }

    /// Buffer sizes for a connection with these options.
    pub fn sizes(&self, opts: &TcpOpts) -> (usize, usize) {
        let (r, s) = self.memory.sizes();
        (if opts.rcvbuf > 0 { opts.rcvbuf } else { r }, if opts.sndbuf > 0 { opts.sndbuf } else { s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoltcp_draws_the_number_that_the_seed_is_made_for() {
        for isn in (0..40_000).map(|i: u32| i.wrapping_mul(0x9e37_79b9)).chain([1, u32::MAX]) {
            let local = IpAddress::v4(10, 0, 0, 1);
            let mut iface = seeded(isn, local, 1500, 0);
            let buffer = || tcp::SocketBuffer::new(vec![0; 1024]);
            let mut set = smoltcp::iface::SocketSet::new(vec![]);
            let mut s = tcp::Socket::new(buffer(), buffer());
            s.connect(iface.context(), (IpAddress::v4(10, 0, 0, 2), 80), (local, 4000)).unwrap();
            set.add(s);
            let link = Link { medium: Medium::Ip, mtu: 1500, tx_checksum: true, tso4: None };
            let mut queue = FrameQueue::default();
            let mut dev = OneSlot { link, rx: None, sink: &mut queue, report: Report::default() };
            iface.poll_egress(instant(0), &mut dev, &mut set);
            assert_eq!(dev.report.isn, Some(isn));
        }
    }
}
