//! SYN cookies: while too many handshakes are waiting, the answer to a SYN is computed and nothing is stored; the ACK
//! that brings it back makes the connection. A flood of SYNs then costs no memory and takes nobody's place.

use super::Stack;
use super::interface::InterfaceId;
use super::memory::LEAST;
use super::reply::Reply;
use super::sequence::cookie_index;
use super::sock::Kind;
use crate::frame::Tcp;
use libos_tcp::{ACK, Options, RST, SYN, Segment, Seq, mss_option};

/// The MSS values that three bits can encode: the next smaller one is used.
const MSS: [u16; 8] = [536, 1220, 1360, 1400, 1440, 1460, 8940, 16_376];

impl Stack {
    /// Answers a SYN for the listening socket `sid` without keeping anything.
    pub fn send_cookie(&mut self, sid: u32, ifc: InterfaceId, raw: &[u8], t: &Tcp<'_>) {
        let Some(sock) = self.sockets.get(sid) else { return };
        // The connection's buffer will be at least this large, however little memory there is then.
        let window = if sock.opts.rcvbuf > 0 { sock.opts.rcvbuf.min(LEAST.0) } else { LEAST.0 } as u16;
        let theirs = mss_option(t.segment.options).unwrap_or(536);
        let index = MSS.iter().rposition(|&m| m <= theirs).unwrap_or(0) as u32;
        let seq = Seq(self.sequence.new_cookie(&t.tuple, t.segment.seq.0, index, self.now));
        let mss = self.mss(ifc, &t.tuple.local);
        self.answer(ifc, raw, &t.tuple, Reply { flags: SYN | ACK, seq, ack: t.segment.seq + 1, window, mss });
    }

    /// A segment with an ACK for a listening socket. Returns whether it brought a cookie back and was dealt with.
    pub fn cookie_in(&mut self, sid: u32, ifc: InterfaceId, raw: &[u8], t: &Tcp<'_>) -> bool {
        let s = &t.segment;
        let (isn, irs) = (s.ack.0.wrapping_sub(1), s.seq.0.wrapping_sub(1));
        if s.has(RST | SYN) || !self.sequence.is_cookie(isn, &t.tuple, irs, self.now) {
            return false;
        }
        // Without room in the accept queue or in memory, the peer resends its data, and the cookie with it.
        if let Some(Kind::Listen(l)) = self.sockets.get(sid).map(|s| &s.kind)
            && !l.overflows()
        {
            let mss = MSS[cookie_index(isn)];
            // The SYN as it must have been, as far as the cookie remembers it.
            let options = Options::syn(mss, None, false);
            let options = options.bytes();
            let syn = Segment { seq: Seq(irs), ack: Seq(0), flags: SYN, window: u16::MAX, options, data: &[] };
            let syn = Tcp { segment: syn, ..*t };
            match self.open_half(sid, ifc, &syn, Some(Seq(isn))) {
                Ok(id) => {
                    self.feed(id, ifc, raw, t);
                }
                Err(_) => self.stats.syn_dropped += 1,
            }
        }
        true
    }
}
