//! SYN cookies: while too many handshakes are waiting, the answer to a SYN is computed and nothing is stored; the ACK
//! that brings it back makes the connection. A flood of SYNs then costs no memory and takes nobody's place.

use super::Stack;
use super::interface::InterfaceId;
use super::memory::LEAST;
use super::reply::Segment;
use super::sequence::cookie_index;
use super::sock::Kind;
use crate::build::Frame;
use crate::frame::{ACK, SYN, Tcp, Tuple};

/// The MSS values that three bits can encode: the next smaller one is used.
const MSS: [u16; 8] = [536, 1220, 1360, 1400, 1440, 1460, 8940, 16_376];

impl Stack {
    /// Answers a SYN for the listening socket `sid` without keeping anything.
    pub fn send_cookie(&mut self, sid: u32, ifc: InterfaceId, raw: &[u8], t: &Tcp) {
        let Some(sock) = self.sockets.get(sid) else { return };
        // The connection's buffer will be at least this large, however little memory there is then.
        let window = if sock.opts.rcvbuf > 0 { sock.opts.rcvbuf.min(LEAST.0) } else { LEAST.0 } as u16;
        let theirs = t.mss.unwrap_or(536);
        let index = MSS.iter().rposition(|&m| m <= theirs).unwrap_or(0) as u32;
        let seq = self.sequence.new_cookie(&t.tuple, t.seq, index, self.now);
        let headers = if t.tuple.local.version() == smoltcp::wire::IpVersion::Ipv4 { 40 } else { 60 };
        let mss = (self.interfaces.mtu(ifc) - headers) as u16;
        self.answer(ifc, raw, &t.tuple, Segment { flags: SYN | ACK, seq, ack: t.seq.wrapping_add(1), window, mss });
    }

    /// A segment with an ACK for a listening socket. Returns whether it brought a cookie back and was dealt with.
    pub fn cookie_in(&mut self, sid: u32, ifc: InterfaceId, raw: &[u8], t: &Tcp) -> bool {
        let (isn, irs) = (t.ack.wrapping_sub(1), t.seq.wrapping_sub(1));
        if t.rst || t.syn || !self.sequence.is_cookie(isn, &t.tuple, irs, self.now) {
            return false;
        }
        // Without room in the accept queue or in memory, the peer resends its data, and the cookie with it.
        if let Some(Kind::Listen(l)) = self.sockets.get(sid).map(|s| &s.kind)
            && !l.overflows()
        {
            let mss = MSS[cookie_index(isn)];
            let back =
                Tuple { local: t.tuple.remote, lport: t.tuple.rport, remote: t.tuple.local, rport: t.tuple.lport };
            // For smoltcp, the SYN as it must have been.
            let mut packet = Frame::new();
            Segment { flags: SYN, seq: irs, ack: 0, window: u16::MAX, mss }.write(&mut packet, &back);
            let syn = Tcp { seq: irs, mss: Some(mss), ..*t };
            match self.open_half(sid, ifc, packet.bytes(), &syn, Some(isn)) {
                Ok(id) => self.feed(id, raw, t),
                Err(_) => self.stats.syn_dropped += 1,
            }
        }
        true
    }
}
