//! UDP: the state of a socket, and receiving, which does not involve smoltcp: ports, connected peers, queues.

use super::Stack;
use super::interface::InterfaceId;
use super::ports::Proto;
use super::raw::Raw;
use super::sock::{Kind, Name};
use super::udp_send::Out;
use crate::errqueue::{CALLS, Errors};
use crate::frame::{self, Tuple};
use crate::ipopts;
use crate::multicast::{self, Multicast};
use crate::packet::Filter;
use crate::socket::Header;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
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

/// What an ICMP error says: type, code, MTU, from whom, and what it quotes of the data.
pub struct Icmp<'a> {
    pub v6: bool,
    pub kind: u8,
    pub code: u8,
    pub info: u32,
    pub from: IpAddress,
    pub data: &'a [u8],
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
    /// What makes it a raw or a ping socket; freed by [`Raw::closed`], since other images do not have the code.
    pub raw: Option<ManuallyDrop<Box<Raw>>>,
    /// IP_RECVERR, IPV6_RECVERR, and what has come of it.
    pub reports: [bool; 2],
    pub errors: Option<Box<dyn Errors>>,
    /// SO_ATTACH_FILTER.
    pub filter: Option<Arc<dyn Filter>>,
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
    /// When it wants to be polled again.
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
            raw: None,
            reports: [false; 2],
            errors: None,
            filter: None,
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

    /// Whether a socket on this interface gets what is sent to a group.
    pub(super) fn udp_hears(&self, sid: u32, ifc: InterfaceId, to: &IpAddress, from: &IpAddress) -> bool {
        let all = if matches!(to, IpAddress::Ipv4(_)) { ipopts::MULTICAST_ALL } else { ipopts::MULTICAST_ALL6 };
        // IP_MULTICAST_ALL: any group that some socket here is a member of.
        let any = || self.sockets.get(sid).is_some_and(|s| s.opts.ip[all] != 0) && self.in_group(to, ifc, from);
        let own = multicast::CALLS.get().and_then(|calls| (calls.listens)(&self.groups, sid, to, ifc, from));
        own.unwrap_or_else(any)
    }

    fn udp_matches(&self, sid: u32, ifc: InterfaceId, to: &IpAddress, remote: &Name) -> Option<u8> {
        let s = self.sockets.get(sid)?;
        let Kind::Udp(u) = &s.kind else { return None };
        if !self.on_device(sid, ifc) || (to.is_multicast() && !self.udp_hears(sid, ifc, to, &remote.0)) {
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
    pub(super) fn is_many(&self, a: &IpAddress) -> bool {
        a.is_broadcast() || a.is_multicast() || self.interfaces.is_subnet_broadcast(a)
    }

    /// Queues a datagram with its receivers. False: there are none.
    pub(super) fn udp_deliver(&mut self, ifc: InterfaceId, d: &frame::Udp<'_>) -> bool {
        let t = d.tuple;
        let remote = (t.remote, t.rport);
        if t.local.is_multicast() && !self.in_group(&t.local, ifc, &t.remote) {
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

    /// Queues a datagram with one receiver, whose filter may refuse or cut it.
    pub(super) fn udp_queue(&mut self, sid: u32, ifc: InterfaceId, d: &frame::Udp<'_>) -> Result<()> {
        let mut cut = None;
        if let Some(u) = self.udp(sid)
            && let Some(filter) = &u.filter
        {
            let kept = filter.datagram(d, u.raw.is_some(), ifc).ok_or(Errno::EPERM)?;
            cut = Some(frame::Udp { data: &d.data[..kept.min(d.data.len())], ..*d });
        }
        let d = cut.as_ref().unwrap_or(d);
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

    /// An ICMP error for something we sent: the next call on a connected socket reports it, unless it may pass
    /// (`hard`). A socket that wants to know all about it hears of every error (IP_RECVERR).
    pub fn udp_error(&mut self, t: &Tuple, error: Errno, hard: bool, icmp: &Icmp<'_>) {
        let to = (t.remote, t.rport);
        let reports = |s: u32| match self.sockets.get(s).map(|s| &s.kind) {
            Some(Kind::Udp(u)) => u.reports[usize::from(icmp.v6)],
            _ => false,
        };
        let ours = |s: u32| {
            let fits = |ifc| self.udp_matches(s, ifc, &t.local, &to);
            match fits(InterfaceId::Lo).or(fits(InterfaceId::Eth)) {
                Some(4) => hard || reports(s),
                fit => fit.is_some() && reports(s),
            }
        };
        let sid = self.ports.on(Proto::Udp, t.lport).iter().map(|b| b.sock).find(|&s| ours(s));
        if let Some(s) = sid.and_then(|s| self.sockets.get_mut(s)) {
            if let Kind::Udp(u) = &mut s.kind
                && u.reports[usize::from(icmp.v6)]
                && let Some(calls) = CALLS.get()
            {
                (calls.queue)(u, to, error, icmp);
            }
            s.error = Some(error);
            let shared = s.shared.clone();
            self.wakes.add(&shared, Events::ERR | Events::IN | Events::OUT);
        }
    }
}
