//! UDP: the state of a socket, and receiving, which does not involve smoltcp: ports, connected peers, queues.

use super::Stack;
use super::interface::InterfaceId;
use super::ports::Proto;
use super::sock::{Kind, Name};
use super::udp_send::Out;
use crate::frame::{self, Tuple};
use crate::ipopts;
use crate::multicast::Multicast;
use crate::socket::Header;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use libos_base::poll::Events;
use libos_base::{Errno, Result};
use smoltcp::wire::IpAddress;

/// A received datagram.
pub struct Datagram {
    pub from: Name,
    /// Where it was sent to (IP_PKTINFO).
    pub to: IpAddress,
    pub ifc: InterfaceId,
    pub ttl: u8,
    pub tos: u8,
    /// When it arrived, if anybody wants to know.
    pub at: u64,
    pub data: Vec<u8>,
}

impl Datagram {
    /// A copy.
    pub fn copy(&self) -> Result<Self> {
        let mut data = Vec::new();
        data.try_reserve_exact(self.data.len()).map_err(|_| Errno::ENOBUFS)?;
        data.extend_from_slice(&self.data);
        Ok(Self { data, ..*self })
    }
}

/// Bookkeeping charged for each datagram.
const OVERHEAD: usize = 128;
const DEFAULT_BUF: usize = crate::sockopts::BUF_DEFAULT as usize;

/// A datagram being assembled (UDP_CORK, MSG_MORE).
pub struct Cork {
    pub to: Name,
    pub header: Header,
    pub data: Vec<u8>,
}

/// The state of a datagram socket.
pub struct Udp {
    pub peer: Option<Name>,
    /// Source address of a connected socket.
    pub source: Option<IpAddress>,
    pub queue: VecDeque<Datagram>,
    pub queued: usize,
    pub rcvbuf: usize,
    pub sndbuf: usize,
    pub broadcast: bool,
    /// Which SO_TIMESTAMP option is on; 0: none.
    pub stamp: u8,
    pub multicast: Multicast,
    /// UDP_CORK.
    pub corked: bool,
    pub cork: Option<Cork>,
    pub rx_shut: bool,
    pub tx_shut: bool,
    pub charged: usize,
    pub dropped: u64,
    pub want_room: bool,
    /// An edge-triggered watcher wants to be notified each time something has gone out.
    pub edges: bool,
    /// The last datagram's destination, whose neighbor is asked for.
    pub(super) last_to: Option<IpAddress>,
    pub(super) out: Option<Out>,
    pub(super) dirty: bool,
    pub(super) next_at: u64,
}

impl Udp {
    pub fn new() -> Self {
        Self {
            peer: None,
            source: None,
            queue: VecDeque::new(),
            queued: 0,
            rcvbuf: DEFAULT_BUF,
            sndbuf: DEFAULT_BUF,
            broadcast: false,
            stamp: 0,
            multicast: Multicast::default(),
            corked: false,
            cork: None,
            rx_shut: false,
            tx_shut: false,
            charged: 0,
            dropped: 0,
            want_room: false,
            edges: false,
            last_to: None,
            out: None,
            dirty: false,
            next_at: u64::MAX,
        }
    }
}

impl Stack {
    pub(super) fn udp(&mut self, sid: u32) -> Option<&mut Udp> {
        match &mut self.sockets.get_mut(sid)?.kind {
            Kind::Udp(u) => Some(u),
            _ => None,
        }
    }

    fn udp_matches(&self, sid: u32, ifc: InterfaceId, to: &IpAddress, remote: &Name) -> Option<u8> {
        let s = self.sockets.get(sid)?;
        let Kind::Udp(u) = &s.kind else { return None };
        let all = if matches!(to, IpAddress::Ipv4(_)) { ipopts::MULTICAST_ALL } else { ipopts::MULTICAST_ALL6 };
        // IP_MULTICAST_ALL: any group that some socket here is a member of.
        let member = || s.opts.ip[all] != 0 || self.groups.has(sid, to, ifc);
        if !self.on_device(sid, ifc) || (to.is_multicast() && !member()) {
            return None;
        }
        match u.peer {
            Some(p) if p == *remote => Some(4),
            Some(_) => None,
            None => Some(0),
        }
    }

    /// Handles a datagram from the wire.
    pub fn udp_in(&mut self, ifc: InterfaceId, raw: &[u8], d: &frame::Udp<'_>) {
        let t = d.tuple;
        if ifc == InterfaceId::Eth && t.lport == 68 && self.control.dhcp.is_some() {
            self.hand_to_control(ifc, raw);
            self.control.changed = true;
            return;
        }
        let many = self.is_many(&t.local);
        let genuine = t.remote.is_unicast() && !(ifc == InterfaceId::Eth && super::interface::is_loopback(&t.remote));
        if !genuine || !(many || self.interfaces.is_local(&t.local)) {
            return;
        }
        let found = self.udp_deliver(ifc, d);
        // A link-layer broadcast gets no ICMP error either (RFC 1122 section 3.2.2).
        if !(found || many || ifc == InterfaceId::Eth && raw[0] & 1 != 0) {
            // smoltcp answers "port unreachable".
            self.hand_to_control(ifc, raw);
        }
    }

    /// Whether an address is broadcast or multicast: for everybody who listens.
    fn is_many(&self, a: &IpAddress) -> bool {
        a.is_broadcast() || a.is_multicast() || self.interfaces.is_subnet_broadcast(a)
    }

    /// Queues a datagram with its receivers. False: there are none.
    pub(super) fn udp_deliver(&mut self, ifc: InterfaceId, d: &frame::Udp<'_>) -> bool {
        let t = d.tuple;
        let remote = (t.remote, t.rport);
        if t.local.is_multicast() && !self.groups.joined(&t.local, ifc) {
            return false;
        }
        let many = self.is_many(&t.local);
        // The best match, or all that accept it.
        let mut found: Vec<u32> = Vec::new();
        let mut top = 0;
        for b in self.ports.on(Proto::Udp, t.lport) {
            let n = match b.local.score(&t.local) {
                0 => 0,
                n => self.udp_matches(b.sock, ifc, &t.local, &remote).map_or(0, |m| n + m),
            };
            if n > top && !many {
                found.clear();
            }
            if n > 0 && (many || n >= top) && found.try_reserve(1).is_ok() {
                found.push(b.sock);
            }
            top = top.max(n);
        }
        if found.is_empty() {
            self.stats.udp_no_port += 1;
            return false;
        }
        let one = self.ports.choose(&t, found.len());
        let chosen = if many { &found[..] } else { &found[one..=one] };
        for &sid in chosen {
            if self.udp_queue(sid, ifc, d).is_err() {
                self.stats.udp_dropped += 1;
            }
        }
        true
    }

    fn udp_queue(&mut self, sid: u32, ifc: InterfaceId, d: &frame::Udp<'_>) -> Result<()> {
        let cost = d.data.len() + OVERHEAD;
        self.memory.charge_datagram(cost)?;
        let Some(sock) = self.sockets.get_mut(sid) else { return Err(Errno::EBADF) };
        let shared = sock.shared.clone();
        let Kind::Udp(u) = &mut sock.kind else { return Err(Errno::EBADF) };
        let mut data = Vec::new();
        let fits = u.queued + cost <= u.rcvbuf.max(cost)
            && data.try_reserve_exact(d.data.len()).is_ok()
            && u.queue.try_reserve(1).is_ok();
        if !fits {
            u.dropped += 1;
            self.memory.release(cost);
            return Err(Errno::ENOBUFS);
        }
        data.extend_from_slice(d.data);
        u.queued += cost;
        u.charged += cost;
        let from = (d.tuple.remote, d.tuple.rport);
        let at = if u.stamp != 0 { libos_base::time::realtime_ns() } else { 0 };
        u.queue.push_back(Datagram { from, to: d.tuple.local, ifc, ttl: d.ttl, tos: d.tos, at, data });
        self.wakes.add(&shared, Events::IN | Events::RDNORM);
        Ok(())
    }

    /// Takes the oldest datagram.
    pub fn udp_pop(&mut self, sid: u32) -> Option<Datagram> {
        let u = self.udp(sid)?;
        let d = u.queue.pop_front()?;
        let cost = d.data.len() + OVERHEAD;
        u.queued -= cost;
        u.charged -= cost;
        self.memory.release(cost);
        Some(d)
    }

    /// An ICMP error for something we sent: the next call on a connected socket reports it.
    pub fn udp_error(&mut self, t: &Tuple, error: Errno) {
        let to = (t.remote, t.rport);
        let ours = |s: u32| {
            self.udp_matches(s, InterfaceId::Lo, &t.local, &to).or(self.udp_matches(s, InterfaceId::Eth, &t.local, &to))
        };
        let sid = self.ports.on(Proto::Udp, t.lport).iter().map(|b| b.sock).find(|&s| ours(s) == Some(4));
        if let Some(s) = sid.and_then(|s| self.sockets.get_mut(s)) {
            s.error = Some(error);
            let shared = s.shared.clone();
            self.wakes.add(&shared, Events::ERR | Events::IN | Events::OUT);
        }
    }
}
