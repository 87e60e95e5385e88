//! Reports as packets.

use super::{BLOCK, LONGEST, MLD1, Record, TO_INCLUDE, V1, V2, address};
use crate::build::transport_sum;
use crate::stack::Stack;
use crate::stack::interface::Interface;
use crate::stack::solicit::group as group_mac;
use alloc::vec::Vec;
use smoltcp::wire::{IpAddress, IpCidr, Ipv4Address, Ipv4Packet, Ipv6Address, checksum};

/// Sends IGMPv3 or MLDv2 reports.
pub(super) fn tell(st: &mut Stack, six: bool, records: &[&Record]) {
    let one = if six { 16 } else { 4 };
    let mut rest = records;
    while !rest.is_empty() {
        // Type, checksum, number of records.
        let mut body: Vec<u8> = Vec::from([if six { 143 } else { 0x22 }, 0, 0, 0, 0, 0, 0, 0]);
        let mut n = 0;
        while let Some((r, more)) = rest.split_first()
            && (n == 0 || body.len() + 4 + one * (1 + r.sources.len()) <= LONGEST)
        {
            body.extend_from_slice(&[r.kind, 0, 0, r.sources.len() as u8]);
            for a in core::iter::once(&r.group).chain(&r.sources) {
                body.extend_from_slice(&a[16 - one..]);
            }
            (rest, n) = (more, n + 1);
        }
        body[7] = n;
        let to = if six { IpAddress::v6(0xff02, 0, 0, 0, 0, 0, 0, 0x16) } else { IpAddress::v4(224, 0, 0, 22) };
        send(st, &to, body);
    }
}

/// Sends a report or a farewell of an older version: IGMPv1 has no farewell.
pub(super) fn tell_older(st: &mut Stack, version: usize, r: &Record) {
    let leaves = matches!(r.kind, TO_INCLUDE | BLOCK) && r.sources.is_empty() || r.kind == BLOCK;
    let all = if version == MLD1 { IpAddress::v6(0xff02, 0, 0, 0, 0, 0, 0, 2) } else { IpAddress::v4(224, 0, 0, 2) };
    let kind = match (version, leaves) {
        (V1, true) => return,
        (V1, false) => 0x12,
        (V2, false) => 0x16,
        (V2, true) => 0x17,
        (_, false) => 131,
        (_, true) => 132,
    };
    let mut body = Vec::from([kind, 0, 0, 0]);
    if version == MLD1 {
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&r.group);
    } else {
        body.extend_from_slice(&r.group[12..]);
    }
    let to = if leaves { all } else { address(&r.group) };
    send(st, &to, body);
}

/// Sends a message with the router alert option (RFC 2113, RFC 2711), which stays on the link.
fn send(st: &mut Stack, to: &IpAddress, mut body: Vec<u8>) {
    let Some(eth) = &st.interfaces.eth else { return };
    let mut packet = Vec::new();
    match to {
        IpAddress::Ipv4(to) => {
            let from = ipv4(eth).unwrap_or(Ipv4Address::UNSPECIFIED);
            let sum = !checksum::data(&body);
            body[2..4].copy_from_slice(&sum.to_be_bytes());
            let total = (24 + body.len() as u16).to_be_bytes();
            packet.extend_from_slice(&[0x46, 0xc0, total[0], total[1], 0, 0, 0x40, 0, 1, 2, 0, 0]);
            packet.extend_from_slice(&from.octets());
            packet.extend_from_slice(&to.octets());
            packet.extend_from_slice(&[0x94, 4, 0, 0]);
            Ipv4Packet::new_unchecked(&mut packet[..]).fill_checksum();
            packet.extend_from_slice(&body);
        }
        IpAddress::Ipv6(to) => {
            // Nothing else than a link-local address may tell (RFC 3810 section 5.2.13).
            let Some(from) = link_local(eth) else { return };
            let total = (8 + body.len() as u16).to_be_bytes();
            packet.extend_from_slice(&[0x60, 0, 0, 0, total[0], total[1], 58, 1]);
            packet.extend_from_slice(&from.octets());
            packet.extend_from_slice(&to.octets());
            packet.extend_from_slice(&body);
            // The checksum is that of the message alone.
            packet[4..6].copy_from_slice(&(body.len() as u16).to_be_bytes());
            let sum = !transport_sum(&packet, 0, 40);
            packet[42..44].copy_from_slice(&sum.to_be_bytes());
            packet[4..6].copy_from_slice(&total);
            packet[6] = 0;
            packet.splice(40..40, [58, 0, 5, 2, 0, 0, 1, 0]);
        }
    }
    st.put_on_wire(&group_mac(to), &packet);
}

fn ipv4(eth: &Interface) -> Option<Ipv4Address> {
    eth.smoltcp.ip_addrs().iter().find_map(|c| match c {
        IpCidr::Ipv4(c) => Some(c.address()),
        IpCidr::Ipv6(_) => None,
    })
}

fn link_local(eth: &Interface) -> Option<Ipv6Address> {
    eth.smoltcp.ip_addrs().iter().find_map(|c| match c {
        IpCidr::Ipv6(c) if c.address().segments()[0] & 0xffc0 == 0xfe80 => Some(c.address()),
        _ => None,
    })
}
