//! Packets as raw sockets write them.

use super::{Headers, Raw};
use crate::build::transport_sum;
use alloc::vec::Vec;
use libos_base::{Errno, Result, random};
use smoltcp::wire::{IpAddress, Ipv4Packet, checksum};

/// Appends the header of an IP packet with `len` bytes to come, without its checksum.
pub(super) fn ip_header(
    packet: &mut Vec<u8>,
    ends: (&IpAddress, &IpAddress),
    (hops, tos): (u8, u8),
    protocol: u8,
    len: usize,
) -> Result<()> {
    match ends {
        (IpAddress::Ipv4(from), IpAddress::Ipv4(to)) => {
            let total = u16::try_from(20 + len).map_err(|_| Errno::EMSGSIZE)?.to_be_bytes();
            let id = (random::u64() as u16).max(1).to_be_bytes();
            packet.extend_from_slice(&[0x45, tos, total[0], total[1], id[0], id[1], 0, 0, hops, protocol, 0, 0]);
            packet.extend_from_slice(&from.octets());
            packet.extend_from_slice(&to.octets());
        }
        (IpAddress::Ipv6(from), IpAddress::Ipv6(to)) => {
            let total = u16::try_from(len).map_err(|_| Errno::EMSGSIZE)?.to_be_bytes();
            packet.extend_from_slice(&[0x60 | tos >> 4, tos << 4, 0, 0, total[0], total[1], protocol, hops]);
            packet.extend_from_slice(&from.octets());
            packet.extend_from_slice(&to.octets());
        }
        _ => return Err(Errno::ENETUNREACH),
    }
    Ok(())
}

/// Sum over pseudo header and payload of an IPv6 packet; 0xffff: the checksum is right.
pub(super) fn raw_sum(ip: &[u8], h: &Headers) -> u16 {
    if h.body == 40 {
        return transport_sum(ip, 0, 40);
    }
    // The pseudo header has the last header's number, whatever came before it.
    let len = (ip.len() - h.body) as u16;
    let tail = [0, h.protocol, (len >> 8) as u8, len as u8];
    checksum::combine(&[checksum::data(&ip[8..40]), checksum::data(&tail), checksum::data(&ip[h.body..])])
}

/// Appends a packet with a header of ours.
pub(super) fn build(
    packet: &mut Vec<u8>,
    raw: &Raw,
    ends: (&IpAddress, &IpAddress),
    marks: (u8, u8),
    port: u16,
    data: &[u8],
) -> Result<()> {
    let len = data.len();
    ip_header(packet, ends, marks, raw.protocol, len)?;
    let body = packet.len();
    packet.extend_from_slice(data);
    let v6 = body == 40;
    if raw.ping {
        // Only echo requests, whose identifier is the socket's.
        if len < 8 || data[0] != (if v6 { 128 } else { 8 }) || data[1] != 0 {
            return Err(Errno::EINVAL);
        }
        packet[body + 4..body + 6].copy_from_slice(&port.to_be_bytes());
        packet[body + 2..body + 4].fill(0);
        if !v6 {
            let sum = !checksum::data(&packet[body..]);
            packet[body + 2..body + 4].copy_from_slice(&sum.to_be_bytes());
        }
    }
    if v6 && let Some(at) = raw.checksum.map(|at| body + usize::from(at)) {
        if at + 2 > packet.len() {
            return Err(Errno::EINVAL);
        }
        packet[at..at + 2].fill(0);
        let sum = !transport_sum(packet, 0, body);
        packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    Ok(())
}

/// Appends a packet whose header the program wrote (IP_HDRINCL, raw(7)): its length and checksum are always filled in,
/// its identification and source if they are zero.
pub(super) fn include(packet: &mut Vec<u8>, data: &[u8], source: &IpAddress, mtu: usize) -> Result<()> {
    if data.len() > mtu {
        return Err(Errno::EMSGSIZE);
    }
    packet.extend_from_slice(data);
    let IpAddress::Ipv4(source) = source else {
        return if data.len() < 40 { Err(Errno::EINVAL) } else { Ok(()) };
    };
    if data.len() < 20 || usize::from(data[0] & 15) * 4 > data.len() || data[0] & 15 < 5 {
        return Err(Errno::EINVAL);
    }
    packet[2..4].copy_from_slice(&(data.len() as u16).to_be_bytes());
    if packet[4..6] == [0, 0] {
        packet[4..6].copy_from_slice(&(random::u64() as u16).max(1).to_be_bytes());
    }
    if packet[12..16] == [0; 4] {
        packet[12..16].copy_from_slice(&source.octets());
    }
    Ipv4Packet::new_unchecked(&mut packet[..]).fill_checksum();
    Ok(())
}

/// Cuts an IPv4 packet without options into fragments (RFC 791).
pub(super) fn fragments(packet: &[u8], mtu: usize, send: &mut dyn FnMut(Vec<u8>) -> Result<()>) -> Result<()> {
    let step = (mtu - 20) & !7;
    let (header, body) = packet.split_at(20);
    for (i, piece) in body.chunks(step).enumerate() {
        let more = (i + 1) * step < body.len();
        let mut f = Vec::new();
        f.try_reserve_exact(20 + piece.len()).map_err(|_| Errno::ENOBUFS)?;
        f.extend_from_slice(header);
        f.extend_from_slice(piece);
        f[2..4].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
        let offset = (i * step / 8) as u16 | if more { 0x2000 } else { 0 };
        f[6..8].copy_from_slice(&offset.to_be_bytes());
        Ipv4Packet::new_unchecked(&mut f[..]).fill_checksum();
        send(f)?;
    }
    Ok(())
}
