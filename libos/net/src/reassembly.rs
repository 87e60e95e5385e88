//! IPv4 reassembly (RFC 791, RFC 815), bounded in datagrams, bytes and time. A datagram with overlapping fragments is
//! discarded entirely: honest senders do not make them (RFC 5722 says so for IPv6).

use alloc::vec::Vec;
use libos_base::time::NS;
use smoltcp::wire::Ipv4Packet;

/// Most datagrams being reassembled at a time; the oldest makes room.
const MOST: usize = 16;
/// Most fragments of one datagram.
const PIECES: usize = 64;
/// Most bytes held in all.
const BYTES: usize = 256 << 10;
/// How long the remaining fragments may take (net.ipv4.ipfrag_time).
const TIME: u64 = 30 * NS;

struct Datagram {
    key: ([u8; 4], [u8; 4], u8, u16),
    until: u64,
    /// Header of the first fragment.
    header: Vec<u8>,
    /// Sorted by offset, no overlaps.
    pieces: Vec<(usize, Vec<u8>)>,
    /// Length of the payload, once the last fragment has arrived.
    total: Option<usize>,
    bytes: usize,
}

/// See the module.
pub struct Reassembly {
    list: Vec<Datagram>,
    bytes: usize,
}

impl Reassembly {
    pub const fn new() -> Self {
        Self { list: Vec::new(), bytes: 0 }
    }

    fn drop_at(&mut self, i: usize) -> Datagram {
        let d = self.list.remove(i);
        self.bytes -= d.bytes;
        d
    }

    /// Adds a fragment (a checked IPv4 packet). Returns the whole packet once it is complete.
    pub fn add(&mut self, packet: &[u8], now: u64) -> Option<Vec<u8>> {
        while self.list.first().is_some_and(|d| d.until <= now) {
            self.drop_at(0);
        }
        let p = Ipv4Packet::new_checked(packet).ok()?;
        let (offset, more, payload) = (p.frag_offset() as usize, p.more_frags(), p.payload());
        // All but the last carry a multiple of 8 bytes; none may reach past the largest datagram.
        if payload.is_empty() || (more && payload.len() % 8 != 0) || offset + payload.len() > 65515 {
            return None;
        }
        let key = (p.src_addr().octets(), p.dst_addr().octets(), p.next_header().into(), p.ident());
        let i = match self.list.iter().position(|d| d.key == key) {
            Some(i) => i,
            None => {
                if self.list.len() == MOST {
                    self.drop_at(0);
                }
                self.list.try_reserve(1).ok()?;
                let d =
                    Datagram { key, until: now + TIME, header: Vec::new(), pieces: Vec::new(), total: None, bytes: 0 };
                self.list.push(d);
                self.list.len() - 1
            }
        };
        if !self.insert(i, packet, offset, more, payload) {
            self.drop_at(i);
            return None;
        }
        let d = &self.list[i];
        let have: usize = d.pieces.iter().map(|p| p.1.len()).sum();
        // Without overlaps, this many bytes are all of them.
        if d.total != Some(have) || d.header.is_empty() {
            return None;
        }
        let d = self.drop_at(i);
        let mut whole = d.header;
        whole.try_reserve_exact(have).ok()?;
        d.pieces.iter().for_each(|p| whole.extend_from_slice(&p.1));
        let len = whole.len() as u16;
        let mut ip = Ipv4Packet::new_unchecked(&mut whole[..]);
        ip.set_total_len(len);
        ip.set_more_frags(false);
        ip.set_frag_offset(0);
        ip.fill_checksum();
        Some(whole)
    }

    /// False: the datagram cannot be an honest one, or memory is short.
    fn insert(&mut self, i: usize, packet: &[u8], offset: usize, more: bool, payload: &[u8]) -> bool {
        let d = &mut self.list[i];
        let end = offset + payload.len();
        if !more && d.total.is_some_and(|t| t != end) || d.total.is_some_and(|t| end > t) {
            return false;
        }
        let at = d.pieces.partition_point(|p| p.0 < offset);
        if d.pieces.get(at).is_some_and(|p| p.0 == offset && p.1 == payload) {
            return true; // duplicated by the network
        }
        let overlaps = (at > 0 && d.pieces[at - 1].0 + d.pieces[at - 1].1.len() > offset)
            || d.pieces.get(at).is_some_and(|p| p.0 < end)
            || (!more && d.pieces.last().is_some_and(|p| p.0 >= end));
        if overlaps || d.pieces.len() == PIECES || self.bytes + payload.len() > BYTES {
            return false;
        }
        let mut data = Vec::new();
        if data.try_reserve_exact(payload.len()).is_err() || d.pieces.try_reserve(1).is_err() {
            return false;
        }
        data.extend_from_slice(payload);
        d.pieces.insert(at, (offset, data));
        d.bytes += payload.len();
        self.bytes += payload.len();
        if !more {
            d.total = Some(end);
        }
        if offset == 0 {
            let n = packet.len() - payload.len();
            if d.header.try_reserve_exact(n).is_err() {
                return false;
            }
            d.header.extend_from_slice(&packet[..n]);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::{IpProtocol, Ipv4Address};

    fn fragment(id: u16, offset: usize, more: bool, data: &[u8]) -> Vec<u8> {
        let mut b = vec![0; 20 + data.len()];
        b[20..].copy_from_slice(data);
        let mut p = Ipv4Packet::new_unchecked(&mut b[..]);
        p.set_version(4);
        p.set_header_len(20);
        p.set_total_len(20 + data.len() as u16);
        p.set_ident(id);
        p.set_more_frags(more);
        p.set_frag_offset(offset as u16);
        p.set_hop_limit(64);
        p.set_next_header(IpProtocol::Udp);
        p.set_src_addr(Ipv4Address::new(10, 0, 0, 1));
        p.set_dst_addr(Ipv4Address::new(10, 0, 0, 2));
        b
    }

    #[test]
    fn any_order_and_duplicates_give_the_whole() {
        let data: Vec<u8> = (0..100).collect();
        let mut r = Reassembly::new();
        assert!(r.add(&fragment(1, 80, false, &data[80..]), 0).is_none());
        assert!(r.add(&fragment(1, 0, true, &data[..40]), 0).is_none());
        assert!(r.add(&fragment(1, 0, true, &data[..40]), 0).is_none());
        let whole = r.add(&fragment(1, 40, true, &data[40..80]), 0).unwrap();
        assert_eq!(&whole[20..], &data[..]);
        assert!(Ipv4Packet::new_checked(&whole).unwrap().verify_checksum());
        assert_eq!((r.bytes, r.list.len()), (0, 0));
    }

    #[test]
    fn overlaps_floods_and_the_never_ending_stay_bounded() {
        let mut r = Reassembly::new();
        assert!(r.add(&fragment(1, 0, true, &[1; 40]), 0).is_none());
        assert!(r.add(&fragment(1, 32, true, &[2; 16]), 0).is_none());
        assert_eq!(r.list.len(), 0, "an overlap drops the datagram");
        for id in 0..60_000 {
            assert!(r.add(&fragment(id, 8 * usize::from(id % 100), true, &[0; 1400]), 0).is_none());
        }
        assert!(r.list.len() <= MOST && r.bytes <= BYTES);
        for i in 0..200 {
            r.add(&fragment(7, 16 * i, true, &[0; 8]), 1);
        }
        assert!(r.bytes <= BYTES);
        r.add(&fragment(9, 0, true, &[0; 8]), TIME + 2);
        assert_eq!(r.list.len(), 1, "old ones time out");
        assert!(r.add(&fragment(10, 65512, false, &[0; 100]), 0).is_none(), "past the end");
    }
}
