//! Asking for neighbors. smoltcp asks for one in a second, whoever needs it; here each next hop has its own limit,
//! so that one host that does not answer delays nobody who wants another.

use super::Stack;
use crate::device::TxMeta;
use crate::phy::FrameSink;
use libos_base::time::NS;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, HardwareAddress, Icmpv6Packet,
    Icmpv6Repr, IpAddress, IpProtocol, Ipv6Address, Ipv6Packet, Ipv6Repr, NdiscRepr,
};

/// Next hops remembered.
const REMEMBERED: usize = 16;

impl Stack {
    /// Something waits for the way to `to`. `asked`: smoltcp has just sent the question.
    pub fn neighbor_needed(&mut self, to: &IpAddress, asked: bool) {
        let Some(hop) = self.next_hop(to) else { return };
        let now = self.now;
        self.control.asked.retain(|a| a.1 + NS > now);
        let known = self.control.asked.iter().any(|a| a.0 == hop);
        if known || self.control.asked.try_reserve(1).is_err() {
            return;
        }
        if self.control.asked.len() == REMEMBERED {
            self.control.asked.remove(0);
        }
        self.control.asked.push((hop, now));
        if !asked {
            self.ask(&hop);
        }
    }

    fn next_hop(&self, to: &IpAddress) -> Option<IpAddress> {
        let eth = self.eth.as_ref()?;
        if eth.iface.ip_addrs().iter().any(|c| c.contains_addr(to)) {
            return Some(*to);
        }
        let routes = eth.iface.routes();
        let route = match to {
            IpAddress::Ipv4(_) => routes.get_default_ipv4_route(),
            IpAddress::Ipv6(_) => routes.get_default_ipv6_route(),
        };
        route.map(|r| r.via_router)
    }

    /// An ARP request or a neighbor solicitation. It goes out with the replies.
    fn ask(&mut self, hop: &IpAddress) {
        let Some(eth) = &mut self.eth else { return };
        let HardwareAddress::Ethernet(me) = eth.iface.hardware_addr() else { return };
        let Some(source) = eth.iface.get_source_address(hop) else { return };
        match (hop, source) {
            (IpAddress::Ipv4(hop), IpAddress::Ipv4(source)) => {
                let arp = ArpRepr::EthernetIpv4 {
                    operation: ArpOperation::Request,
                    source_hardware_addr: me,
                    source_protocol_addr: source,
                    target_hardware_addr: EthernetAddress::BROADCAST,
                    target_protocol_addr: *hop,
                };
                eth.queue.send(14 + arp.buffer_len(), &mut |b| {
                    header(b, me, EthernetAddress::BROADCAST, EthernetProtocol::Arp);
                    arp.emit(&mut ArpPacket::new_unchecked(&mut b[14..]));
                    TxMeta::default()
                });
            }
            (IpAddress::Ipv6(hop), IpAddress::Ipv6(source)) => {
                let ask = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr: *hop, lladdr: Some(me.into()) });
                let o = hop.octets();
                let word = |a: u8, b: u8| u16::from(a) << 8 | u16::from(b);
                // The solicited-node group (RFC 4291 section 2.7.1) and its Ethernet address (RFC 2464 section 7).
                let group = Ipv6Address::new(0xff02, 0, 0, 0, 0, 1, word(0xff, o[13]), word(o[14], o[15]));
                let to = EthernetAddress([0x33, 0x33, 0xff, o[13], o[14], o[15]]);
                let ip = Ipv6Repr {
                    src_addr: source,
                    dst_addr: group,
                    next_header: IpProtocol::Icmpv6,
                    payload_len: ask.buffer_len(),
                    hop_limit: 255,
                };
                eth.queue.send(14 + ip.buffer_len() + ask.buffer_len(), &mut |b| {
                    header(b, me, to, EthernetProtocol::Ipv6);
                    ip.emit(&mut Ipv6Packet::new_unchecked(&mut b[14..]));
                    let mut body = Icmpv6Packet::new_unchecked(&mut b[14 + ip.buffer_len()..]);
                    ask.emit(&source, &group, &mut body, &ChecksumCapabilities::default());
                    TxMeta::default()
                });
            }
            _ => {}
        }
    }
}

fn header(b: &mut [u8], from: EthernetAddress, to: EthernetAddress, kind: EthernetProtocol) {
    let mut f = EthernetFrame::new_unchecked(b);
    f.set_src_addr(from);
    f.set_dst_addr(to);
    f.set_ethertype(kind);
}
