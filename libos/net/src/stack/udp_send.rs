//! UDP: sending. Datagrams to ourselves go straight into the receiver's queue; those to the card go through a smoltcp
//! socket, for its neighbor cache and fragmentation.

use super::interface::{Interface, InterfaceId};
use super::sock::{Kind, Name};
use super::udp::{Icmp, Udp};
use super::{Stack, instant};
use crate::device::NetDevice;
use crate::frame::{self, Tuple};
use crate::ipopts::{self, Values};
use crate::phy::{Card, FrameSink, Nowhere, OneSlot, Report};
use crate::socket::Header;
use alloc::vec::Vec;
use libos_base::poll::Events;
use libos_base::{Errno, Result};
use smoltcp::iface::{PollResult, SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::wire::{IpAddress, IpListenEndpoint};

/// Largest UDP payload over IPv4, and over IPv6.
const MAX4: usize = 65507;
pub const MAX: usize = 65527;
/// Largest payload sent in IPv4 fragments: smoltcp's buffer for them, without headers.
const FRAGMENTED: usize = 4096 - 28;

/// Datagram sockets with something to send.
#[derive(Default)]
pub struct Datagrams {
    /// Those to poll.
    dirty: Vec<u32>,
    /// Those waiting for a neighbor or the card.
    waiting: Vec<u32>,
}

impl Datagrams {
    /// Number of sockets to poll.
    pub fn dirty(&self) -> usize {
        self.dirty.len()
    }
}

/// The sending half of a datagram socket.
pub struct Out {
    set: SocketSet<'static>,
    handle: SocketHandle,
    capacity: usize,
    port: u16,
    /// Hop limit and type of service of the queued datagrams.
    marks: (u8, u8),
}

/// How a datagram is sent.
struct Way {
    ifc: InterfaceId,
    source: IpAddress,
    marks: (u8, u8),
    /// It goes out on the card.
    wire: bool,
    /// It comes back to us: always over loopback, from the card also multicasts and broadcasts.
    back: bool,
}

impl Udp {
    /// Bytes not yet handed to the card.
    pub fn unsent(&self) -> usize {
        self.out.as_ref().map_or(0, |o| o.set.get::<udp::Socket>(o.handle).send_queue())
    }
}

impl Stack {
    /// Queues a datagram. `None`: no room now.
    pub fn udp_send(&mut self, sid: u32, to: Name, header: &Header, data: &[u8]) -> Option<Result<()>> {
        let way = match self.udp_prepare(sid, to, header, data.len()) {
            Ok(way) => way?,
            Err(e) => return Some(Err(e)),
        };
        if way.wire {
            let Some(u) = self.udp(sid) else { return Some(Err(Errno::EBADF)) };
            let out = u.out.as_mut()?;
            let mut meta = udp::UdpMetadata::from(to);
            meta.local_address = Some(way.source);
            match out.set.get_mut::<udp::Socket>(out.handle).send_slice(data, meta) {
                Ok(()) => {
                    u.last_to = Some(to.0);
                    self.touch_udp(sid);
                }
                Err(udp::SendError::BufferFull) => {
                    u.want_room = true;
                    return None;
                }
                Err(udp::SendError::Unaddressable) => return Some(Err(Errno::EINVAL)),
            }
        }
        let r = if way.back { self.udp_loop(sid, to, &way, data) } else { Ok(()) };
        if !way.wire
            && let Some(s) = self.sockets.get(sid)
            && matches!(&s.kind, Kind::Udp(u) if u.edges)
        {
            let shared = s.shared.clone();
            self.wakes.add(&shared, Events::OUT | Events::WRNORM);
        }
        Some(r)
    }

    /// Sends to ourselves: straight into the receiver's queue, whatever the size.
    fn udp_loop(&mut self, sid: u32, to: Name, way: &Way, data: &[u8]) -> Result<()> {
        let (_, port) = self.sock(sid)?.bound.ok_or(Errno::EINVAL)?;
        let tuple = Tuple { local: to.0, lport: to.1, remote: way.source, rport: port };
        let (ttl, tos) = way.marks;
        let d = frame::Udp { tuple, data, ttl, tos };
        if let Some(seen) = self.udp_seen {
            seen(self, way.ifc, &d);
        }
        if !self.udp_deliver(way.ifc, &d) && to.0.is_unicast() {
            let back = Tuple { local: way.source, lport: port, remote: to.0, rport: to.1 };
            let v6 = matches!(to.0, IpAddress::Ipv6(_));
            let (kind, code) = if v6 { (1, 4) } else { (3, 3) };
            let icmp = Icmp { v6, kind, code, info: 0, from: to.0, data };
            self.udp_error(&back, Errno::ECONNREFUSED, true, &icmp);
        }
        Ok(())
    }

    /// The most that one datagram may carry.
    fn limit(&self, ifc: InterfaceId, to: &IpAddress, o: &Values) -> usize {
        match (ifc, to) {
            (InterfaceId::Lo, IpAddress::Ipv4(_)) => MAX4,
            (InterfaceId::Lo, IpAddress::Ipv6(_)) => MAX,
            (InterfaceId::Eth, IpAddress::Ipv6(_)) => self.interfaces.mtu(ifc) - 48,
            (InterfaceId::Eth, _) if ipopts::WHOLE.contains(&o[ipopts::MTU_DISCOVER]) => self.interfaces.mtu(ifc) - 28,
            // smoltcp fragments IPv4 through a buffer of fixed size.
            (InterfaceId::Eth, _) => FRAGMENTED,
        }
    }

    /// The same, for a datagram being assembled.
    pub fn udp_limit(&self, sid: u32, to: &IpAddress, header: &Header) -> Result<usize> {
        let (ifc, _) = self.udp_route(sid, to, header)?;
        let s = self.sockets.get(sid).ok_or(Errno::EBADF)?;
        Ok(self.limit(ifc, to, &s.opts.ip))
    }

    /// Interface and source address: from the message, the socket's multicast or bound interface, or the route.
    pub fn udp_route(&self, sid: u32, to: &IpAddress, header: &Header) -> Result<(InterfaceId, IpAddress)> {
        let s = self.sockets.get(sid).ok_or(Errno::EBADF)?;
        let Kind::Udp(u) = &s.kind else { return Err(Errno::EBADF) };
        let via = u.multicast.via[usize::from(matches!(to, IpAddress::Ipv6(_)))];
        let index = [header.index, s.device, via].into_iter().find(|&i| i != 0).unwrap_or(0);
        let (ifc, mut source) = if to.is_multicast() && index != 0 {
            let ifc = self.interfaces.by_index(index)?;
            let source = match (ifc, to) {
                (InterfaceId::Lo, IpAddress::Ipv4(_)) => Some(IpAddress::v4(127, 0, 0, 1)),
                (InterfaceId::Lo, IpAddress::Ipv6(_)) => Some(IpAddress::v6(0, 0, 0, 0, 0, 0, 0, 1)),
                _ => self.interfaces.eth.as_ref().and_then(|e| e.smoltcp.get_source_address(to)),
            };
            (ifc, source.ok_or(Errno::ENETUNREACH)?)
        } else {
            self.route_for(sid, to, header.direct)?
        };
        if let Some((super::ports::Local::One(a), _)) = s.bound
            && a.is_unicast()
        {
            source = a;
        }
        Ok((ifc, header.from.unwrap_or(source)))
    }

    /// Determines how a datagram is sent, and makes a sending half with room for `len`. `Ok(None)`: no room now.
    fn udp_prepare(&mut self, sid: u32, to: Name, header: &Header, len: usize) -> Result<Option<Way>> {
        let (ifc, source) = self.udp_route(sid, &to.0, header)?;
        let broadcast = to.0.is_broadcast() || self.interfaces.is_subnet_broadcast(&to.0);
        let many = to.0.is_multicast();
        let port = self.autobind(sid)?;
        let o = self.sock(sid)?.opts.ip;
        let [unicast, group, tos, echo] = ipopts::sending(matches!(to.0, IpAddress::Ipv6(_)));
        let hops = header.hops.unwrap_or(o[if many { group } else { unicast }]);
        let marks = (hops, header.tos.unwrap_or(o[tos]));
        let limit = self.limit(ifc, &to.0, &o);
        let back = ifc == InterfaceId::Lo || broadcast || (many && o[echo] != 0);
        let mut grew = 0;
        let u = self.udp(sid).ok_or(Errno::EBADF)?;
        if broadcast && !u.broadcast {
            return Err(Errno::EACCES);
        }
        if len > limit {
            return Err(Errno::EMSGSIZE);
        }
        // A multicast with a hop limit of 0 stays on this host.
        let wire = ifc == InterfaceId::Eth && !(many && hops == 0);
        let way = Way { ifc, source, marks, wire, back };
        if !wire {
            return Ok(Some(way));
        }
        let slot = &mut u.out;
        let enough = slot.as_ref().is_some_and(|o| o.capacity >= len && o.port == port && o.marks == marks);
        // Queued datagrams go out with the socket's current settings, so they must be gone before those change.
        if !enough && slot.as_ref().is_some_and(|o| o.set.get::<udp::Socket>(o.handle).send_queue() > 0) {
            u.want_room = true;
            return Ok(None);
        }
        if slot.as_ref().is_none_or(|o| o.capacity < len || o.port != port) {
            let capacity = len.next_power_of_two().clamp(8192, 131_072);
            let old = slot.as_ref().map_or(0, |o| o.capacity);
            *slot = Some(Out::new(port, capacity)?);
            u.charged += capacity;
            u.charged -= old;
            grew = capacity - old;
        }
        let o = slot.as_mut().ok_or(Errno::ENOBUFS)?;
        o.marks = marks;
        o.set.get_mut::<udp::Socket>(o.handle).set_hop_limit(Some(hops.max(1)));
        self.memory.add(grew);
        Ok(Some(way))
    }

    /// UDP_CORK. Turning it off sends what has been assembled.
    pub fn udp_cork(&mut self, sid: u32, on: bool) -> Result<()> {
        let u = self.udp(sid).ok_or(Errno::EBADF)?;
        u.corked = on;
        if on {
            return Ok(());
        }
        match u.cork.take() {
            Some(c) => self.udp_send(sid, c.to, &c.header, &c.data).unwrap_or(Err(Errno::EAGAIN)),
            None => Ok(()),
        }
    }

    pub(super) fn touch_udp(&mut self, sid: u32) {
        let room = self.datagrams.dirty.try_reserve(1).is_ok();
        if let Some(u) = self.udp(sid)
            && !u.dirty
            && room
        {
            u.dirty = true;
            self.datagrams.dirty.push(sid);
        }
    }

    /// Sends what datagram sockets have queued.
    pub fn send_udp(&mut self, mut dev: Option<&mut (dyn NetDevice + 'static)>) {
        let now = self.now;
        let mut i = 0;
        while i < self.datagrams.dirty.len() && !self.egress.full {
            let sid = self.datagrams.dirty[i];
            i += 1;
            let Some(sock) = self.sockets.get_mut(sid) else { continue };
            let shared = sock.shared.clone();
            let Kind::Udp(u) = &mut sock.kind else { continue };
            u.dirty = false;
            u.next_at = u64::MAX;
            if let Some(raw) = &u.raw {
                (raw.flush)(self, sid);
                continue;
            }
            let (mut blocked, mut asked, mut frames) = (false, false, 0);
            if let (Some(out), Some(Interface { smoltcp, link, .. })) = (&mut u.out, &mut self.interfaces.eth) {
                let mut nowhere = Nowhere;
                let mut card;
                let sink: &mut dyn FrameSink = match dev.as_deref_mut() {
                    Some(d) => {
                        card = Card(d);
                        &mut card
                    }
                    None => &mut nowhere,
                };
                let report = Report { tos: out.marks.1, ..Report::default() };
                let mut slot = OneSlot { link: *link, rx: None, sink, report };
                let at = instant(now);
                // Fragments go out one at a time; between them smoltcp reports nothing sent.
                while smoltcp.poll_egress(at, &mut slot, &mut out.set) != PollResult::None
                    || (smoltcp.poll_at(at, &out.set).is_some_and(|t| t <= at)
                        && !slot.report.blocked
                        && slot.report.asked.is_none())
                {}
                (blocked, asked) = (slot.report.blocked, slot.report.asked.is_some());
                frames = slot.report.frames;
                self.stats.tx += u64::from(frames);
                if let Some(t) = smoltcp.poll_at(at, &out.set) {
                    u.next_at = (t.total_micros() as u64 * 1000).max(now + 1);
                }
            }
            let woken = (u.want_room || u.edges && frames > 0) && u.unsent() < 4096;
            u.want_room &= !woken;
            let waiting = u.next_at != u64::MAX;
            let ask = u.last_to.filter(|_| waiting && !blocked);
            if woken {
                self.wakes.add(&shared, Events::OUT | Events::WRNORM);
            }
            if blocked {
                self.egress.full = true;
            }
            if let Some(to) = ask {
                self.neighbor_needed(&to, asked);
            }
            if waiting || blocked {
                self.udp_waits(sid);
            }
        }
        self.datagrams.dirty.drain(..i.min(self.datagrams.dirty.len()));
    }

    /// Polls a socket again when a neighbor becomes known, or at its `next_at`.
    pub(super) fn udp_waits(&mut self, sid: u32) {
        self.datagrams.waiting.retain(|&s| s != sid);
        if self.datagrams.waiting.try_reserve(1).is_ok() {
            self.datagrams.waiting.push(sid);
        }
    }

    /// Polls datagram sockets again that are waiting for a neighbor or the card.
    #[inline(never)]
    pub fn udp_neighbors_changed(&mut self) {
        let list = core::mem::take(&mut self.datagrams.waiting);
        for sid in list {
            self.touch_udp(sid);
        }
    }

    /// When the first waiting datagram socket is due. If one is, all are polled again.
    pub fn udp_next(&mut self) -> u64 {
        let at = |sid: &u32| match self.sockets.get(*sid).map(|s| &s.kind) {
            Some(Kind::Udp(u)) => u.next_at,
            _ => u64::MAX,
        };
        let next = self.datagrams.waiting.iter().map(at).min().unwrap_or(u64::MAX);
        if next <= self.now {
            self.udp_neighbors_changed();
        }
        next
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
        Ok(Self { set, handle, capacity, port, marks: (0, 0) })
    }
}
