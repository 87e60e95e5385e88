//! Initial sequence numbers: those of connections (RFC 6528), SYN cookies, and how to make smoltcp use them.

use super::instant;
use crate::frame::Tuple;
use crate::phy::{Link, Nowhere, OneSlot, Report};
use crate::table::sip;
use alloc::vec::Vec;
use libos_base::time::NS;
use libos_base::{Result, random};
use smoltcp::iface::{Config, Interface};
use smoltcp::phy::Medium;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

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
    pub fn isn(&self, t: &Tuple, now: u64) -> u32 {
        // 64 ns per tick, as on Linux: wraps in 274 seconds.
        let clock = (now >> 6) as u32;
        clock.wrapping_add(sip(self.key, &t.bytes()) as u32)
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

/// The seed with which an interface draws `isn` for its first connection. smoltcp's generator (PCG with 64 bits of
/// state) multiplies, adds, and returns 32 bits from a position given by the top three bits: if those are zero, the 32
/// bits below them. A new interface first draws an IPv4 identification, and again if that is 0. A test notices if this
/// changes.
fn seed_for(isn: u32) -> u64 {
    const M: u64 = 0xbb2e_fcec_3c39_611d;
    const A: u64 = 0x7590_ef39;
    // The inverse of M modulo 2^64, by Newton's iteration: each round doubles the number of correct bits.
    const INVERSE: u64 = {
        let (mut x, mut i) = (M, 0);
        while i < 5 {
            x = x.wrapping_mul(2u64.wrapping_sub(M.wrapping_mul(x)));
            i += 1;
        }
        x
    };
    let back = |state: u64| state.wrapping_sub(A).wrapping_mul(INVERSE);
    let mut second = u64::from(isn) << 29;
    loop {
        let first = back(second);
        let drawn = (first >> (29 - (first >> 61))) as u32;
        if (drawn ^ drawn >> 16) as u16 != 0 {
            return back(first);
        }
        // The low bits do not affect what is drawn.
        second += 1;
    }
}

/// An interface of its own that draws `isn` as its next initial sequence number: smoltcp would take it from the shared
/// interface's generator, whose next value can be computed from earlier ones.
pub fn seeded(isn: u32, local: IpAddress, mtu: usize, now: u64) -> Result<Vec<Interface>> {
    let link = Link { medium: Medium::Ip, mtu, tx_checksum: true, tso4: None };
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed_for(isn);
    let mut dev = OneSlot { link, rx: None, sink: &mut Nowhere, report: Report::default() };
    let mut own = crate::stack::interface::in_heap(config, &mut dev, instant(now))?;
    let bits = if matches!(local, IpAddress::Ipv4(_)) { 32 } else { 128 };
    own[0].update_ip_addrs(|a| {
        let _ = a.push(IpCidr::new(local, bits));
    });
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phy::FrameQueue;
    use smoltcp::socket::tcp;

    #[test]
    fn smoltcp_draws_the_number_that_the_seed_is_made_for() {
        for isn in (0..40_000).map(|i: u32| i.wrapping_mul(0x9e37_79b9)).chain([1, u32::MAX]) {
            let local = IpAddress::v4(10, 0, 0, 1);
            let own = &mut seeded(isn, local, 1500, 0).unwrap()[0];
            let buffer = || tcp::SocketBuffer::new(vec![0; 1024]);
            let mut set = smoltcp::iface::SocketSet::new(vec![]);
            let mut s = tcp::Socket::new(buffer(), buffer());
            s.connect(own.context(), (IpAddress::v4(10, 0, 0, 2), 80), (local, 4000)).unwrap();
            set.add(s);
            let link = Link { medium: Medium::Ip, mtu: 1500, tx_checksum: true, tso4: None };
            let mut queue = FrameQueue::default();
            let mut dev = OneSlot { link, rx: None, sink: &mut queue, report: Report::default() };
            own.poll_egress(instant(0), &mut dev, &mut set);
            assert_eq!(dev.report.isn, Some(isn));
        }
    }
}
