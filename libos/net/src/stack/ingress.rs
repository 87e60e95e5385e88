//! Frames in: finds the connection, and has smoltcp process the frame for it alone.

use super::conn::Fate;
use super::interface::{Interface, InterfaceId};
use super::reply::Segment;
use super::timewait::Verdict;
use super::{Stack, instant};
use crate::frame::{self, Kind, Parsed, Tcp};
use crate::phy::{OneSlot, Report};
use libos_base::Errno;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{EthernetFrame, IpAddress};

impl Stack {
    /// One frame from the card, or one packet from the loopback wire. `ok`: its transport checksum is known to be good.
    pub fn ingress(&mut self, ifc: InterfaceId, raw: &[u8], ok: bool) {
        self.stats.rx += 1;
        self.stats.rx_bytes += raw.len() as u64;
        let parsed = match ifc {
            InterfaceId::Lo => frame::parse_ip(raw, ok),
            InterfaceId::Eth => {
                let Some(eth) = &self.interfaces.eth else { return };
                let Some(me) = eth.mac() else { return };
                let Ok(f) = EthernetFrame::new_checked(raw) else { return };
                if f.dst_addr().0 != me && !f.dst_addr().is_broadcast() && !f.dst_addr().is_multicast() {
                    return;
                }
                frame::parse_ethernet(raw, ok)
            }
        };
        match parsed {
            Some(p) => self.packet(ifc, raw, p),
            None => self.stats.bad += 1,
        }
    }

    /// Handles a parsed packet; `raw` is what smoltcp gets.
    pub fn packet(&mut self, ifc: InterfaceId, raw: &[u8], p: Parsed<'_>) {
        if ifc == InterfaceId::Eth && !p.ip.is_empty() && (self.martian(p.ip) || self.unanswered(p.ip, &p.kind)) {
            self.stats.bad += 1;
            return;
        }
        match p.kind {
            Kind::Tcp(t) => self.tcp_in(ifc, raw, p.ip, &t),
            Kind::Udp(u) => self.udp_in(ifc, raw, &u),
            Kind::Fragment => self.fragment_in(ifc, raw, p.ip),
            Kind::Icmp { v6, kind, code, about } => {
                self.icmp_error(v6, kind, code, about);
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
        match (ifc, &self.interfaces.eth) {
            (InterfaceId::Lo, _) => self.interfaces.is_local(local) && remote.is_unicast() && local.is_unicast(),
            // TCP to a broadcast Ethernet address, or from a non-unicast one, is an attack or an accident.
            (InterfaceId::Eth, Some(eth)) => raw[0] & 1 == 0 && eth.has(local) && remote.is_unicast(),
            (InterfaceId::Eth, None) => false,
        }
    }

    fn tcp_in(&mut self, ifc: InterfaceId, raw: &[u8], ip: &[u8], t: &Tcp) {
        if !self.plausible(ifc, raw, &t.tuple.local, &t.tuple.remote) {
            self.stats.bad += 1;
            return;
        }
        if let Some(id) = self.connections.find(&t.tuple) {
            match self.connections.get_mut(id).map_or(Fate::Stale, |c| c.judge(t)) {
                Fate::Take => return self.feed(id, raw, t),
                Fate::Drop => return,
                Fate::Challenge => {
                    let now = self.now;
                    if let Some(segment) = self.connections.get_mut(id).and_then(|c| c.challenge(now)) {
                        self.answer(ifc, raw, &t.tuple, segment);
                    }
                    return;
                }
                Fate::Refuse if !self.refuse_data(id) => return,
                Fate::Refuse => {}
                Fate::Stale => self.detach(id, false),
            }
        }
        match self.connections.time_wait(&t.tuple).segment(t, self.now) {
            Verdict::NotMine | Verdict::Reopen => {}
            Verdict::Ignore => return,
            Verdict::Ack(seq, ack) => {
                // Nothing will come; but some peers take a closed window as a reason to ask again at once.
                self.answer(ifc, raw, &t.tuple, Segment::ack(seq, ack, 8192));
                return;
            }
        }
        if self.listener_in(ifc, raw, ip, t) || t.rst {
            return;
        }
        self.answer(ifc, raw, &t.tuple, Segment::reset(t));
    }

    /// Has smoltcp process a segment for a connection.
    pub fn feed(&mut self, id: u32, raw: &[u8], t: &Tcp) {
        let now = self.now;
        let Some(c) = self.connections.get_mut(id) else { return };
        let Some(interface) = self.interfaces.get_mut(c.ifc) else { return };
        if let Some(m) = t.mss
            && t.has_ack
        {
            c.set_mss(interface.link.mtu, Some(m));
        }
        c.heard(now);
        let mut dev =
            OneSlot { link: interface.link, rx: Some(raw), sink: &mut interface.queue, report: c.send.report() };
        let socket = c.tcp();
        let (before, queued) = (socket.state(), socket.recv_queue());
        interface.smoltcp.poll_ingress_single(instant(now), &mut dev, c.set());
        let report = dev.report;
        c.note(&report);
        let state = c.took(t, before, queued);
        if matches!(state, State::Closed | State::Listen) {
            // It is over with nothing left to send, so its tuple is free for a SYN in the same batch of frames.
            self.poll_conn(id, None);
        } else {
            self.connections.touch(id);
        }
    }

    /// Passes on ICMP and everything else that no connection takes.
    pub fn hand_to_control(&mut self, ifc: InterfaceId, raw: &[u8]) {
        let now = instant(self.now);
        if let Some(Interface { smoltcp, link, control, queue, .. }) = self.interfaces.get_mut(ifc) {
            let mut dev = OneSlot { link: *link, rx: Some(raw), sink: queue, report: Report::default() };
            smoltcp.poll_ingress_single(now, &mut dev, control);
            let asked = dev.report.asked;
            self.neighbor_asked(asked);
        }
    }

    fn fragment_in(&mut self, ifc: InterfaceId, raw: &[u8], ip: &[u8]) {
        let Some(whole) = self.fragments.add(ip, self.now) else { return };
        let Some(p) = frame::parse_ip(&whole, false) else {
            self.stats.bad += 1;
            return;
        };
        if ifc == InterfaceId::Lo {
            self.packet(ifc, &whole, p);
            return;
        }
        let mut framed = alloc::vec::Vec::new();
        if framed.try_reserve_exact(14 + whole.len()).is_ok() {
            framed.extend_from_slice(&raw[..14]);
            framed.extend_from_slice(&whole);
            self.packet(ifc, &framed, p);
        }
    }

    /// An ICMP error about something we sent (RFC 5927: believed only if it quotes what is really in flight).
    fn icmp_error(&mut self, v6: bool, kind: u8, code: u8, about: &[u8]) {
        let error = match (v6, kind, code) {
            (false, 3, 0) | (true, 1, 0) => Errno::ENETUNREACH,
            (false, 3, 1) | (true, 1, 3) => Errno::EHOSTUNREACH,
            (false, 3, 2 | 3) | (true, 1, 4) => Errno::ECONNREFUSED,
            (false, 3, 9..=13) | (true, 1, 1) => Errno::EACCES,
            _ => return,
        };
        let Some((proto, tuple, seq)) = frame::parse_quoted(about) else { return };
        match proto {
            6 => {
                let Some(id) = self.connections.find(&tuple) else { return };
                let Some(c) = self.connections.get_mut(id) else { return };
                // Established connections survive soft errors; a connection attempt fails at once, as on Linux.
                if c.tcp().state() == State::SynSent && seq == c.send.isn() {
                    c.abort(Some(error));
                    self.connections.touch(id);
                }
            }
            17 => self.udp_error(&tuple, error),
            _ => {}
        }
    }
}
