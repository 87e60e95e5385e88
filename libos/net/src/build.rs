//! Short frames built by hand: those that the front sends without smoltcp.

use crate::phy::pseudo;
use smoltcp::wire::{IpAddress, checksum};

/// Longest frame: Ethernet, IPv6, a neighbor solicitation or advertisement with one option.
const LONGEST: usize = 14 + 40 + 32;

/// A frame, written from its beginning.
pub struct Frame {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Frame {
    pub const fn new() -> Self {
        Self { bytes: [0; LONGEST], len: 0 }
    }

    /// The bytes written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    #[inline(never)]
    pub fn put(&mut self, b: &[u8]) -> &mut Self {
        if let Some(to) = self.bytes.get_mut(self.len..self.len + b.len()) {
            to.copy_from_slice(b);
            self.len += b.len();
        }
        self
    }

    pub fn put_address(&mut self, a: &IpAddress) {
        match a {
            IpAddress::Ipv4(a) => self.put(&a.octets()),
            IpAddress::Ipv6(a) => self.put(&a.octets()),
        };
    }

    /// Appends the header of an IP packet with `len` bytes of payload to come. `marks`: hop limit and type of service.
    pub fn ip(&mut self, src: &IpAddress, dst: &IpAddress, protocol: u8, marks: (u8, u8), len: usize) {
        let (hops, tos) = marks;
        if let (IpAddress::Ipv4(src), IpAddress::Ipv4(dst)) = (src, dst) {
            let mut ip = [0; 20];
            // No fragments, and so no identification (RFC 6864).
            ip[..10].copy_from_slice(&[0x45, tos, 0, 20 + len as u8, 0, 0, 0x40, 0, hops, protocol]);
            ip[12..16].copy_from_slice(&src.octets());
            ip[16..].copy_from_slice(&dst.octets());
            let sum = !checksum::data(&ip);
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            self.put(&ip);
        } else {
            self.put(&[0x60 | tos >> 4, tos << 4, 0, 0, 0, len as u8, protocol, hops]);
            self.put_address(src);
            self.put_address(dst);
        }
    }

    /// Fills in the checksum of what follows the IP header at `at`; the field is `offset` bytes into it.
    pub fn seal(&mut self, at: usize, offset: usize) {
        let body = at + if self.bytes[at] == 0x45 { 20 } else { 40 };
        let sum = transport_sum(&self.bytes[..self.len], at, body);
        self.bytes[body + offset..body + offset + 2].copy_from_slice(&(!sum).to_be_bytes());
    }
}

/// The sum over the pseudo header and everything from `body` to the end, for the IP packet at `at`; `0xffff` if the
/// checksum is right.
pub fn transport_sum(b: &[u8], at: usize, body: usize) -> u16 {
    checksum::combine(&[pseudo(b, at, b.len() - body, body), checksum::data(&b[body..])])
}
