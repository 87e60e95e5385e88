//! Segments that belong to no connection: RST, the ACKs of TIME-WAIT and RFC 5961, SYN cookies. Each answers a frame
//! and goes back to where it came from.

use super::Stack;
use super::interface::InterfaceId;
use super::solicit::Mac;
use crate::build::Frame;
use crate::frame::{Tcp, Tuple};
use libos_tcp::{ACK, Options, RST, Seq};
use smoltcp::wire::IpAddress;

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

    /// Appends the IP packet that carries it to the remote end of `t`.
    pub fn write(&self, frame: &mut Frame, t: &Tuple) {
        let at = frame.bytes().len();
        let options = self.options.bytes();
        let header = 20 + options.len();
        frame.ip(&t.local, &t.remote, 6, self.marks, header);
        let mut tcp = [0; 20];
        tcp[..2].copy_from_slice(&t.lport.to_be_bytes());
        tcp[2..4].copy_from_slice(&t.rport.to_be_bytes());
        tcp[4..8].copy_from_slice(&self.seq.0.to_be_bytes());
        tcp[8..12].copy_from_slice(&self.ack.0.to_be_bytes());
        tcp[12..14].copy_from_slice(&[(header as u8) << 2, self.flags]);
        tcp[14..16].copy_from_slice(&self.window.to_be_bytes());
        frame.put(&tcp).put(options);
        frame.seal(at, 16);
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
        let mut frame = Frame::new();
        if ifc == InterfaceId::Eth {
            let v4 = matches!(t.local, IpAddress::Ipv4(_));
            frame.put(&to).put(&from).put(if v4 { &[8, 0] } else { &[0x86, 0xdd] });
        }
        reply.write(&mut frame, t);
        self.reply(ifc, &frame);
    }

    /// Queues a frame among the replies.
    pub fn reply(&mut self, ifc: InterfaceId, frame: &Frame) {
        if let Some(interface) = self.interfaces.get_mut(ifc) {
            use crate::phy::FrameSink;
            let bytes = frame.bytes();
            interface.queue.send(bytes.len(), &mut |b| {
                b.copy_from_slice(bytes);
                crate::device::TxMeta::default()
            });
        }
    }
}
