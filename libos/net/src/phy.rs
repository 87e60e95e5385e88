//! The device that smoltcp sees: at most one received frame, and a sink for what it emits. Every emitted frame is
//! inspected on its way out: for neighbors that are asked for, and for what smoltcp does not fill in.

use crate::device::{NetDevice, TxMeta};
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{IpAddress, Ipv4Packet, checksum};

/// Where emitted frames go.
pub trait FrameSink {
    /// Whether a frame can be taken now.
    fn ready(&mut self) -> bool;
    /// Takes a frame of `len` bytes. False, without calling `fill`, if it cannot.
    fn send(&mut self, len: usize, fill: &mut dyn FnMut(&mut [u8]) -> TxMeta) -> bool;
}

/// The network card as a sink.
pub struct Card<'a>(pub &'a mut dyn NetDevice);

impl FrameSink for Card<'_> {
    fn ready(&mut self) -> bool {
        self.0.tx_ready()
    }
    fn send(&mut self, len: usize, fill: &mut dyn FnMut(&mut [u8]) -> TxMeta) -> bool {
        self.0.transmit(len, fill)
    }
}

/// A frame in a queue.
pub struct Waiting {
    /// At least as long as the frame: a used buffer keeps its length, so that it need not be zeroed again.
    buf: Vec<u8>,
    len: usize,
    pub meta: TxMeta,
}

impl Waiting {
    pub fn bytes(&self) -> &[u8] {
        &self.buf[..self.len]
    }
}

/// A bounded queue of frames: the loopback wire, and replies made while the card is busy passing us a frame.
#[derive(Default)]
pub struct FrameQueue {
    frames: VecDeque<Waiting>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
    /// For one frame of any size, in case memory runs out.
    reserve: Vec<u8>,
    longest: usize,
}

/// Most bytes waiting in a [`FrameQueue`]; as many again may be replies.
const QUEUE_BYTES: usize = 1 << 20;

impl FrameQueue {
    /// A queue for frames of this link: [`ready`](FrameSink::ready) then means that a frame finds memory.
    pub fn for_link(link: &Link) -> Self {
        Self { longest: link.mtu + link.ip_at(), ..Self::default() }
    }
    /// Makes sure that there is memory for one more frame.
    #[cold]
    fn prepare(&mut self) -> bool {
        self.frames.try_reserve(1).is_ok()
            && (self.reserve.capacity() >= self.longest || self.reserve.try_reserve_exact(self.longest).is_ok())
    }
    /// Takes the oldest frame.
    pub fn pop(&mut self) -> Option<Waiting> {
        let f = self.frames.pop_front()?;
        self.bytes -= f.len;
        Some(f)
    }
    /// Whether no frames are waiting.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
    /// Keeps a used buffer for the next frame.
    pub fn recycle(&mut self, frame: Waiting) {
        if self.spare.len() < 16 && self.spare.try_reserve(1).is_ok() {
            self.spare.push(frame.buf);
        }
    }
}

impl FrameSink for FrameQueue {
    fn ready(&mut self) -> bool {
        let prepared = self.reserve.capacity() >= self.longest && self.frames.len() < self.frames.capacity();
        self.bytes < QUEUE_BYTES && (prepared || self.prepare())
    }
    fn send(&mut self, len: usize, fill: &mut dyn FnMut(&mut [u8]) -> TxMeta) -> bool {
        // What connections send waits for `ready`; a reply cannot wait, and there is at most one per frame.
        if self.bytes >= 2 * QUEUE_BYTES || self.frames.len() == self.frames.capacity() && !self.prepare() {
            return false;
        }
        let mut buf = self.spare.pop().unwrap_or_default();
        if buf.len() < len {
            if buf.try_reserve_exact(len - buf.len()).is_err() {
                if self.reserve.capacity() < len {
                    return false;
                }
                buf = core::mem::take(&mut self.reserve);
            }
            buf.resize(len, 0);
        }
        let meta = fill(&mut buf[..len]);
        self.bytes += len;
        self.frames.push_back(Waiting { buf, len, meta });
        true
    }
}

/// A sink that takes nothing.
pub struct Nowhere;

impl FrameSink for Nowhere {
    fn ready(&mut self) -> bool {
        false
    }
    fn send(&mut self, _: usize, _: &mut dyn FnMut(&mut [u8]) -> TxMeta) -> bool {
        false
    }
}

/// What one poll sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Frames of any kind.
    pub frames: u32,
    /// The address that the last ARP request or neighbor solicitation among them asks for.
    pub asked: Option<IpAddress>,
    /// The type of service or traffic class for the headers (the caller sets it).
    pub tos: u8,
    /// The sink was full.
    pub blocked: bool,
}

/// Fixed properties of an interface.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub medium: Medium,
    pub mtu: usize,
    /// The card fills in checksums.
    pub tx_checksum: bool,
    /// The longest frame that it cuts into segments, over IPv4 and IPv6.
    pub tso4: Option<usize>,
    pub tso6: Option<usize>,
}

impl Link {
    /// For smoltcp. [`frame`]'s functions have already verified received checksums.
    pub fn caps(&self) -> DeviceCapabilities {
        let mut c = DeviceCapabilities::default();
        c.medium = self.medium;
        c.max_transmission_unit = self.mtu + self.ip_at();
        c.checksum.udp = if self.tx_checksum { Checksum::None } else { Checksum::Tx };
        c.checksum.ipv4 = Checksum::Tx;
        c
    }
    /// Offset of the IP header in a frame.
    pub fn ip_at(&self) -> usize {
        if self.medium == Medium::Ethernet { 14 } else { 0 }
    }
}

/// See the module.
pub struct OneSlot<'a> {
    pub link: Link,
    pub rx: Option<&'a [u8]>,
    pub sink: &'a mut dyn FrameSink,
    pub report: Report,
}

impl Device for OneSlot<'_> {
    type RxToken<'b>
        = Rx<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Tx<'b>
    where
        Self: 'b;

    fn receive(&mut self, _: Instant) -> Option<(Rx<'_>, Tx<'_>)> {
        let rx = self.rx.take()?;
        Some((Rx(rx), Tx { link: self.link, sink: self.sink, report: &mut self.report }))
    }
    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        if !self.sink.ready() {
            self.report.blocked = true;
            return None;
        }
        Some(Tx { link: self.link, sink: self.sink, report: &mut self.report })
    }
    fn capabilities(&self) -> DeviceCapabilities {
        self.link.caps()
    }
}

/// The frame that is being processed.
pub struct Rx<'a>(&'a [u8]);

impl RxToken for Rx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for one frame.
pub struct Tx<'a> {
    link: Link,
    sink: &'a mut dyn FrameSink,
    report: &'a mut Report,
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let Tx { link, sink, report } = self;
        let mut f = Some(f);
        let mut result = None;
        let mut fill = |buf: &mut [u8]| {
            let Some(f) = f.take() else { return TxMeta::default() };
            result = Some(f(buf));
            report.frames += 1;
            finish(buf, link, report)
        };
        if !sink.send(len, &mut fill) {
            // No room, although the sink was ready or for a reply: the frame is lost, as on any wire.
            lose(len, &mut fill);
            report.blocked = true;
        }
        result.expect("one of the two wrote the frame")
    }
}

/// Writes a frame that goes nowhere. A short one, as most replies are, needs no memory for that.
#[cold]
#[inline(never)]
fn lose(len: usize, fill: &mut dyn FnMut(&mut [u8]) -> TxMeta) {
    // Enough for an acknowledgment or a reset, with every option.
    let mut short = [0; 128];
    match short.get_mut(..len) {
        Some(buf) => fill(buf),
        None => fill(&mut vec![0; len]),
    };
}

/// Records what the frame says, and prepares checksum offload.
fn finish(buf: &mut [u8], link: Link, report: &mut Report) -> TxMeta {
    let at = link.ip_at();
    let mut meta = TxMeta::default();
    if at == 14 && buf.get(12..14) == Some(&[0x08, 0x06]) {
        let target = |t: &[u8]| IpAddress::v4(t[0], t[1], t[2], t[3]);
        // Requests only.
        if buf.get(21) == Some(&1) {
            report.asked = buf.get(38..42).map(target);
        }
        return meta;
    }
    let (proto, body) = match buf.get(at).map(|b| b >> 4) {
        Some(4) => (buf[at + 9], at + (buf[at] & 15) as usize * 4),
        Some(6) => (buf[at + 6], at + 40),
        _ => return meta,
    };
    if proto == 58
        && buf.get(body) == Some(&135)
        && let Some(Ok(target)) = buf.get(body + 8..body + 24).map(<[u8; 16]>::try_from)
    {
        report.asked = Some(IpAddress::Ipv6(target.into()));
    }
    if matches!(proto, 1 | 17 | 58) {
        mark(buf, at, report.tos);
    }
    if proto == 17 && link.tx_checksum && buf.len() >= body + 8 {
        let fragment = buf[at] >> 4 == 4 && u16::from_be_bytes([buf[at + 6], buf[at + 7]]) & 0x3fff != 0;
        if fragment {
            // A checksum over several frames, which no card computes: IPv4 goes without, as UDP allows.
            if u16::from_be_bytes([buf[at + 6], buf[at + 7]]) & 0x1fff == 0 {
                buf[body + 6..body + 8].fill(0);
            }
        } else {
            meta.csum_start = body as u16;
            meta.csum_offset = 6;
            let sum = pseudo(buf, at, buf.len() - body, body);
            buf[body + 6..body + 8].copy_from_slice(&sum.to_be_bytes());
        }
    }
    meta
}

/// Type of service (RFC 2474): smoltcp writes zero.
fn mark(buf: &mut [u8], at: usize, tos: u8) {
    if tos == 0 {
    } else if buf[at] >> 4 == 4 {
        buf[at + 1] = tos;
        let end = at + (buf[at] & 15) as usize * 4;
        Ipv4Packet::new_unchecked(&mut buf[at..end]).fill_checksum();
    } else {
        buf[at] |= tos >> 4;
        buf[at + 1] |= tos << 4;
    }
}

/// Sum over the pseudo header, not complemented.
pub fn pseudo(buf: &[u8], at: usize, len: usize, body: usize) -> u16 {
    let (addrs, proto) = if buf[at] >> 4 == 4 {
        (&buf[at + 12..at + 20], buf[at + 9])
    } else {
        (&buf[at + 8..body.min(at + 40)], buf[at + 6])
    };
    // The card adjusts the length itself when it cuts segments; IPv4's pseudo header has 16 bits for it.
    let tail = [0, proto, (len >> 8) as u8, len as u8];
    checksum::combine(&[checksum::data(addrs), checksum::data(&tail)])
}
