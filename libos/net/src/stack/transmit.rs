//! The segments of a connection as frames.

use super::conn::Conn;
use super::local::{BARE, Wire};
use super::solicit::Mac;
use crate::device::TxMeta;
use crate::phy::{FrameSink, Link, pseudo};
use libos_tcp::Transmit;
use smoltcp::wire::{IpAddress, checksum};

/// Length of a TCP header without options.
const TCP: usize = 20;
/// The longest IP packet.
const LONGEST: usize = 65_535;

/// Where frames go.
pub struct Way<'a> {
    pub link: Link,
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
        let (link, ethernet) = (self.link, self.ethernet);
        let header = TCP + t.options.bytes().len();
        let len = link.ip_at() + headers(&c.tuple.local) - TCP + header + t.len;
        let sent = self.sink.send(len, &mut |frame| write(frame, link, ethernet, c, t));
        if sent { len } else { 0 }
    }
}

/// Length of the IP and TCP headers.
pub fn headers(local: &IpAddress) -> usize {
    if matches!(local, IpAddress::Ipv4(_)) { 20 + TCP } else { 40 + TCP }
}

/// Writes a frame.
fn write(frame: &mut [u8], link: Link, ethernet: Option<(Mac, Mac)>, c: &Conn, t: &Transmit) -> TxMeta {
    let at = link.ip_at();
    let v4 = matches!(c.tuple.local, IpAddress::Ipv4(_));
    if let Some((from, to)) = ethernet {
        frame[..6].copy_from_slice(&to);
        frame[6..12].copy_from_slice(&from);
        frame[12..14].copy_from_slice(if v4 { &[8, 0] } else { &[0x86, 0xdd] });
    }
    let tcp_at = write_ip(frame, at, c);
    let options = t.options.bytes();
    let header = TCP + options.len();
    let tcp = &mut frame[tcp_at..];
    tcp[..2].copy_from_slice(&c.tuple.lport.to_be_bytes());
    tcp[2..4].copy_from_slice(&c.tuple.rport.to_be_bytes());
    tcp[4..8].copy_from_slice(&t.seq.0.to_be_bytes());
    tcp[8..12].copy_from_slice(&t.ack.0.to_be_bytes());
    tcp[12..14].copy_from_slice(&[(header as u8) << 2, t.flags]);
    tcp[14..16].copy_from_slice(&t.window.to_be_bytes());
    tcp[16..20].fill(0);
    tcp[TCP..header].copy_from_slice(options);
    c.tcp().copy(t.offset, &mut tcp[header..]);
    let mut meta = TxMeta { csum_start: tcp_at as u16, csum_offset: 16, ..TxMeta::default() };
    if ethernet.is_none() {
        return meta;
    }
    let len = frame.len() - tcp_at;
    let mut sum = pseudo(frame, at, len, tcp_at);
    if !link.tx_checksum {
        sum = !checksum::combine(&[sum, checksum::data(&frame[tcp_at..])]);
        meta = TxMeta::default();
    }
    frame[tcp_at + 16..tcp_at + 18].copy_from_slice(&sum.to_be_bytes());
    if t.gso != 0 {
        (meta.gso_size, meta.header_len) = (t.gso, (tcp_at + header) as u16);
    }
    meta
}

/// Writes the IP header at `at`. Returns where it ends.
fn write_ip(frame: &mut [u8], at: usize, c: &Conn) -> usize {
    let (hops, tos) = c.marks();
    let len = frame.len() - at;
    let ip = &mut frame[at..];
    match (c.tuple.local, c.tuple.remote) {
        (IpAddress::Ipv4(src), IpAddress::Ipv4(dst)) => {
            let [high, low] = (len as u16).to_be_bytes();
            // No fragments, and so no identification (RFC 6864).
            ip[..12].copy_from_slice(&[0x45, tos, high, low, 0, 0, 0x40, 0, hops, 6, 0, 0]);
            ip[12..16].copy_from_slice(&src.octets());
            ip[16..20].copy_from_slice(&dst.octets());
            let sum = !checksum::data(&ip[..20]);
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            at + 20
        }
        (src, dst) => {
            let [high, low] = ((len - 40) as u16).to_be_bytes();
            ip[..8].copy_from_slice(&[0x60 | tos >> 4, tos << 4, 0, 0, high, low, 6, hops]);
            for (to, address) in [(8, src), (24, dst)] {
                if let IpAddress::Ipv6(address) = address {
                    ip[to..to + 16].copy_from_slice(&address.octets());
                }
            }
            at + 40
        }
    }
}
