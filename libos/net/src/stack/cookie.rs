//! SYN cookies: while too many handshakes are waiting, the answer to a SYN is computed and nothing is stored; the ACK
//! that brings it back makes the connection. A flood of SYNs then costs no memory and takes nobody's place.

use super::Stack;
use super::conn::marks;
use super::interface::InterfaceId;
use super::memory::LEAST;
use super::reply::Reply;
use super::request::Request;
use super::sequence::cookie_index;
use super::sock::Kind;
use crate::frame::Tcp;
use libos_tcp::{ACK, Options, RST, SYN, Segment, Seq, SynOptions};

/// The MSS values that three bits can encode: the next smaller one is used.
const MSS: [u16; 8] = [536, 1220, 1360, 1400, 1440, 1460, 8940, 16_376];

impl Stack {
    /// Answers a SYN for the listening socket `sid` without keeping anything.
    pub fn send_cookie(&mut self, sid: u32, ifc: InterfaceId, raw: &[u8], t: &Tcp<'_>) {
        let Some(sock) = self.sockets.get(sid) else { return };
        // The connection's buffer will be at least this large, however little memory there is then.
        let window = if sock.opts.rcvbuf > 0 { sock.opts.rcvbuf.min(LEAST.0) } else { LEAST.0 } as u16;
        let theirs = SynOptions::read(t.segment.options).mss;
        let index = MSS.iter().rposition(|&m| m <= theirs).unwrap_or(0) as u32;
        let marks = marks(&sock.opts, &t.tuple.local);
        let seq = Seq(self.sequence.new_cookie(&t.tuple, t.segment.seq.0, index, self.now));
        let options = Options::syn(self.mss(ifc, &t.tuple.local), None, false);
        let ack = t.segment.seq + 1;
        self.answer(ifc, raw, &t.tuple, Reply { flags: SYN | ACK, seq, ack, window, options, marks });
    }

    /// A segment with an ACK for a listening socket. Returns whether it brought a cookie back and was dealt with.
    pub fn cookie_in(&mut self, sid: u32, ifc: InterfaceId, raw: &[u8], t: &Tcp<'_>) -> bool {
        let s = &t.segment;
        let (isn, irs) = (s.ack.0.wrapping_sub(1), s.seq.0.wrapping_sub(1));
        if s.has(RST | SYN) || !self.sequence.is_cookie(isn, &t.tuple, irs, self.now) {
            return false;
        }
        // Without room in the accept queue or in memory, the peer resends its data, and the cookie with it.
        if let Some(sock) = self.sockets.get(sid)
            && let Kind::Listen(l) = &sock.kind
            && !l.overflows()
        {
            let receive = self.config(&sock.opts, ifc, &t.tuple.local).receive;
            // The SYN as it must have been, as far as the cookie remembers it.
            let options = SynOptions { mss: MSS[cookie_index(isn)], scale: None, sack: false };
            let syn = Segment { seq: Seq(irs), window: u16::MAX, ..*s };
            let r = Request {
                options,
                ..Request::new(sid, ifc, raw, (t.tuple, t.hash), &syn, Seq(isn), receive, self.now)
            };
            self.complete(&r, raw, t);
        }
        true
    }
}
