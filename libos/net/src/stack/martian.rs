//! Packets from the card whose addresses cannot be genuine: dropped silently, whatever they contain.

use super::Stack;
use crate::frame::Kind;
use smoltcp::wire::{IpAddress, Ipv4Address, Ipv6Address};

impl Stack {
    /// Whether `ip`, a packet from the card, has impossible addresses: those that Linux's `ip_route_input_slow` calls
    /// martian and `ip6_rcv_core` drops, our own address as source (a "land" packet), and all of 240.0.0.0/4 (RFC
    /// 6890).
    pub fn martian(&self, ip: &[u8]) -> bool {
        let Some(eth) = &self.interfaces.eth else { return true };
        let ours = |a: IpAddress| eth.has(&a);
        if ip[0] >> 4 == 4 {
            let [src, dst] = [12, 16].map(|o| Ipv4Address::new(ip[o], ip[o + 1], ip[o + 2], ip[o + 3]));
            return match ip[12] {
                // A host without an address may broadcast to get one (DHCP).
                0 => dst != Ipv4Address::BROADCAST,
                127 | 224.. => true,
                _ => {
                    matches!(ip[16], 0 | 127)
                        || ours(IpAddress::Ipv4(src))
                        || eth.is_subnet_broadcast(&IpAddress::Ipv4(src))
                }
            };
        }
        let [src, dst] = [8, 24].map(|o| Ipv6Address::from(core::array::from_fn::<u8, 16, _>(|i| ip[o + i])));
        // Mapped addresses are for programs, not for the wire; scope 0 is reserved, scope 1 is within a host (RFC 4291
        // sections 2.5.3, 2.7). A host without an address may ask its neighbors about one.
        src.is_multicast()
            || src.is_loopback()
            || src.to_ipv4_mapped().is_some()
            || src.is_unspecified() && ip[6] != 58
            || dst.is_loopback()
            || dst.is_multicast() && dst.octets()[1] & 15 < 2
            || ours(IpAddress::Ipv6(src))
    }

    /// Whether a packet from the card gets no answer although it is well formed: a ping of all IPv4 hosts
    /// (icmp_echo_ignore_broadcasts; Linux does answer IPv6 multicast ones), unknown protocols sent to many (RFC 1122
    /// section 3.2.2, RFC 4443 section 2.4), and hidden neighbor discovery.
    pub fn unanswered(&self, ip: &[u8], kind: &Kind<'_>) -> bool {
        let Some(eth) = &self.interfaces.eth else { return true };
        match kind {
            Kind::Icmp { v6: false, .. } => !eth.has(&IpAddress::v4(ip[16], ip[17], ip[18], ip[19])),
            Kind::Other => ip[0] >> 4 == 6 && (ip[24] == 0xff || hidden_neighbor(ip)),
            _ => false,
        }
    }
}

/// Neighbor discovery behind a hop-by-hop header, which nobody sends: smoltcp would find it there and believe it.
fn hidden_neighbor(ip: &[u8]) -> bool {
    let [58, n, ..] = ip[40..] else { return false };
    ip[6] == 0 && matches!(ip.get(48 + usize::from(n) * 8), Some(133..=137))
}
