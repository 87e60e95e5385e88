//! Raw and ping sockets: which packets they get, and packets that they send. A raw socket is a datagram socket whose
//! "port" is a protocol, and a ping socket one whose port is the identifier of its echo requests, so queues, options
//! and memory are those of UDP.
//!
//! No image without them has this code: a socket that is opened sets [`Stack::raw_tap`] and brings [`Raw::flush`].

mod write;

use super::Stack;
use super::interface::InterfaceId;
use super::ports::{Bound, Local, Proto, Reuse};
use super::solicit::group;
use crate::build::transport_sum;
use crate::device::TxMeta;
use crate::frame::{self, Kind, Parsed, Tuple};
use crate::ipopts;
use crate::multicast::solicited_node;
use crate::phy::FrameSink;
use crate::socket::Header;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use libos_base::memory::try_box;
use libos_base::poll::Events;
use libos_base::time::NS;
use libos_base::{Errno, Result};
use smoltcp::wire::{IpAddress, Ipv4Packet, Ipv6Address, checksum};
use write::{build, fragments, include, ip_header, raw_sum};

pub const ICMP: u8 = 1;
pub const ICMPV6: u8 = 58;
/// IPPROTO_RAW: sends any protocol, and receives none.
pub const ANY: u8 = 255;

/// How long a packet waits for its neighbor.
const PATIENCE: u64 = 3 * NS;

/// What makes a datagram socket a raw or a ping socket.
pub struct Raw {
    pub protocol: u8,
    pub ping: bool,
    /// IP_HDRINCL, IPV6_HDRINCL.
    pub header_included: bool,
    /// ICMP_FILTER, ICMP6_FILTER: types that do not pass.
    pub blocked: [u32; 8],
    /// IPV6_CHECKSUM: where the checksum is.
    pub checksum: Option<u16>,
    /// Packets on their way: next destination, when to give up, the packet.
    waiting: VecDeque<(IpAddress, u64, Vec<u8>)>,
    pub waiting_bytes: usize,
    /// Sends what waits.
    pub flush: fn(&mut Stack, u32),
    /// The socket was closed.
    pub closed: fn(&mut Stack, ManuallyDrop<Box<Raw>>),
}

/// The headers of an IP packet: protocol, where its header begins, and the rest.
struct Headers {
    protocol: u8,
    body: usize,
    from: IpAddress,
    to: IpAddress,
    marks: (u8, u8),
}

/// Reads the IP headers, including IPv6's extension headers (RFC 8200 section 4), of a packet that was checked.
fn headers(ip: &[u8]) -> Option<Headers> {
    if ip.first()? >> 4 == 4 {
        let at = |o: usize| IpAddress::v4(ip[o], ip[o + 1], ip[o + 2], ip[o + 3]);
        let body = usize::from(ip[0] & 15) * 4;
        return Some(Headers { protocol: ip[9], body, from: at(12), to: at(16), marks: (ip[8], ip[1]) });
    }
    let at = |o: usize| IpAddress::Ipv6(Ipv6Address::from(core::array::from_fn::<u8, 16, _>(|i| ip[o + i])));
    let (mut protocol, mut body) = (ip[6], 40);
    // Hop-by-hop options, routing, destination options.
    while let 0 | 43 | 60 = protocol {
        let (next, len) = (*ip.get(body)?, *ip.get(body + 1)?);
        protocol = next;
        body += usize::from(len) * 8 + 8;
    }
    (body <= ip.len()).then(|| Headers {
        protocol,
        body,
        from: at(8),
        to: at(24),
        marks: (ip[7], ip[0] << 4 | ip[1] >> 4),
    })
}

impl Raw {
    /// Whether its filter refuses a message of this type.
    fn blocks(&self, kind: u8) -> bool {
        self.blocked[usize::from(kind >> 5)] >> (kind & 31) & 1 != 0
    }
}

impl Stack {
    /// Makes a raw socket for a protocol, or a ping socket.
    pub fn raw_socket(&mut self, v6: bool, protocol: u8, ping: bool) -> Result<(u32, alloc::sync::Arc<super::Shared>)> {
        let raw = try_box(Raw {
            protocol,
            ping,
            header_included: protocol == ANY && !ping,
            blocked: [0; 8],
            checksum: (v6 && protocol == ICMPV6).then_some(2),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            flush,
            closed: Self::raw_closed,
        })?;
        let proto = if ping { Proto::Ping } else { Proto::Raw };
        let (sid, shared) = self.socket(proto, v6)?;
        if let Some(u) = self.udp(sid) {
            u.raw = Some(ManuallyDrop::new(raw));
        }
        // A raw socket is bound to its protocol for good.
        if !ping && let Err(e) = self.raw_bind(sid, if v6 { Local::Any6 } else { Local::Any4 }) {
            self.close(sid);
            return Err(e);
        }
        self.raw_tap = Some(tap);
        self.udp_seen = Some(udp_seen);
        Ok((sid, shared))
    }

    /// `bind` of a raw socket: to an address, or to any.
    pub fn raw_bind(&mut self, sid: u32, local: Local) -> Result<()> {
        if let Local::One(a) = local
            && !(self.interfaces.is_local(&a) || self.is_many(&a))
        {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let port = u16::from(self.raw(sid)?.protocol);
        match self.ports.find(Proto::Raw, port, sid) {
            Some(b) => b.local = local,
            None => {
                let b = Bound { sock: sid, local, reuse: Reuse::default(), listening: false };
                self.ports.bind(Proto::Raw, port, b, &self.connections)?;
            }
        }
        let s = self.sock(sid)?;
        (s.bound, s.port_asked) = (Some((local, port)), true);
        Ok(())
    }

    /// A raw or ping socket is closed.
    fn raw_closed(&mut self, raw: ManuallyDrop<Box<Raw>>) {
        drop(ManuallyDrop::into_inner(raw));
        let left = (0..self.sockets.end())
            .filter_map(|sid| self.sockets.get(sid))
            .any(|s| matches!(s.proto, Proto::Raw | Proto::Ping));
        if !left {
            self.raw_tap = None;
            self.udp_seen = self.taps.as_ref().map(|_| udp_seen as _);
        }
    }

    /// The part of a socket that makes it raw.
    pub fn raw(&mut self, sid: u32) -> Result<&mut Raw> {
        self.udp(sid).and_then(|u| u.raw.as_mut().map(|raw| &mut ***raw)).ok_or(Errno::EBADF)
    }

    /// Whether a raw or ping socket wants a packet.
    fn raw_wants(&self, b: &Bound, ifc: InterfaceId, h: &Headers, kind: Option<u8>) -> bool {
        let Some(s) = self.sockets.get(b.sock) else { return false };
        let super::sock::Kind::Udp(u) = &s.kind else { return false };
        let Some(raw) = &u.raw else { return false };
        let icmp = raw.protocol == if s.v6 { ICMPV6 } else { ICMP };
        s.v6 == matches!(h.to, IpAddress::Ipv6(_))
            && b.local.score(&h.to) > 0
            && u.peer.is_none_or(|(peer, _)| peer == h.from)
            && self.on_device(b.sock, ifc)
            && !(icmp && kind.is_some_and(|kind| raw.blocks(kind)))
            && (!h.to.is_multicast() || self.udp_hears(b.sock, ifc, &h.to, &h.from) || self.solicits(&h.to))
    }

    /// Whether it is the group in which neighbors look for one of our addresses.
    fn solicits(&self, to: &IpAddress) -> bool {
        let mut ours = self.interfaces.eth.iter().flat_map(|e| e.smoltcp.ip_addrs());
        ours.any(
            |c| matches!((c.address(), to), (IpAddress::Ipv6(a), IpAddress::Ipv6(to)) if solicited_node(&a) == *to),
        )
    }

    /// Gives a packet to the raw sockets for its protocol; true if there was one.
    fn raw_deliver(&mut self, ifc: InterfaceId, ip: &[u8], h: &Headers) -> bool {
        let body = &ip[h.body..];
        let v6 = matches!(h.to, IpAddress::Ipv6(_));
        let kind = body.first().copied();
        let tuple = Tuple { local: h.to, lport: 0, remote: h.from, rport: 0 };
        let (ttl, tos) = h.marks;
        let mut found: Vec<u32> = Vec::new();
        for b in self.ports.on(Proto::Raw, h.protocol.into()) {
            if self.raw_wants(b, ifc, h, kind) && found.try_reserve(1).is_ok() {
                found.push(b.sock);
            }
        }
        for &sid in &found {
            let Ok(raw) = self.raw(sid) else { continue };
            // The socket sees only what carries the right checksum.
            if v6 && raw.checksum.is_some() && raw_sum(ip, h) != 0xffff {
                continue;
            }
            let data = if v6 { body } else { ip };
            let _ = self.udp_queue(sid, ifc, &frame::Udp { tuple, data, ttl, tos });
        }
        let reply = if v6 { 129 } else { 0 };
        if h.protocol == (if v6 { ICMPV6 } else { ICMP }) && kind == Some(reply) && body.len() >= 8 {
            let id = u16::from_be_bytes([body[4], body[5]]);
            let whole = if v6 { raw_sum(ip, h) } else { checksum::data(body) };
            let found = self.ports.on(Proto::Ping, id).iter().find(|b| self.raw_wants(b, ifc, h, None));
            if let Some(sid) = found.map(|b| b.sock).filter(|_| whole == 0xffff) {
                let _ = self.udp_queue(sid, ifc, &frame::Udp { tuple, data: body, ttl, tos });
            }
        }
        !found.is_empty()
    }

    /// Sends one packet. `None`: no room now.
    pub fn raw_send(&mut self, sid: u32, to: IpAddress, header: &Header, data: &[u8]) -> Option<Result<()>> {
        self.raw_try(sid, to, header, data).transpose()
    }

    fn raw_try(&mut self, sid: u32, to: IpAddress, header: &Header, data: &[u8]) -> Result<Option<()>> {
        let v6 = matches!(to, IpAddress::Ipv6(_));
        let (ifc, source) = self.udp_route(sid, &to, header)?;
        let many = self.is_many(&to);
        if many && !to.is_multicast() && !self.udp(sid).is_some_and(|u| u.broadcast) {
            return Err(Errno::EACCES);
        }
        let mtu = self.interfaces.mtu(ifc);
        let now = self.now;
        let o = self.sock(sid)?.opts.ip;
        let [unicast, group, tos, echo] = ipopts::sending(v6);
        let hops = header.hops.unwrap_or(o[if to.is_multicast() { group } else { unicast }]);
        let marks = (hops, header.tos.unwrap_or(o[tos]));
        let port = if self.raw(sid)?.ping { self.autobind(sid)? } else { 0 };
        let raw = self.raw(sid)?;
        let mut packet = Vec::new();
        packet.try_reserve_exact(40 + data.len()).map_err(|_| Errno::ENOBUFS)?;
        if raw.header_included {
            include(&mut packet, data, &source, mtu)?;
        } else {
            let ends = (&source, &to);
            build(&mut packet, raw, ends, marks, port, data)?;
            if !v6 {
                // Nothing is fragmented on the way unless it has to be here (IP_PMTUDISC_WANT).
                let whole = packet.len() <= mtu && o[ipopts::MTU_DISCOVER] != 0;
                packet[6] = if whole { 0x40 } else { 0 };
                Ipv4Packet::new_unchecked(&mut packet[..]).fill_checksum();
            }
            if packet.len() > mtu && (v6 || ipopts::WHOLE.contains(&o[ipopts::MTU_DISCOVER])) {
                return Err(Errno::EMSGSIZE);
            }
        }
        let u = self.udp(sid).ok_or(Errno::EBADF)?;
        let sndbuf = u.sndbuf;
        let queued = u.raw.as_ref().map_or(0, |raw| raw.waiting_bytes);
        if queued > 0 && queued + packet.len() > sndbuf {
            u.want_room = true;
            return Ok(None);
        }
        if many && o[echo] != 0 && ifc == InterfaceId::Eth {
            self.raw_echo(ifc, &packet);
        }
        let send = |st: &mut Self, packet: Vec<u8>| match ifc {
            InterfaceId::Lo => {
                st.interfaces.lo.queue.send(packet.len(), &mut |b| {
                    b.copy_from_slice(&packet);
                    TxMeta::default()
                });
                Ok(())
            }
            InterfaceId::Eth => {
                let raw = st.raw(sid)?;
                raw.waiting.try_reserve(1).map_err(|_| Errno::ENOBUFS)?;
                raw.waiting_bytes += packet.len();
                raw.waiting.push_back((to, now + PATIENCE, packet));
                Ok(())
            }
        };
        if packet.len() <= mtu {
            send(self, packet)?;
        } else {
            fragments(&packet, mtu, &mut |piece| send(self, piece))?;
        }
        self.touch_udp(sid);
        Ok(Some(()))
    }

    /// What is sent to many also reaches the raw sockets of this host.
    fn raw_echo(&mut self, ifc: InterfaceId, packet: &[u8]) {
        if let Some(h) = headers(packet) {
            self.raw_deliver(ifc, packet, &h);
        }
    }
}

/// [`Stack::raw_tap`].
fn tap(st: &mut Stack, ifc: InterfaceId, p: &Parsed<'_>) -> bool {
    if p.ip.is_empty() || matches!(p.kind, Kind::Fragment) {
        return false;
    }
    let Some(h) = headers(p.ip) else { return false };
    if ifc == InterfaceId::Eth && st.martian(p.ip) {
        return false;
    }
    let ours = st.interfaces.is_local(&h.to) || st.is_many(&h.to);
    let taken = ours && st.raw_deliver(ifc, p.ip, &h);
    // ICMP and IGMP have more readers; a protocol that nobody else knows is not answered "unreachable".
    taken && matches!(p.kind, Kind::Other) && h.protocol != 2
}

/// [`Stack::udp_seen`].
pub fn udp_seen(st: &mut Stack, ifc: InterfaceId, d: &frame::Udp<'_>) {
    let t = d.tuple;
    let mut packet = Vec::new();
    let len = 8 + d.data.len();
    if packet.try_reserve_exact(40 + len).is_err()
        || ip_header(&mut packet, (&t.remote, &t.local), (d.ttl, d.tos), 17, len).is_err()
    {
        return;
    }
    let body = packet.len();
    if body == 20 {
        packet[6] = 0x40;
        Ipv4Packet::new_unchecked(&mut packet[..]).fill_checksum();
    }
    for half in [t.rport, t.lport, len as u16, 0] {
        packet.extend_from_slice(&half.to_be_bytes());
    }
    packet.extend_from_slice(d.data);
    let sum = !transport_sum(&packet, 0, body);
    packet[body + 6..body + 8].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
    if ifc == InterfaceId::Lo
        && let Some(tap) = st.lo_tap
    {
        tap(st, &packet);
    }
    if st.raw_tap.is_some()
        && let Some(h) = headers(&packet)
    {
        st.raw_deliver(ifc, &packet, &h);
    }
}

/// [`Raw::flush`]: sends packets whose neighbors are known, in order, and gives up on those that waited long enough.
fn flush(st: &mut Stack, sid: u32) {
    let Ok(raw) = st.raw(sid) else { return };
    let mut waiting = core::mem::take(&mut raw.waiting);
    let (now, mut gone, mut next) = (st.now, 0, u64::MAX);
    waiting.retain(|(to, until, packet)| {
        let mac = if st.is_many(to) {
            Some(group(to))
        } else {
            st.neighbors.way(&mut Default::default(), &st.interfaces, to)
        };
        match mac {
            Some(mac) => st.put_on_wire(&mac, packet),
            None if now < *until => {
                st.neighbor_needed(to, false);
                next = next.min(*until).min(now + NS);
                return true;
            }
            None => {}
        }
        gone += packet.len();
        false
    });
    let waits = !waiting.is_empty();
    let Some(s) = st.sockets.get_mut(sid) else { return };
    let super::sock::Kind::Udp(u) = &mut s.kind else { return };
    u.next_at = next;
    if let Some(raw) = &mut u.raw {
        raw.waiting = waiting;
        raw.waiting_bytes -= gone;
    }
    let woken = gone > 0 && (core::mem::take(&mut u.want_room) || u.edges);
    let shared = s.shared.clone();
    if woken {
        st.wakes.add(&shared, Events::OUT | Events::WRNORM);
    }
    if waits {
        st.udp_waits(sid);
    }
}
