//! Initial sequence numbers: those of connections (RFC 6528), and SYN cookies.

use crate::frame::Tuple;
use crate::table::sip;
use libos_base::random;
use libos_base::time::NS;
use libos_tcp::Seq;
use smoltcp::wire::IpAddress;

/// How long cookies may come back: this minute's and the previous one's are valid.
const VALID: u64 = 120 * NS;

/// What the numbers are computed from.
pub struct Sequence {
    key: [u64; 2],
    /// When the last SYN cookie expires.
    cookies_until: u64,
}

impl Sequence {
    pub fn new() -> Self {
        Self { key: [random::u64(), random::u64()], cookies_until: 0 }
    }

    /// The initial sequence number of a connection: a clock, to tell a later connection on the same tuple from an
    /// earlier one, plus a keyed hash of the tuple, so that nobody else can predict it.
    pub fn isn(&self, t: &Tuple, now: u64) -> Seq {
        // 64 ns per tick, as on Linux: wraps in 274 seconds.
        let clock = (now >> 6) as u32;
        let hash = match (t.local, t.remote) {
            // Every connection needs one, so no more than what tells these apart.
            (IpAddress::Ipv4(local), IpAddress::Ipv4(remote)) => {
                let mut b = [0; 12];
                b[..4].copy_from_slice(&local.octets());
                b[4..8].copy_from_slice(&remote.octets());
                b[8..10].copy_from_slice(&t.lport.to_le_bytes());
                b[10..].copy_from_slice(&t.rport.to_le_bytes());
                sip(self.key, &b)
            }
            _ => sip(self.key, &t.bytes()),
        };
        Seq(clock.wrapping_add(hash as u32))
    }

    /// Whether there are cookies that may still come back.
    pub fn cookies_out(&self, now: u64) -> bool {
        now < self.cookies_until
    }

    /// The cookie for a SYN with number `irs`. `index`: the three bits for the peer's MSS.
    pub fn new_cookie(&mut self, t: &Tuple, irs: u32, index: u32, now: u64) -> u32 {
        self.cookies_until = now + VALID;
        self.cookie(t, irs, minute(now), index)
    }

    /// Whether `isn` is a cookie of ours that is still valid.
    pub fn is_cookie(&self, isn: u32, t: &Tuple, irs: u32, now: u64) -> bool {
        let ours = |minute| self.cookie(t, irs, minute, cookie_index(isn) as u32) == isn;
        self.cookies_out(now) && (ours(minute(now)) || ours(minute(now).wrapping_sub(1)))
    }

    /// The initial sequence number that encodes everything (Bernstein's layout, RFC 4987 appendix A): the minute modulo
    /// 32, three bits for the MSS, and 24 bits that only we can compute.
    fn cookie(&self, t: &Tuple, irs: u32, minute: u32, index: u32) -> u32 {
        let mut b = [0; 48];
        b[..36].copy_from_slice(&t.bytes());
        for (at, word) in [(36, irs), (40, minute), (44, index)] {
            b[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        minute << 27 | index << 24 | sip(self.key, &b) as u32 & 0xff_ffff
    }
}

fn minute(now: u64) -> u32 {
    (now / (60 * NS)) as u32
}

/// The three MSS bits in a cookie.
pub fn cookie_index(isn: u32) -> usize {
    (isn >> 24 & 7) as usize
}
