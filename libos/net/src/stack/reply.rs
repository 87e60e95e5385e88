//! Segments that belong to no connection: RST, the ACKs of TIME-WAIT and RFC 5961, SYN cookies. Each answers a frame
//! and goes back to where it came from.

use super::Stack;
use super::interface::InterfaceId;
use crate::build::Frame;
use crate::frame::{Tcp, Tuple};
use libos_tcp::{ACK, RST, SYN, Seq};

/// A segment sent as a reply.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    pub flags: u8,
    pub seq: Seq,
    pub ack: Seq,
    pub window: u16,
    /// The MSS option; 0: none.
    pub mss: u16,
}

impl Reply {
    pub fn ack(seq: Seq, ack: Seq, window: u16) -> Self {
        Self { flags: ACK, seq, ack, window, mss: 0 }
    }

    /// The answer to a segment without a connection (RFC 9293 section 3.10.7.1).
    pub fn reset(t: &Tcp<'_>) -> Self {
        let s = &t.segment;
        if s.has(ACK) {
            return Self { flags: RST, seq: s.ack, ack: Seq(0), window: 0, mss: 0 };
        }
        Self { flags: RST | ACK, seq: Seq(0), ack: s.seq + s.len(), window: 0, mss: 0 }
    }

    /// Appends the IP packet that carries it to the remote end of `t`.
    pub fn write(&self, frame: &mut Frame, t: &Tuple) {
        let at = frame.bytes().len();
        let header = if self.flags & SYN != 0 { 24 } else { 20 };
        frame.ip(&t.local, &t.remote, 6, 64, header);
        frame.put(&t.lport.to_be_bytes()).put(&t.rport.to_be_bytes());
        frame.put(&self.seq.0.to_be_bytes()).put(&self.ack.0.to_be_bytes());
        frame.put(&[(header as u8) << 2, self.flags]).put(&self.window.to_be_bytes()).put(&[0; 4]);
        if header == 24 {
            frame.put(&[2, 4]).put(&self.mss.to_be_bytes());
        }
        frame.seal(at, 16);
    }
}

impl Stack {
    /// Answers the frame `raw` of connection `t`.
    pub fn answer(&mut self, ifc: InterfaceId, raw: &[u8], t: &Tuple, reply: Reply) {
        let mut frame = Frame::new();
        if ifc == InterfaceId::Eth {
            frame.put(&raw[6..12]).put(&raw[..6]).put(&raw[12..14]);
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
