//! Frames in: what they are, and the connection that they belong to.

use super::interface::{Interface, InterfaceId};
use super::reply::Reply;
use super::timewait::Verdict;
use super::transmit::headers;
use super::tuples::Holder;
use super::udp::Icmp;
use super::{Stack, instant};
use crate::errqueue::CALLS;
use crate::frame::{self, Kind, Parsed, Tcp, Tuple};
use crate::phy::{OneSlot, Report};
use libos_base::Errno;
use libos_tcp::{self as tcp, RST, Seq, State};
use smoltcp::wire::IpAddress;

impl Stack {
    /// One frame from the card, or one packet from the loopback wire. `ok`: its transport checksum is known to be good.
    pub fn ingress(&mut self, ifc: InterfaceId, raw: &[u8], ok: bool) {
        let parsed = match ifc {
            InterfaceId::Lo => {
                self.stats.lo += 1;
                self.stats.lo_bytes += raw.len() as u64;
                frame::parse_ip(raw, ok)
            }
            InterfaceId::Eth => {
                self.stats.rx += 1;
                self.stats.rx_bytes += raw.len() as u64;
                let Some(me) = self.interfaces.mac() else { return };
                let Some((ethernet, ip)) = raw.split_first_chunk::<14>() else { return };
                let to_us = ethernet[..6] == me;
                // Broadcast is multicast.
                if !to_us && ethernet[0] & 1 == 0 {
                    return;
                }
                if to_us
                    && ethernet[12..] == [8, 0]
                    && let Some(mut p) = frame::parse_usual(ip, ok)
                {
                    return self.packet(ifc, raw, &mut p);
                }
                frame::parse_ethernet(raw, ok)
            }
        };
        match parsed {
            Some(mut p) => self.packet(ifc, raw, &mut p),
            None => self.stats.bad += 1,
        }
    }

    /// Handles a parsed packet; `raw` is what smoltcp gets.
    pub fn packet(&mut self, ifc: InterfaceId, raw: &[u8], p: &mut Parsed<'_>) {
        if let Some(tap) = self.raw_tap
            && tap(self, ifc, p)
        {
            return;
        }
        let mut holder = None;
        if let Kind::Tcp(t) = &mut p.kind {
            t.hash = self.connections.hash(&t.tuple);
            holder = self.connections.holder(&t.tuple, t.hash);
            if self.known_in(holder, ifc, raw, t) {
                return;
            }
        }
        self.strange_in(holder, ifc, raw, p);
    }

    /// Handles what belongs to no connection.
    #[inline(never)]
    fn strange_in(&mut self, holder: Option<Holder>, ifc: InterfaceId, raw: &[u8], p: &Parsed<'_>) {
        // Queries have odd addresses: a router's may be 0.0.0.0.
        if let (Kind::Other, InterfaceId::Eth, Some(hear)) = (&p.kind, ifc, self.groups.hear) {
            hear(self, p.ip);
        }
        if ifc == InterfaceId::Eth && !p.ip.is_empty() && (self.martian(p.ip) || self.unanswered(p.ip, &p.kind)) {
            self.stats.bad += 1;
            return;
        }
        match &p.kind {
            Kind::Tcp(t) => self.stranger_in(holder, ifc, raw, t),
            Kind::Udp(u) => self.udp_in(ifc, raw, u),
            Kind::Fragment => self.fragment_in(ifc, raw, p.ip),
            &Kind::Icmp { v6, kind, code, info, about } => {
                self.icmp_error(p.ip, v6, (kind, code), info, about);
                match (v6 && ifc == InterfaceId::Eth, kind) {
                    (true, 134) => {
                        self.advertisement(raw);
                        self.neighbors_changed();
                    }
                    (true, 135 | 136) => self.neighbor_in(raw, p.ip),
                    _ => self.hand_to_control(ifc, raw),
                }
            }
            Kind::Arp => self.arp_in(raw),
            Kind::Other => self.hand_to_control(ifc, raw),
        }
    }

    /// Whether a segment from `remote` to `local` is for us and could be genuine ([`martian`](Self::martian) has passed
    /// it).
    fn plausible(&self, ifc: InterfaceId, raw: &[u8], local: &IpAddress, remote: &IpAddress) -> bool {
        self.for_us(ifc, raw, local) && remote.is_unicast()
    }

    /// Whether a segment to `local` is for us.
    fn for_us(&self, ifc: InterfaceId, raw: &[u8], local: &IpAddress) -> bool {
        match (ifc, &self.interfaces.eth) {
            (InterfaceId::Lo, _) => self.interfaces.is_local(local) && local.is_unicast(),
            // TCP to a broadcast Ethernet address is an attack or an accident.
            (InterfaceId::Eth, Some(eth)) => raw[0] & 1 == 0 && eth.has(local),
            (InterfaceId::Eth, None) => false,
        }
    }

    /// A segment from a socket of this host.
    pub fn tcp_in(&mut self, ifc: InterfaceId, raw: &[u8], t: &Tcp<'_>) {
        let holder = self.connections.holder(&t.tuple, t.hash);
        if !self.known_in(holder, ifc, raw, t) {
            self.stranger_in(holder, ifc, raw, t);
        }
    }

    /// Passes a segment to its connection or handshake, if it has one, whose addresses are not martian: they were looked at
    /// when it began. But ours may have changed, and those of this host's own connections are not seen from outside.
    fn known_in(&mut self, holder: Option<Holder>, ifc: InterfaceId, raw: &[u8], t: &Tcp<'_>) -> bool {
        match holder {
            Some(Holder::Conn(id)) => {
                let here = self.connections.get(id).is_some_and(|c| c.ifc == ifc);
                here && self.for_us(ifc, raw, &t.tuple.local) && self.feed(id, ifc, raw, t)
            }
            Some(Holder::Request(place)) => {
                let ours = self.for_us(ifc, raw, &t.tuple.local);
                if ours {
                    self.request_in(place, ifc, raw, t);
                }
                ours
            }
            _ => false,
        }
    }

    /// A segment that belongs to no connection. `holder`: what its tuple stood for when it came.
    fn stranger_in(&mut self, holder: Option<Holder>, ifc: InterfaceId, raw: &[u8], t: &Tcp<'_>) {
        if !self.plausible(ifc, raw, &t.tuple.local, &t.tuple.remote) {
            self.stats.bad += 1;
            return;
        }
        if let Some(Holder::Waits(place)) = holder {
            match self.connections.waits_in(place, t, self.now) {
                Verdict::NotMine | Verdict::Reopen => {}
                Verdict::Ignore => return,
                Verdict::Ack(seq, ack) => {
                    // Nothing will come; but some peers take a closed window as a reason to ask again at once.
                    self.answer(ifc, raw, &t.tuple, Reply::ack(seq, ack, 8192));
                    return;
                }
            }
        }
        if self.listener_in(ifc, raw, t) || t.segment.has(RST) {
            return;
        }
        self.answer(ifc, raw, &t.tuple, Reply::reset(t));
    }

    /// Passes a segment to its connection. Returns false if it belongs to none after all.
    pub fn feed(&mut self, id: u32, ifc: InterfaceId, raw: &[u8], t: &Tcp<'_>) -> bool {
        let now = self.now;
        let Some(c) = self.connections.get_mut(id) else { return false };
        let unread = c.unread();
        match c.tcp_mut().on_segment(now, &t.segment, unread, &mut self.memory.pool) {
            // It is over with nothing left to send, so its tuple is free for a SYN in the same batch of frames.
            tcp::Verdict::Taken if c.tcp().state() == State::Closed => {
                self.poll_conn(id, None);
            }
            tcp::Verdict::Taken => self.follow(id),
            tcp::Verdict::Challenge => {
                let (seq, ack, window) = c.tcp_mut().position();
                self.answer(ifc, raw, &t.tuple, Reply::ack(seq, ack, window));
            }
            tcp::Verdict::Reset => self.answer(ifc, raw, &t.tuple, Reply::reset(t)),
            tcp::Verdict::Stale => {
                self.detach(id, false);
                return false;
            }
            tcp::Verdict::Unwanted => return !self.refuse_data(id),
        }
        true
    }

    /// Passes on ICMP and everything else that no connection takes.
    pub fn hand_to_control(&mut self, ifc: InterfaceId, raw: &[u8]) {
        let now = instant(self.now);
        if let Some(Interface { smoltcp, link, control, queue, .. }) = self.interfaces.get_mut(ifc) {
            let report = Report { tos: tos_of(raw, link.ip_at()), ..Report::default() };
            let mut dev = OneSlot { link: *link, rx: Some(raw), sink: queue, report };
            smoltcp.poll_ingress_single(now, &mut dev, control);
            let asked = dev.report.asked;
            self.neighbor_asked(asked);
        }
    }

    fn fragment_in(&mut self, ifc: InterfaceId, raw: &[u8], ip: &[u8]) {
        let Some(whole) = self.fragments.add(ip, self.now) else { return };
        let Some(mut p) = frame::parse_ip(&whole, false) else {
            self.stats.bad += 1;
            return;
        };
        if ifc == InterfaceId::Lo {
            self.packet(ifc, &whole, &mut p);
            return;
        }
        let mut framed = alloc::vec::Vec::new();
        if framed.try_reserve_exact(14 + whole.len()).is_ok() {
            framed.extend_from_slice(&raw[..14]);
            framed.extend_from_slice(&whole);
            self.packet(ifc, &framed, &mut p);
        }
    }

    /// An ICMP error about something we sent (RFC 5927: believed only if it quotes what is really in flight).
    fn icmp_error(&mut self, ip: &[u8], v6: bool, (kind, code): (u8, u8), info: u32, about: &[u8]) {
        let (error, hard) = match (v6, kind, code) {
            (false, 3, 0) | (true, 1, 0) => (Errno::ENETUNREACH, true),
            (false, 3, 1) | (true, 1, 3) => (Errno::EHOSTUNREACH, true),
            (false, 3, 2 | 3) | (true, 1, 4) => (Errno::ECONNREFUSED, true),
            (false, 3, 4) | (true, 2, 0) => (Errno::EMSGSIZE, false),
            (false, 3, 9..=13) | (true, 1, 1) => (Errno::EACCES, true),
            // Too many hops; a header that nobody understands.
            (false, 11, _) | (true, 3, _) => (Errno::EHOSTUNREACH, false),
            (false, 12, _) | (true, 4, _) => (Errno::EPROTO, true),
            _ => return,
        };
        let Some((proto, tuple, seq)) = frame::parse_quoted(about) else { return };
        let body = if v6 { 40 } else { usize::from(about[0] & 15) * 4 };
        let from = if v6 {
            IpAddress::Ipv6(core::array::from_fn::<u8, 16, _>(|i| ip[8 + i]).into())
        } else {
            IpAddress::v4(ip[12], ip[13], ip[14], ip[15])
        };
        let info = if error == Errno::EMSGSIZE { info } else { 0 };
        let at = if proto == 17 { body + 8 } else { body };
        let icmp = Icmp { v6, kind, code, info, from, data: &about[at..] };
        match proto {
            6 if error == Errno::EMSGSIZE => self.packet_too_big(v6, info, &tuple, seq),
            6 if hard && error != Errno::EPROTO => {
                let Some(id) = self.connections.find(&tuple) else { return };
                let Some(c) = self.connections.get_mut(id) else { return };
                // Established connections survive soft errors; a connection attempt fails at once, as on Linux.
                if c.tcp().state() == State::SynSent && seq == c.tcp().isn() {
                    c.abort(Some(error), &mut self.memory);
                    self.connections.touch(id);
                }
            }
            17 => self.udp_error(&tuple, error, hard, &icmp),
            1 | 58 => {
                if let Some(calls) = CALLS.get() {
                    let id = u16::from_be_bytes([icmp.data[4], icmp.data[5]]);
                    (calls.ping)(self, id, tuple.remote, error, &icmp);
                }
            }
            _ => {}
        }
    }

    /// A router's link is too narrow for a packet of ours: segments become smaller (RFC 1191, RFC 8201).
    fn packet_too_big(&mut self, v6: bool, info: u32, tuple: &Tuple, seq: Seq) {
        let mtu = if v6 { info.max(1280) } else { (info & 0xffff).max(552) };
        if let Some(id) = self.connections.find(tuple)
            && let Some(c) = self.connections.get_mut(id)
            && c.tcp_mut().path_narrows(seq, mtu - headers(&tuple.local) as u32)
        {
            self.connections.touch(id);
        }
    }
}

/// The type of service or traffic class of a packet, which the answer to a ping has, too (RFC 1812 section 4.3.2.5).
fn tos_of(raw: &[u8], at: usize) -> u8 {
    match raw.get(at..at + 2) {
        Some(&[first, second]) if first >> 4 == 4 && (at == 0 || raw[12] == 8) => second,
        Some(&[first, second]) if first >> 4 == 6 => first << 4 | second >> 4,
        _ => 0,
    }
}
