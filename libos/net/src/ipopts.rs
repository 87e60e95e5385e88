//! Options of IPPROTO_IP and IPPROTO_IPV6 that are small numbers. A table says what they may be set to; who acts on one
//! looks at its value.

use crate::options::{IPPROTO_IP, IPPROTO_IPV6, int};
use crate::stack::sock::Sock;
use libos_base::{Errno, Result};

/// Places in [`Values`], in the order of the table.
pub const TOS: usize = 0;
pub const TTL: usize = 1;
pub const PKTINFO: usize = 2;
pub const RECVTTL: usize = 3;
pub const RECVTOS: usize = 4;
pub const MTU_DISCOVER: usize = 5;
pub const MULTICAST_TTL: usize = 6;
pub const MULTICAST_LOOP: usize = 7;
pub const MULTICAST_ALL: usize = 8;
pub const HOPS: usize = 9;
pub const MULTICAST_HOPS: usize = 10;
pub const MULTICAST_LOOP6: usize = 11;
pub const MULTICAST_ALL6: usize = 12;
pub const RECVPKTINFO: usize = 13;
pub const RECVHOPLIMIT: usize = 14;
pub const RECVTCLASS: usize = 15;
pub const TCLASS: usize = 16;
const KEPT: usize = 19;

/// Their names also name control messages.
pub const IP_TOS: i32 = 1;
pub const IP_TTL: i32 = 2;
pub const IPV6_HOPLIMIT: i32 = 52;
pub const IPV6_TCLASS: i32 = 67;

/// IP_PMTUDISC_DO and IP_PMTUDISC_PROBE: nothing is sent in fragments.
pub const WHOLE: core::ops::RangeInclusive<u8> = 2..=3;

/// What a socket keeps.
pub type Values = [u8; KEPT];

/// What an option may be set to.
#[derive(Clone, Copy)]
enum Rule {
    /// Anything; reads 0 or 1.
    Flag,
    /// From 0 to this.
    UpTo(u8),
    /// From this to 255; -1 is the default.
    From(u8),
    /// A byte, of which TCP keeps the two bits of congestion notification to itself.
    Class,
    /// What it is already: what it would turn on is not there.
    Only,
}

const V4: u8 = IPPROTO_IP as u8;
const V6: u8 = IPPROTO_IPV6 as u8;

/// Level, name, value at first, rule.
static ROWS: [(u8, u8, u8, Rule); 36] = [
    (V4, IP_TOS as u8, 0, Rule::Class),
    (V4, IP_TTL as u8, 64, Rule::From(1)),
    (V4, 8, 0, Rule::Flag),      // IP_PKTINFO
    (V4, 12, 0, Rule::Flag),     // IP_RECVTTL
    (V4, 13, 0, Rule::Flag),     // IP_RECVTOS
    (V4, 10, 1, Rule::UpTo(5)),  // IP_MTU_DISCOVER
    (V4, 33, 1, Rule::From(0)),  // IP_MULTICAST_TTL
    (V4, 34, 1, Rule::Flag),     // IP_MULTICAST_LOOP
    (V4, 49, 1, Rule::UpTo(1)),  // IP_MULTICAST_ALL
    (V6, 16, 64, Rule::From(0)), // IPV6_UNICAST_HOPS
    (V6, 18, 1, Rule::From(0)),  // IPV6_MULTICAST_HOPS
    (V6, 19, 1, Rule::UpTo(1)),  // IPV6_MULTICAST_LOOP
    (V6, 29, 1, Rule::Flag),     // IPV6_MULTICAST_ALL
    (V6, 49, 0, Rule::Flag),     // IPV6_RECVPKTINFO
    (V6, 51, 0, Rule::Flag),     // IPV6_RECVHOPLIMIT
    (V6, 66, 0, Rule::Flag),     // IPV6_RECVTCLASS
    (V6, IPV6_TCLASS as u8, 0, Rule::Class),
    (V6, 23, 1, Rule::UpTo(5)), // IPV6_MTU_DISCOVER: nothing is sent in fragments anyway
    (V6, 62, 0, Rule::Flag),    // IPV6_DONTFRAG: likewise
    (V4, 6, 0, Rule::Only),     // IP_RECVOPTS
    (V4, 7, 0, Rule::Only),     // IP_RETOPTS
    (V4, 11, 0, Rule::Only),    // IP_RECVERR
    (V4, 15, 0, Rule::Only),    // IP_FREEBIND
    (V4, 19, 0, Rule::Only),    // IP_TRANSPARENT
    (V4, 20, 0, Rule::Only),    // IP_RECVORIGDSTADDR
    (V4, 21, 0, Rule::Only),    // IP_MINTTL
    (V4, 24, 0, Rule::Only),    // IP_BIND_ADDRESS_NO_PORT
    (V4, 25, 0, Rule::Only),    // IP_RECVFRAGSIZE
    (V6, 25, 0, Rule::Only),    // IPV6_RECVERR
    (V6, 53, 0, Rule::Only),    // IPV6_RECVHOPOPTS
    (V6, 56, 0, Rule::Only),    // IPV6_RECVRTHDR
    (V6, 58, 0, Rule::Only),    // IPV6_RECVDSTOPTS
    (V6, 60, 0, Rule::Only),    // IPV6_RECVPATHMTU
    (V6, 74, 0, Rule::Only),    // IPV6_RECVORIGDSTADDR
    (V6, 75, 0, Rule::Only),    // IPV6_TRANSPARENT
    (V6, 78, 0, Rule::Only),    // IPV6_FREEBIND
];

/// As `socket` makes them.
pub fn defaults() -> Values {
    core::array::from_fn(|i| ROWS[i].2)
}

/// The row of an option, unless a socket of this kind has no such option.
fn row(s: &Sock, udp: bool, level: i32, name: i32) -> Option<usize> {
    let i = ROWS.iter().position(|r| (i32::from(r.0), i32::from(r.1)) == (level, name))?;
    let alien = (level == IPPROTO_IPV6 && !s.v6) || (!udp && matches!(i, MULTICAST_TTL | MULTICAST_HOPS));
    (!alien).then_some(i)
}

/// `setsockopt`. `None`: no such option here.
pub fn set(s: &mut Sock, udp: bool, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
    let i = row(s, udp, level, name)?;
    let (_, _, first, rule) = ROWS[i];
    // A single byte will do for the options of IPv4, and for most of them nothing at all.
    let short = || match (level, rule, value.first()) {
        (IPPROTO_IPV6, ..) | (_, Rule::From(_), None) => Err(Errno::EINVAL),
        (.., b) => Ok(b.map_or(0, |&b| i32::from(b))),
    };
    let old = s.opts.ip.get_mut(i);
    Some(int(value).or_else(|_| short()).and_then(|v| {
        let bad = match rule {
            Rule::Flag => false,
            Rule::UpTo(most) => !(0..=i32::from(most)).contains(&v),
            Rule::From(least) => v != -1 && !(i32::from(least)..=255).contains(&v),
            // IP_TOS takes the low byte of anything.
            Rule::Class => level == IPPROTO_IPV6 && !(-1..=255).contains(&v),
            Rule::Only if v == i32::from(first) => false,
            Rule::Only => return Err(Errno::ENOPROTOOPT),
        };
        if bad {
            return Err(Errno::EINVAL);
        }
        let Some(old) = old else { return Ok(()) };
        *old = match rule {
            Rule::Flag => u8::from(v != 0),
            Rule::From(_) if v == -1 => first,
            Rule::Class if level == IPPROTO_IPV6 && v == -1 => 0,
            Rule::Class if !udp => v as u8 & !3 | *old & 3,
            _ => v as u8,
        };
        Ok(())
    }))
}

/// `getsockopt`.
pub fn get(s: &Sock, udp: bool, level: i32, name: i32) -> Option<u8> {
    let i = row(s, udp, level, name)?;
    Some(s.opts.ip.get(i).copied().unwrap_or(ROWS[i].2))
}
