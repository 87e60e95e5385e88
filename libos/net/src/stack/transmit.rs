//! The segments of a connection as frames.

use super::conn::Conn;
use super::local::{BARE, Wire};
use super::solicit::Mac;
use crate::device::TxMeta;
use crate::frame::Tuple;
use crate::phy::{FrameSink, Link, pseudo};
use libos_tcp::{Connection, Transmit};
use smoltcp::wire::{IpAddress, checksum};

/// Length of a TCP header without options.
const TCP: usize = 20;
/// TCP's number in an IP header, and the flags of a packet that is not to be cut.
const PROTOCOL: u8 = 6;
const WHOLE: u16 = 0x4000;
/// The longest IP packet.
const LONGEST: usize = 65_535;

/// Where frames go.
pub struct Way<'a> {
    pub link: &'a Link,
    pub sink: &'a mut dyn FrameSink,
    /// Our Ethernet address and the next hop's; loopback has none, and needs no checksums.
    pub ethernet: Option<(Mac, Mac)>,
    /// Loopback: where segments without data go as long as no frame is on the way.
    pub bare: Option<&'a mut Wire>,
}

impl Way<'_> {
    /// The most data in a segment that the card cuts.
    pub fn most(&self, c: &Conn) -> usize {
        let longest = match c.tuple.local {
            IpAddress::Ipv4(_) => self.link.tso4,
            IpAddress::Ipv6(_) => self.link.tso6,
        };
        let longest = longest.filter(|_| self.link.tx_checksum);
        longest.map_or(0, |longest| longest.min(LONGEST) - self.link.ip_at() - headers(&c.tuple.local))
    }

    /// Sends a segment. Returns the length of the frame; 0: there was no room after all, and it is lost, as on any wire.
    pub fn send(&mut self, c: &Conn, t: &Transmit) -> usize {
        if let Some(wire) = self.bare.take().filter(|_| t.len == 0)
            && wire.push(&c.tuple, t)
        {
            self.bare = Some(wire);
            return BARE;
        }
        let head = Head { link: self.link, ethernet: self.ethernet, tuple: &c.tuple, marks: c.marks() };
        let len = head.len(t);
        let sent = self.sink.send(len, &mut |frame| head.write(frame, t, Some(c.tcp())));
        if sent { len } else { 0 }
    }
}

/// Length of the IP and TCP headers.
pub fn headers(local: &IpAddress) -> usize {
    if matches!(local, IpAddress::Ipv4(_)) { 20 + TCP } else { 40 + TCP }
}

/// What the headers of a frame say besides its segment.
pub struct Head<'a> {
    pub link: &'a Link,
    /// Our Ethernet address and the next hop's; loopback has none.
    pub ethernet: Option<(Mac, Mac)>,
    pub tuple: &'a Tuple,
    /// Hop limit and type of service.
    pub marks: (u8, u8),
}

impl Head<'_> {
    /// Length of the frame.
    pub fn len(&self, t: &Transmit) -> usize {
        self.link.ip_at() + headers(&self.tuple.local) + t.options.bytes().len() + t.len
    }

    /// Writes the frame. `from`: whose data it carries.
    pub fn write(&self, frame: &mut [u8], t: &Transmit, from: Option<&Connection>) -> TxMeta {
        let Self { link, ethernet, tuple, .. } = self;
        let at = link.ip_at();
        if let Some((from, to)) = ethernet
            && let Some(head) = frame.first_chunk_mut::<14>()
        {
            head[..6].copy_from_slice(to);
            head[6..12].copy_from_slice(from);
            let v4 = matches!(tuple.local, IpAddress::Ipv4(_));
            head[12..].copy_from_slice(if v4 { &[8, 0] } else { &[0x86, 0xdd] });
        }
        let (tcp_at, sum) = self.write_ip(frame, at);
        let options = t.options.bytes();
        let header = TCP + options.len();
        let Some((tcp, rest)) = frame[tcp_at..].split_first_chunk_mut::<TCP>() else { return TxMeta::default() };
        tcp[..2].copy_from_slice(&tuple.lport.to_be_bytes());
        tcp[2..4].copy_from_slice(&tuple.rport.to_be_bytes());
        tcp[4..8].copy_from_slice(&t.seq.0.to_be_bytes());
        tcp[8..12].copy_from_slice(&t.ack.0.to_be_bytes());
        tcp[12..14].copy_from_slice(&[(header as u8) << 2, t.flags]);
        tcp[14..16].copy_from_slice(&t.window.to_be_bytes());
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        tcp[18..].fill(0);
        let mut data = rest;
        if !options.is_empty() {
            let (place, rest) = data.split_at_mut(options.len());
            place.copy_from_slice(options);
            data = rest;
        }
        if let Some(from) = from {
            from.copy(t.offset, data);
        }
        let mut meta = TxMeta { csum_start: tcp_at as u16, csum_offset: 16, ..TxMeta::default() };
        if ethernet.is_none() {
            return meta;
        }
        if !link.tx_checksum {
            let sum = !checksum::data(&frame[tcp_at..]);
            frame[tcp_at + 16..tcp_at + 18].copy_from_slice(&sum.to_be_bytes());
            meta = TxMeta::default();
        }
        if t.gso != 0 {
            (meta.gso_size, meta.header_len) = (t.gso, (tcp_at + header) as u16);
        }
        meta
    }

    /// Writes the IP header at `at`. Returns where it ends, and the sum over the pseudo header of what follows.
    fn write_ip(&self, frame: &mut [u8], at: usize) -> (usize, u16) {
        let (hops, tos) = self.marks;
        let len = frame.len() - at;
        match (self.tuple.local, self.tuple.remote) {
            (IpAddress::Ipv4(src), IpAddress::Ipv4(dst)) => {
                let Some(ip) = frame[at..].first_chunk_mut::<20>() else { return (at, 0) };
                let (src, dst) = (src.to_bits(), dst.to_bits());
                let addresses = (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff);
                let begins = u16::from_be_bytes([0x45, tos]);
                let life = u16::from_be_bytes([hops, PROTOCOL]);
                let sum = !fold(addresses + u32::from(begins) + len as u32 + u32::from(WHOLE) + u32::from(life));
                ip[..2].copy_from_slice(&begins.to_be_bytes());
                ip[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                // No fragments, and so no identification (RFC 6864).
                ip[4..6].fill(0);
                ip[6..8].copy_from_slice(&WHOLE.to_be_bytes());
                ip[8..10].copy_from_slice(&life.to_be_bytes());
                ip[10..12].copy_from_slice(&sum.to_be_bytes());
                ip[12..16].copy_from_slice(&src.to_be_bytes());
                ip[16..].copy_from_slice(&dst.to_be_bytes());
                (at + 20, fold(addresses + u32::from(PROTOCOL) + len as u32 - 20))
            }
            (src, dst) => {
                let ip = &mut frame[at..];
                let [high, low] = ((len - 40) as u16).to_be_bytes();
                ip[..8].copy_from_slice(&[0x60 | tos >> 4, tos << 4, 0, 0, high, low, PROTOCOL, hops]);
                for (to, address) in [(8, src), (24, dst)] {
                    if let IpAddress::Ipv6(address) = address {
                        ip[to..to + 16].copy_from_slice(&address.octets());
                    }
                }
                (at + 40, pseudo(frame, at, len - 40, at + 40))
            }
        }
    }
}

/// A sum of 16-bit words as the checksum of RFC 1071 has it, not complemented.
fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum + (sum >> 16)) as u16
}
