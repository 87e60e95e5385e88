//! A first look at a frame: enough to find the connection it belongs to. Trusts nothing: every length is checked, and
//! what does not parse is `None`, and is dropped or left to smoltcp.

use crate::build::transport_sum;
use core::hash::{Hash, Hasher};
use libos_tcp::{Segment, Seq};
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Address, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket,
};

/// The connection of a segment, as seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    pub local: IpAddress,
    pub lport: u16,
    pub remote: IpAddress,
    pub rport: u16,
}

/// In words, since every packet is looked up: two for IPv4.
impl Hash for Tuple {
    fn hash<H: Hasher>(&self, h: &mut H) {
        match (self.local, self.remote) {
            (IpAddress::Ipv4(local), IpAddress::Ipv4(remote)) => {
                h.write_u64(u64::from(local.to_bits()) << 32 | u64::from(remote.to_bits()));
            }
            (local, remote) => {
                for a in [local, remote] {
                    if let IpAddress::Ipv6(a) = a {
                        h.write_u64((a.to_bits() >> 64) as u64);
                        h.write_u64(a.to_bits() as u64);
                    }
                }
            }
        }
        h.write_u32(u32::from(self.lport) << 16 | u32::from(self.rport));
    }
}

impl Tuple {
    /// As seen from the other end.
    pub fn back(&self) -> Self {
        Self { local: self.remote, lport: self.rport, remote: self.local, rport: self.lport }
    }
    /// As bytes, for a keyed hash.
    pub fn bytes(&self) -> [u8; 36] {
        let wide = |a: &IpAddress| match a {
            IpAddress::Ipv4(a) => a.to_ipv6_mapped().octets(),
            IpAddress::Ipv6(a) => a.octets(),
        };
        let mut b = [0; 36];
        b[..16].copy_from_slice(&wide(&self.local));
        b[16..32].copy_from_slice(&wide(&self.remote));
        b[32..34].copy_from_slice(&self.lport.to_le_bytes());
        b[34..].copy_from_slice(&self.rport.to_le_bytes());
        b
    }
}

/// A TCP segment and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    pub tuple: Tuple,
    /// The tuple's hash, which the stack fills in.
    pub hash: u64,
    pub segment: Segment<'a>,
}

#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    pub tuple: Tuple,
    pub data: &'a [u8],
    /// Time to live or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
}

/// What a frame is.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    Tcp(Tcp<'a>),
    Udp(Udp<'a>),
    /// One fragment of an IPv4 datagram.
    Fragment,
    /// ICMP for IPv4 or IPv6: type, code, and the packet it complains about.
    Icmp {
        v6: bool,
        kind: u8,
        code: u8,
        /// The rest of its header: an MTU, if one was exceeded.
        info: u32,
        about: &'a [u8],
    },
    /// Anything else: for smoltcp.
    Other,
    Arp,
}

#[derive(Clone, Copy, Debug)]
pub struct Parsed<'a> {
    /// The IP packet, without Ethernet header and padding; empty for ARP.
    pub ip: &'a [u8],
    pub kind: Kind<'a>,
}

/// Parses an Ethernet frame: its IP packet, or ARP.
pub fn parse_ethernet(frame: &[u8], csum_ok: bool) -> Option<Parsed<'_>> {
    let eth = EthernetFrame::new_checked(frame).ok()?;
    match eth.ethertype() {
        EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6 => parse_ip(&frame[14..], csum_ok),
        EthernetProtocol::Arp => Some(Parsed { ip: &[], kind: Kind::Arp }),
        _ => None,
    }
}

/// What most packets are: TCP over IPv4 without IP options, not in fragments. `None`: it is something else, or malformed.
pub fn parse_usual(p: &[u8], csum_ok: bool) -> Option<Parsed<'_>> {
    let (h, _) = p.split_first_chunk::<40>()?;
    let total = usize::from(u16::from_be_bytes([h[2], h[3]]));
    let fragment = h[6] & 0x3f | h[7];
    let usual = (h[0], h[9], fragment) == (0x45, 6, 0) && header_good(h);
    let header = usize::from(h[32] >> 4) * 4;
    if !usual || header < 20 || total < 20 + header {
        return None;
    }
    let ip = p.get(..total)?;
    if !csum_ok && transport_sum(ip, 0, 20) != 0xffff {
        return None;
    }
    let (options, data) = ip.get(40..)?.split_at_checked(header - 20)?;
    let word = |at: usize| u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
    let half = |at: usize| u16::from_be_bytes([h[at], h[at + 1]]);
    let (lport, rport) = (half(22), half(20));
    if lport == 0 || rport == 0 {
        return None;
    }
    let address = |at| IpAddress::Ipv4(Ipv4Address::from_bits(word(at)));
    let tuple = Tuple { local: address(16), lport, remote: address(12), rport };
    let (seq, ack) = (Seq(word(24)), Seq(word(28)));
    let segment = Segment { seq, ack, flags: h[33], window: half(34), options, data };
    Some(Parsed { ip, kind: Kind::Tcp(Tcp { tuple, hash: 0, segment }) })
}

/// Whether the checksum of an IPv4 header without options is right.
fn header_good(h: &[u8; 40]) -> bool {
    let word = |at: usize| u64::from(u32::from_ne_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]));
    let sum = word(0) + word(4) + word(8) + word(12) + word(16);
    // The sum of 16-bit words modulo 65535, whatever the byte order.
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

/// Parses an IP packet. `None`: malformed, or a checksum is wrong.
pub fn parse_ip(p: &[u8], csum_ok: bool) -> Option<Parsed<'_>> {
    match p.first()? >> 4 {
        4 => {
            let ip = Ipv4Packet::new_checked(p).ok()?;
            if ip.version() != 4 || ip.header_len() < 20 || !ip.verify_checksum() {
                return None;
            }
            let total = ip.total_len() as usize;
            let (src, dst) = (IpAddress::Ipv4(ip.src_addr()), IpAddress::Ipv4(ip.dst_addr()));
            let p = &p[..total];
            if ip.more_frags() || ip.frag_offset() != 0 {
                return Some(Parsed { ip: p, kind: Kind::Fragment });
            }
            let body = &p[ip.header_len() as usize..];
            Some(Parsed {
                ip: p,
                kind: parse_transport(ip.next_header(), src, dst, (ip.hop_limit(), p[1]), body, csum_ok)?,
            })
        }
        6 => {
            let ip = Ipv6Packet::new_checked(p).ok()?;
            let p = &p[..ip.total_len()];
            let (src, dst) = (IpAddress::Ipv6(ip.src_addr()), IpAddress::Ipv6(ip.dst_addr()));
            let marks = (ip.hop_limit(), p[0] << 4 | p[1] >> 4);
            let kind = parse_transport(ip.next_header(), src, dst, marks, &p[40..], csum_ok)?;
            Some(Parsed { ip: p, kind })
        }
        _ => None,
    }
}

fn parse_transport(
    proto: IpProtocol,
    src: IpAddress,
    dst: IpAddress,
    (ttl, tos): (u8, u8),
    body: &[u8],
    csum_ok: bool,
) -> Option<Kind<'_>> {
    let tuple = |sport, dport| Tuple { local: dst, lport: dport, remote: src, rport: sport };
    Some(match proto {
        IpProtocol::Tcp => {
            let t = TcpPacket::new_checked(body).ok()?;
            if t.src_port() == 0 || t.dst_port() == 0 || !(csum_ok || t.verify_checksum(&src, &dst)) {
                return None;
            }
            let (header, data) = body.split_at(t.header_len() as usize);
            let segment = Segment {
                seq: Seq(t.seq_number().0 as u32),
                ack: Seq(t.ack_number().0 as u32),
                flags: header[13],
                window: t.window_len(),
                options: &header[20..],
                data,
            };
            Kind::Tcp(Tcp { tuple: tuple(t.src_port(), t.dst_port()), hash: 0, segment })
        }
        IpProtocol::Udp => {
            let u = UdpPacket::new_checked(body).ok()?;
            if u.dst_port() == 0 || !(csum_ok || u.verify_checksum(&src, &dst)) {
                return None;
            }
            // RFC 8200 section 8.1: over IPv6 the checksum is not optional.
            if matches!(src, IpAddress::Ipv6(_)) && u.checksum() == 0 {
                return None;
            }
            Kind::Udp(Udp { tuple: tuple(u.src_port(), u.dst_port()), data: &body[8..u.len() as usize], ttl, tos })
        }
        IpProtocol::Icmp | IpProtocol::Icmpv6 if body.len() >= 8 => {
            let info = u32::from_be_bytes([body[4], body[5], body[6], body[7]]);
            Kind::Icmp { v6: proto == IpProtocol::Icmpv6, kind: body[0], code: body[1], info, about: &body[8..] }
        }
        _ => Kind::Other,
    })
}

/// Protocol, addresses and ports, and TCP sequence number of a packet of ours that an ICMP error quotes.
pub fn parse_quoted(p: &[u8]) -> Option<(u8, Tuple, Seq)> {
    let (proto, src, dst, body) = match p.first()? >> 4 {
        4 => {
            let ihl = (p[0] & 15) as usize * 4;
            if ihl < 20 || p.len() < ihl + 8 {
                return None;
            }
            let a = |o: usize| IpAddress::v4(p[o], p[o + 1], p[o + 2], p[o + 3]);
            (p[9], a(12), a(16), &p[ihl..])
        }
        6 if p.len() >= 48 => {
            let a = |o: usize| {
                let mut b = [0; 16];
                b.copy_from_slice(&p[o..o + 16]);
                IpAddress::Ipv6(b.into())
            };
            (p[6], a(8), a(24), &p[40..])
        }
        _ => return None,
    };
    let port = |o: usize| u16::from_be_bytes([body[o], body[o + 1]]);
    let seq = Seq(u32::from_be_bytes([body[4], body[5], body[6], body[7]]));
    Some((proto, Tuple { local: src, lport: port(0), remote: dst, rport: port(2) }, seq))
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::checksum;

    /// What the short way accepts, the long one reads the same; what it refuses otherwise, the long one refuses, too.
    #[test]
    fn the_usual_packet_is_read_as_any_other() {
        let mut x = 7u64;
        let mut dice = |of: usize| {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (x >> 33) as usize % of
        };
        let (mut usual, mut other) = (0, 0);
        for _ in 0..200_000 {
            let (options, data) = (dice(11) * 4, dice(40));
            let total = 40 + options + data;
            let mut p: Vec<u8> = (0..total + dice(3)).map(|_| dice(256) as u8).collect();
            p[..10].copy_from_slice(&[0x45, 0, 0, total as u8, 0, 0, 0x40, 0, 64, 6]);
            p[32] = (5 + options as u8 / 4) << 4;
            p[10..12].fill(0);
            let sum = !checksum::data(&p[..20]);
            p[10..12].copy_from_slice(&sum.to_be_bytes());
            p[36..38].fill(0);
            let sum = !transport_sum(&p[..total], 0, 20);
            p[36..38].copy_from_slice(&sum.to_be_bytes());
            if dice(2) == 0 {
                let at = dice(p.len().min(60));
                p[at] = dice(256) as u8;
            }
            if dice(20) == 0 {
                p.truncate(dice(p.len()));
            }
            for ok in [true, false] {
                let long = parse_ip(&p, ok).filter(|long| matches!(long.kind, Kind::Tcp(_)));
                match parse_usual(&p, ok) {
                    Some(short) => {
                        usual += 1;
                        assert_eq!(format!("{:?}", Some(short)), format!("{long:?}"));
                    }
                    None => {
                        other += 1;
                        assert!(long.is_none_or(|long| long.ip[0] != 0x45), "{p:?}");
                    }
                }
            }
        }
        assert!(usual > 10_000 && other > 10_000);
    }
}
