//! UDP. Receiving is all ours: ports, connected peers, queues; so is loopback. Sending to the card goes through a
//! smoltcp socket, for the sake of its neighbor cache and fragmentation.

use super::conn::Ifc;
use super::ports::Proto;
use super::sock::{Kind, Name};
use super::{Port, Stack, instant};
use crate::device::NetDevice;
use crate::frame::{self, Tuple};
use crate::phy::{Card, FrameSink, Nowhere, OneSlot, Report};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use libos_base::poll::Events;
use libos_base::{Errno, Result};
use smoltcp::iface::{PollResult, SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::wire::{IpAddress, IpListenEndpoint};

/// A received datagram.
pub struct Datagram {
    pub from: Name,
    /// Where it was sent to (IP_PKTINFO).
    pub to: IpAddress,
    pub ifc: Ifc,
    pub ttl: u8,
    pub data: Vec<u8>,
}

/// Largest UDP payload over IPv4.
pub const MAX: usize = 65507;
/// Largest payload that is sent in IPv4 fragments: smoltcp's buffer for them, without headers.
const FRAGMENTED: usize = 4096 - 28;
/// Bookkeeping charged for each datagram.
const OVERHEAD: usize = 128;
/// net.core.rmem_default, and that of wmem.
const DEFAULT_BUF: usize = 212_992;

/// A sending half.
struct Out {
    set: SocketSet<'static>,
    handle: SocketHandle,
    capacity: usize,
}

/// What a datagram socket has.
pub struct Udp {
    pub peer: Option<Name>,
    /// Source address of a connected socket.
    pub source: Option<IpAddress>,
    pub queue: VecDeque<Datagram>,
    pub queued: usize,
    pub rcvbuf: usize,
    pub sndbuf: usize,
    pub broadcast: bool,
    pub rx_shut: bool,
    pub tx_shut: bool,
    pub charged: usize,
    pub dropped: u64,
    pub want_room: bool,
    /// Where the last datagram went: whose neighbor is asked for.
    last_to: Option<IpAddress>,
    out: Option<Out>,
    dirty: bool,
    next_at: u64,
}

impl Udp {
    /// Unconnected.
    pub fn new() -> Self {
        Self {
            peer: None,
            source: None,
            queue: VecDeque::new(),
            queued: 0,
            rcvbuf: DEFAULT_BUF,
            sndbuf: DEFAULT_BUF,
            broadcast: false,
            rx_shut: false,
            tx_shut: false,
            charged: 0,
            dropped: 0,
            want_room: false,
            last_to: None,
            out: None,
            dirty: false,
            next_at: u64::MAX,
        }
    }

    /// Bytes not yet handed to the card.
    pub fn unsent(&self) -> usize {
        self.out.as_ref().map_or(0, |o| o.set.get::<udp::Socket>(o.handle).send_queue())
    }
}

impl Stack {
    fn udp(&mut self, sid: u32) -> Option<&mut Udp> {
        match &mut self.socks.get_mut(sid)?.kind {
            Kind::Udp(u) => Some(u),
            _ => None,
        }
    }

    fn udp_matches(&self, sid: u32, remote: &Name) -> Option<u8> {
        let Kind::Udp(u) = &self.socks.get(sid)?.kind else { return None };
        match u.peer {
            Some(p) if p == *remote => Some(4),
            Some(_) => None,
            None => Some(0),
        }
    }

    /// A datagram from the wire.
    pub fn udp_in(&mut self, ifc: Ifc, raw: &[u8], d: &frame::Udp<'_>) {
        let t = d.tuple;
        if ifc == Ifc::Eth && t.lport == 68 && self.control.dhcp.is_some() {
            self.hand_to_control(ifc, raw);
            self.control.changed = true;
            return;
        }
        let many = self.is_many(&t.local);
        let genuine = t.remote.is_unicast() && !(ifc == Ifc::Eth && super::is_loopback(&t.remote));
        if !genuine || !(many || self.is_local(&t.local)) {
            return;
        }
        let found = self.udp_deliver(ifc, d);
        // A frame for many gets no ICMP error either (RFC 1122 section 3.2.2).
        if !(found || many || ifc == Ifc::Eth && raw[0] & 1 != 0) {
            // smoltcp answers "port unreachable".
            self.hand_to_control(ifc, raw);
        }
    }

    /// Broadcast or multicast: for everybody who listens.
    fn is_many(&self, a: &IpAddress) -> bool {
        a.is_broadcast() || a.is_multicast() || self.is_subnet_broadcast(a)
    }

    /// Queues a datagram with whom it is for. False: nobody.
    fn udp_deliver(&mut self, ifc: Ifc, d: &frame::Udp<'_>) -> bool {
        let t = d.tuple;
        let remote = (t.remote, t.rport);
        let score = |s: &Self, b: &super::ports::Bound| match (b.local.score(&t.local), s.udp_matches(b.sock, &remote))
        {
            (0, _) | (_, None) => 0,
            (n, Some(m)) => n + m,
        };
        let list = self.ports.on(Proto::Udp, t.lport);
        let top = list.iter().map(|b| score(self, b)).max().unwrap_or(0);
        if top == 0 {
            self.stats.udp_no_port += 1;
            return false;
        }
        let many = self.is_many(&t.local);
        let chosen: Vec<u32> = if many {
            list.iter().filter(|b| score(self, b) > 0).map(|b| b.sock).collect()
        } else {
            let n = list.iter().filter(|b| score(self, b) == top).count() as u64;
            let k = (self.hash.hash_one(t) % n) as usize;
            list.iter().filter(|b| score(self, b) == top).nth(k).map(|b| b.sock).into_iter().collect()
        };
        for sid in chosen {
            if self.udp_queue(sid, ifc, d).is_err() {
                self.stats.udp_dropped += 1;
            }
        }
        true
    }

    fn udp_queue(&mut self, sid: u32, ifc: Ifc, d: &frame::Udp<'_>) -> Result<()> {
        let cost = d.data.len() + OVERHEAD;
        self.memory.charge_datagram(cost)?;
        let Some(sock) = self.socks.get_mut(sid) else { return Err(Errno::EBADF) };
        let shared = sock.shared.clone();
        let Kind::Udp(u) = &mut sock.kind else { return Err(Errno::EBADF) };
        let mut data = Vec::new();
        let fits = !u.rx_shut
            && u.queued + cost <= u.rcvbuf.max(cost)
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
        u.queue.push_back(Datagram { from, to: d.tuple.local, ifc, ttl: d.ttl, data });
        self.wake(&shared, Events::IN | Events::RDNORM);
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

    /// An ICMP error for something sent: the next call on a connected socket reports it.
    pub fn udp_error(&mut self, t: &Tuple, error: Errno) {
        let to = (t.remote, t.rport);
        let sid =
            self.ports.on(Proto::Udp, t.lport).iter().map(|b| b.sock).find(|&s| self.udp_matches(s, &to) == Some(4));
        if let Some(s) = sid.and_then(|s| self.socks.get_mut(s)) {
            s.error = Some(error);
            let shared = s.shared.clone();
            self.wake(&shared, Events::ERR | Events::IN | Events::OUT);
        }
    }

    /// Queues a datagram of `len` bytes that `fill` writes. `None`: no room now.
    pub fn udp_send(
        &mut self,
        sid: u32,
        to: Name,
        from: Option<IpAddress>,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Option<Result<()>> {
        match self.udp_prepare(sid, to, from, len) {
            Ok(Some((Ifc::Lo, source))) => Some(self.udp_loop(sid, to, source, len, fill)),
            Ok(Some((Ifc::Eth, source))) => {
                let Some(u) = self.udp(sid) else { return Some(Err(Errno::EBADF)) };
                let out = u.out.as_mut()?;
                let mut meta = udp::UdpMetadata::from(to);
                meta.local_address = Some(source);
                // The program's memory is read before anything is queued: it may fault.
                let mut data = Vec::new();
                if data.try_reserve_exact(len).is_err() {
                    return Some(Err(Errno::ENOBUFS));
                }
                data.resize(len, 0);
                if let Err(e) = fill(&mut data) {
                    return Some(Err(e));
                }
                match out.set.get_mut::<udp::Socket>(out.handle).send_slice(&data, meta) {
                    Ok(()) => {
                        u.last_to = Some(to.0);
                        self.touch_udp(sid);
                        Some(Ok(()))
                    }
                    Err(udp::SendError::BufferFull) => {
                        u.want_room = true;
                        None
                    }
                    Err(udp::SendError::Unaddressable) => Some(Err(Errno::EINVAL)),
                }
            }
            Ok(None) => None,
            Err(e) => Some(Err(e)),
        }
    }

    /// To ourselves: straight into the receiver's queue, of any size.
    fn udp_loop(
        &mut self,
        sid: u32,
        to: Name,
        source: IpAddress,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let (_, port) = self.sock(sid)?.bound.ok_or(Errno::EINVAL)?;
        let mut data = Vec::new();
        data.try_reserve_exact(len).map_err(|_| Errno::ENOBUFS)?;
        data.resize(len, 0);
        fill(&mut data)?;
        let tuple = Tuple { local: to.0, lport: to.1, remote: source, rport: port };
        if !self.udp_deliver(Ifc::Lo, &frame::Udp { tuple, data: &data, ttl: 64 }) {
            let back = Tuple { local: source, lport: port, remote: to.0, rport: to.1 };
            self.udp_error(&back, Errno::ECONNREFUSED);
        }
        Ok(())
    }

    /// Route, source address, a sending half with room for `len`. `Ok(None)`: no room now.
    fn udp_prepare(
        &mut self,
        sid: u32,
        to: Name,
        from: Option<IpAddress>,
        len: usize,
    ) -> Result<Option<(Ifc, IpAddress)>> {
        let (ifc, mut source) = self.route(&to.0)?;
        let broadcast = to.0.is_broadcast() || self.is_subnet_broadcast(&to.0);
        let port = self.autobind(sid)?;
        let bound = self.sock(sid)?.bound;
        if let Some((super::ports::Local::One(a), _)) = bound
            && a.is_unicast()
        {
            source = a;
        }
        if let Some(a) = from {
            source = a;
        }
        let hops = {
            let o = &self.sock(sid)?.opts;
            if matches!(to.0, IpAddress::Ipv6(_)) { o.hops } else { o.ttl }
        };
        let limit = if ifc == Ifc::Eth && matches!(to.0, IpAddress::Ipv6(_)) { self.mtu(ifc) - 48 } else { MAX };
        // smoltcp fragments IPv4 through a buffer of fixed size.
        let limit = if ifc == Ifc::Eth { limit.min(FRAGMENTED) } else { limit };
        let limit = if ifc == Ifc::Lo { MAX } else { limit };
        let mut grew = 0;
        let u = self.udp(sid).ok_or(Errno::EBADF)?;
        if broadcast && !u.broadcast {
            return Err(Errno::EACCES);
        }
        if len > limit {
            return Err(Errno::EMSGSIZE);
        }
        if ifc == Ifc::Lo {
            return Ok(Some((ifc, source)));
        }
        let slot = &mut u.out;
        let enough = slot.as_ref().is_some_and(|o| o.capacity >= len);
        if !enough {
            if slot.as_ref().is_some_and(|o| o.set.get::<udp::Socket>(o.handle).send_queue() > 0) {
                u.want_room = true;
                return Ok(None);
            }
            let capacity = len.next_power_of_two().clamp(8192, 131_072);
            let old = slot.as_ref().map_or(0, |o| o.capacity);
            *slot = Some(Out::new(port, capacity)?);
            u.charged += capacity;
            u.charged -= old;
            grew = capacity - old;
        }
        let o = slot.as_mut().ok_or(Errno::ENOBUFS)?;
        o.set.get_mut::<udp::Socket>(o.handle).set_hop_limit(Some(hops.max(1)));
        self.memory.used += grew;
        Ok(Some((ifc, source)))
    }

    fn touch_udp(&mut self, sid: u32) {
        let room = self.dirty_udp.try_reserve(1).is_ok();
        if let Some(u) = self.udp(sid)
            && !u.dirty
            && room
        {
            u.dirty = true;
            self.dirty_udp.push(sid);
        }
    }

    /// Sends what datagram sockets have queued.
    pub fn send_udp(&mut self, mut dev: Option<&mut (dyn NetDevice + 'static)>) {
        let now = self.now;
        let mut i = 0;
        while i < self.dirty_udp.len() && !self.tx_full {
            let sid = self.dirty_udp[i];
            i += 1;
            let Some(sock) = self.socks.get_mut(sid) else { continue };
            let shared = sock.shared.clone();
            let Kind::Udp(u) = &mut sock.kind else { continue };
            u.dirty = false;
            u.next_at = u64::MAX;
            let (mut blocked, mut asked) = (false, false);
            if let (Some(out), Some(Port { iface, link, .. })) = (&mut u.out, &mut self.eth) {
                let mut nowhere = Nowhere;
                let mut card;
                let sink: &mut dyn FrameSink = match dev.as_deref_mut() {
                    Some(d) => {
                        card = Card(d);
                        &mut card
                    }
                    None => &mut nowhere,
                };
                let mut slot = OneSlot { link: *link, rx: None, sink, report: Report::default() };
                let at = instant(now);
                // A datagram in fragments goes out one at a time, between which smoltcp reports nothing sent.
                while iface.poll_egress(at, &mut slot, &mut out.set) != PollResult::None
                    || (iface.poll_at(at, &out.set).is_some_and(|t| t <= at)
                        && !slot.report.blocked
                        && slot.report.asked.is_none())
                {}
                (blocked, asked) = (slot.report.blocked, slot.report.asked.is_some());
                self.stats.tx += u64::from(slot.report.frames);
                if let Some(t) = iface.poll_at(at, &out.set) {
                    u.next_at = (t.total_micros() as u64 * 1000).max(now + 1);
                }
            }
            let woken = u.want_room && u.unsent() < 4096;
            u.want_room &= !woken;
            let waiting = u.next_at != u64::MAX;
            let ask = u.last_to.filter(|_| waiting && !blocked);
            if woken {
                self.wake(&shared, Events::OUT | Events::WRNORM);
            }
            if blocked {
                self.tx_full = true;
            }
            if let Some(to) = ask {
                self.neighbor_needed(&to, asked);
            }
            if waiting || blocked {
                self.control.udp_waiting.retain(|&s| s != sid);
                if self.control.udp_waiting.try_reserve(1).is_ok() {
                    self.control.udp_waiting.push(sid);
                }
            }
        }
        self.dirty_udp.drain(..i.min(self.dirty_udp.len()));
    }

    /// Datagram sockets that wait for a neighbor or for the card are polled again.
    pub fn udp_neighbors_changed(&mut self) {
        let list = core::mem::take(&mut self.control.udp_waiting);
        for sid in list {
            self.touch_udp(sid);
        }
    }

    /// When the first waiting datagram socket is due.
    pub fn udp_next(&self) -> u64 {
        let at = |sid: &u32| match self.socks.get(*sid).map(|s| &s.kind) {
            Some(Kind::Udp(u)) => u.next_at,
            _ => u64::MAX,
        };
        self.control.udp_waiting.iter().map(at).min().unwrap_or(u64::MAX)
    }
}

impl Out {
    fn new(port: u16, capacity: usize) -> Result<Self> {
        let packets = 64;
        let mut meta = Vec::new();
        meta.try_reserve_exact(packets).map_err(|_| Errno::ENOBUFS)?;
        meta.resize(packets, udp::PacketMetadata::EMPTY);
        let mut data = Vec::new();
        data.try_reserve_exact(capacity).map_err(|_| Errno::ENOBUFS)?;
        data.resize(capacity, 0u8);
        let none = udp::PacketBuffer::new(Vec::new(), Vec::new());
        let mut s = udp::Socket::new(none, udp::PacketBuffer::new(meta, data));
        s.bind(IpListenEndpoint { addr: None, port }).map_err(|_| Errno::EINVAL)?;
        let mut storage = Vec::new();
        storage.try_reserve_exact(1)?;
        let mut set = SocketSet::new(storage);
        let handle = set.add(s);
        Ok(Self { set, handle, capacity })
    }
}
