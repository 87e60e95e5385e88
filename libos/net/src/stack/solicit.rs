//! The frames of neighbor resolution: ARP (RFC 826) and neighbor discovery (RFC 4861), in and out.

use super::Stack;
use super::interface::InterfaceId;
use crate::build::{Frame, transport_sum};
use crate::multicast::solicited_node;
use smoltcp::wire::{IpAddress, Ipv6Address};

/// An Ethernet address.
pub type Mac = [u8; 6];

const BROADCAST: Mac = [255; 6];
/// ARP for IPv4 over Ethernet.
const ARP: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Flags of an advertisement: it is an answer, and it replaces what was known.
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

impl Stack {
    /// Handles an ARP frame from the card.
    pub fn arp_in(&mut self, raw: &[u8]) {
        let (Some(eth), Some(p)) = (&self.interfaces.eth, raw.get(14..42)) else { return };
        let ip = |o: usize| IpAddress::v4(p[o], p[o + 1], p[o + 2], p[o + 3]);
        let (from, mac, target) = (ip(14), mac_at(p, 8), ip(24));
        if p[..6] != ARP || p[6] != 0 || mac[0] & 1 != 0 {
            return;
        }
        let for_us = p[7] == REQUEST && eth.has(&target);
        let neighbor = self.neighborly(&from);
        if neighbor {
            self.claim(from, mac, for_us);
        }
        // A sender without an address wants to know whether ours is taken (RFC 5227).
        if for_us && (neighbor || from.is_unspecified()) {
            let Some(me) = self.interfaces.mac() else { return };
            self.reply(InterfaceId::Eth, &arp(REPLY, (&me, &target), (&mac, &from)));
        }
    }

    /// Handles a neighbor solicitation or advertisement from the card. `ip`: its IPv6 packet.
    pub fn neighbor_in(&mut self, raw: &[u8], ip: &[u8]) {
        let (Some(eth), Some(body)) = (&self.interfaces.eth, ip.get(40..).filter(|b| b.len() >= 24)) else { return };
        // A hop limit of 255: no router has forwarded it (RFC 4861 section 7.1).
        if ip[7] != 255 || body[1] != 0 || transport_sum(ip, 0, 40) != 0xffff {
            return;
        }
        let (kind, src, target) = (body[0], address(&ip[8..]), address(&body[8..]));
        let mut mac = None;
        let mut options = &body[24..];
        while let [option, n, rest @ ..] = options {
            let n = usize::from(*n) * 8;
            if n == 0 || options.len() < n {
                return;
            }
            // The source's address in a solicitation, the target's in an advertisement.
            if *option == kind - (SOLICITATION - 1) && n == 8 {
                mac = Some(mac_at(rest, 0)).filter(|mac| mac[0] & 1 == 0);
            }
            options = &options[n..];
        }
        if kind == ADVERTISEMENT {
            if let Some(mac) = mac
                && self.neighborly(&target)
            {
                self.claim(target, mac, false);
            }
            return;
        }
        if !eth.has(&target) {
            return;
        }
        let Some(me) = self.interfaces.mac() else { return };
        let frame = if src.is_unspecified() {
            // A sender that wants our address for itself is told together with everybody (section 7.2.4).
            let all = IpAddress::v6(0xff02, 0, 0, 0, 0, 0, 0, 1);
            nd(ADVERTISEMENT, OVERRIDE, &target, (&me, &target), (&group(&all), &all))
        } else {
            if let Some(mac) = mac
                && self.neighborly(&src)
            {
                self.claim(src, mac, true);
            }
            let to = mac.unwrap_or(mac_at(raw, 6));
            nd(ADVERTISEMENT, SOLICITED | OVERRIDE, &target, (&me, &target), (&to, &src))
        };
        self.reply(InterfaceId::Eth, &frame);
    }

    /// Whether `ip` can be a neighbor's: an address on our link, or a router's, and not our own.
    fn neighborly(&self, ip: &IpAddress) -> bool {
        self.interfaces.next_hop(ip) == Some(*ip) && ip.is_unicast() && !self.interfaces.is_local(ip)
    }

    /// Asks for a neighbor: everybody, or the one believed to be it.
    pub fn ask(&mut self, hop: &IpAddress, whom: Option<Mac>) {
        let (Some(me), Some(eth)) = (self.interfaces.mac(), &self.interfaces.eth) else { return };
        let Some(source) = eth.smoltcp.get_source_address(hop) else { return };
        let frame = match hop {
            IpAddress::Ipv4(_) => arp(REQUEST, (&me, &source), (&whom.unwrap_or(BROADCAST), hop)),
            IpAddress::Ipv6(a) => {
                let all = IpAddress::Ipv6(solicited_node(a));
                let (mac, to) = whom.map_or((group(&all), all), |mac| (mac, *hop));
                nd(SOLICITATION, 0, hop, (&me, &source), (&mac, &to))
            }
        };
        self.reply(InterfaceId::Eth, &frame);
    }

    /// Makes smoltcp believe that `ip` is at `mac`, through a made-up frame that was never on the wire.
    pub fn tell_smoltcp(&mut self, ip: &IpAddress, mac: Mac) {
        let (Some(me), Some(eth)) = (self.interfaces.mac(), &self.interfaces.eth) else { return };
        let Some(ours) = eth.smoltcp.get_source_address(ip) else { return };
        let frame = match ip {
            IpAddress::Ipv4(_) => arp(REPLY, (&mac, ip), (&me, &ours)),
            IpAddress::Ipv6(_) => nd(ADVERTISEMENT, OVERRIDE, ip, (&mac, ip), (&me, &ours)),
        };
        self.hand_to_control(InterfaceId::Eth, frame.bytes());
    }
}

fn mac_at(b: &[u8], at: usize) -> Mac {
    core::array::from_fn(|i| b[at + i])
}

fn address(b: &[u8]) -> IpAddress {
    IpAddress::Ipv6(Ipv6Address::from(core::array::from_fn::<u8, 16, _>(|i| b[i])))
}

/// The Ethernet address of an IPv6 group (RFC 2464 section 7), of an IPv4 group (RFC 1112 section 6.4), or broadcast.
pub fn group(ip: &IpAddress) -> Mac {
    match ip {
        IpAddress::Ipv6(ip) => {
            let o = ip.octets();
            [0x33, 0x33, o[12], o[13], o[14], o[15]]
        }
        IpAddress::Ipv4(ip) if ip.is_multicast() => {
            let o = ip.octets();
            [1, 0, 0x5e, o[1] & 0x7f, o[2], o[3]]
        }
        IpAddress::Ipv4(_) => BROADCAST,
    }
}

fn arp(operation: u8, from: (&Mac, &IpAddress), to: (&Mac, &IpAddress)) -> Frame {
    let mut f = Frame::new();
    f.put(to.0).put(from.0).put(&[8, 6]).put(&ARP).put(&[0, operation]);
    for (mac, ip) in [from, to] {
        f.put(mac).put_address(ip);
    }
    f
}

fn nd(kind: u8, flags: u8, target: &IpAddress, from: (&Mac, &IpAddress), to: (&Mac, &IpAddress)) -> Frame {
    let mut f = Frame::new();
    f.put(to.0).put(from.0).put(&[0x86, 0xdd]).ip(from.1, to.1, 58, (255, 0), 32);
    f.put(&[kind, 0, 0, 0, flags, 0, 0, 0]).put_address(target);
    f.put(&[kind - (SOLICITATION - 1), 1]).put(from.0);
    f.seal(14, 2);
    f
}
