//! Segments that belong to no connection: RST, the ACKs of TIME-WAIT and RFC 5961, SYN cookies. Each answers a frame
//! and goes back to where it came from.

use super::Stack;
use super::interface::{Interface, InterfaceId};
use super::solicit::Mac;
use super::transmit::Head;
use crate::build::Frame;
use crate::device::TxMeta;
use crate::frame::{Tcp, Tuple};
use crate::phy::FrameSink;
use libos_tcp::{ACK, Options, RST, Seq, Transmit};

/// A segment sent as a reply.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    pub flags: u8,
    pub seq: Seq,
    pub ack: Seq,
    pub window: u16,
    pub options: Options,
    /// Hop limit and type of service.
    pub marks: (u8, u8),
}

/// The marks of a reply for which no socket has others.
pub const USUAL: (u8, u8) = (64, 0);

impl Reply {
    pub fn ack(seq: Seq, ack: Seq, window: u16) -> Self {
        Self { flags: ACK, seq, ack, window, options: Options::NONE, marks: USUAL }
    }

    /// The answer to a segment without a connection (RFC 9293 section 3.10.7.1).
    pub fn reset(t: &Tcp<'_>) -> Self {
        let s = &t.segment;
        let (flags, seq, ack) = if s.has(ACK) { (RST, s.ack, Seq(0)) } else { (RST | ACK, Seq(0), s.seq + s.len()) };
        Self { flags, ..Self::ack(seq, ack, 0) }
    }
}

/// The Ethernet addresses of an answer to the frame `raw`: its source and its destination.
pub fn ends(ifc: InterfaceId, raw: &[u8]) -> (Mac, Mac) {
    match (ifc, raw) {
        (InterfaceId::Eth, &[a, b, c, d, e, f, g, h, i, j, k, l, ..]) => ([g, h, i, j, k, l], [a, b, c, d, e, f]),
        _ => Default::default(),
    }
}

impl Stack {
    /// Answers the frame `raw` of connection `t`.
    pub fn answer(&mut self, ifc: InterfaceId, raw: &[u8], t: &Tuple, reply: Reply) {
        self.answer_to(ifc, ends(ifc, raw), t, reply);
    }

    /// Sends a reply to one Ethernet address, from another.
    pub fn answer_to(&mut self, ifc: InterfaceId, (to, from): (Mac, Mac), t: &Tuple, reply: Reply) {
        let Some(Interface { link, queue, .. }) = self.interfaces.get_mut(ifc) else { return };
        let Reply { flags, seq, ack, window, options, marks } = reply;
        let segment = Transmit { seq, ack, flags, window, options, offset: 0, len: 0, gso: 0, again: false };
        let ethernet = (ifc == InterfaceId::Eth).then_some((from, to));
        let head = Head { link, ethernet, tuple: t, marks };
        queue.send(head.len(&segment), &mut |frame| head.write(frame, &segment, None));
    }

    /// Queues a frame among the replies.
    pub fn reply(&mut self, ifc: InterfaceId, frame: &Frame) {
        if let Some(interface) = self.interfaces.get_mut(ifc) {
            let bytes = frame.bytes();
            interface.queue.send(bytes.len(), &mut |b| {
                b.copy_from_slice(bytes);
                TxMeta::default()
            });
        }
    }

    /// Queues an IP packet for the card. It is lost if there is no room, as on any wire.
    pub fn put_on_wire(&mut self, to: &Mac, packet: &[u8]) {
        let Some(me) = self.interfaces.mac() else { return };
        let Some(eth) = &mut self.interfaces.eth else { return };
        let kind: [u8; 2] = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
        eth.queue.send(14 + packet.len(), &mut |b| {
            b[..6].copy_from_slice(to);
            b[6..12].copy_from_slice(&me);
            b[12..14].copy_from_slice(&kind);
            b[14..].copy_from_slice(packet);
            TxMeta::default()
        });
    }
}
