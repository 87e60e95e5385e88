//! Options of IPPROTO_IP and IPPROTO_IPV6 that are small numbers. A table says what they may be set to; the code that
//! acts on an option reads its value.

use crate::options::int;
use crate::stack::sock::Sock;
use libos_base::abi::{ip_option, ipv6_option, sol};
use libos_base::{Errno, Result};

/// Indexes in [`Values`], in the order of the table.
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

/// Which of them say how something is sent: hop limits of what goes to one and to a group, type of service, and whether
/// groups here hear it, too.
pub fn sending(v6: bool) -> [usize; 4] {
    if v6 { [HOPS, MULTICAST_HOPS, TCLASS, MULTICAST_LOOP6] } else { [TTL, MULTICAST_TTL, TOS, MULTICAST_LOOP] }
}

/// IP_PMTUDISC_DO and IP_PMTUDISC_PROBE: datagrams are never fragmented.
pub const WHOLE: core::ops::RangeInclusive<u8> = 2..=3;

/// The values that a socket keeps.
pub type Values = [u8; KEPT];

/// What an option may be set to.
#[derive(Clone, Copy)]
enum Rule {
    /// Anything; reads as 0 or 1.
    Flag,
    /// From 0 to this.
    UpTo(u8),
    /// From this to 255; -1 is the default.
    From(u8),
    /// A byte whose two congestion notification bits TCP keeps to itself.
    Class,
    /// Only its current value: what it would turn on does not exist.
    Only,
}

const V4: u8 = sol::IP as u8;
const V6: u8 = sol::IPV6 as u8;

/// Level, name, initial value, rule.
static ROWS: [(u8, u8, u8, Rule); 36] = [
    (V4, ip_option::TOS as u8, 0, Rule::Class),
    (V4, ip_option::TTL as u8, 64, Rule::From(1)),
    (V4, ip_option::PKTINFO as u8, 0, Rule::Flag),
    (V4, ip_option::RECVTTL as u8, 0, Rule::Flag),
    (V4, ip_option::RECVTOS as u8, 0, Rule::Flag),
    (V4, ip_option::MTU_DISCOVER as u8, 1, Rule::UpTo(5)),
    (V4, ip_option::MULTICAST_TTL as u8, 1, Rule::From(0)),
    (V4, ip_option::MULTICAST_LOOP as u8, 1, Rule::Flag),
    (V4, ip_option::MULTICAST_ALL as u8, 1, Rule::UpTo(1)),
    (V6, ipv6_option::UNICAST_HOPS as u8, 64, Rule::From(0)),
    (V6, ipv6_option::MULTICAST_HOPS as u8, 1, Rule::From(0)),
    (V6, ipv6_option::MULTICAST_LOOP as u8, 1, Rule::UpTo(1)),
    (V6, ipv6_option::MULTICAST_ALL as u8, 1, Rule::Flag),
    (V6, ipv6_option::RECVPKTINFO as u8, 0, Rule::Flag),
    (V6, ipv6_option::RECVHOPLIMIT as u8, 0, Rule::Flag),
    (V6, ipv6_option::RECVTCLASS as u8, 0, Rule::Flag),
    (V6, ipv6_option::TCLASS as u8, 0, Rule::Class),
    (V6, ipv6_option::MTU_DISCOVER as u8, 1, Rule::UpTo(5)), // nothing is fragmented anyway
    (V6, ipv6_option::DONTFRAG as u8, 0, Rule::Flag),        // likewise
    (V4, ip_option::RECVOPTS as u8, 0, Rule::Only),
    (V4, ip_option::RETOPTS as u8, 0, Rule::Only),
    (V4, ip_option::RECVERR as u8, 0, Rule::Only),
    (V4, ip_option::FREEBIND as u8, 0, Rule::Only),
    (V4, ip_option::TRANSPARENT as u8, 0, Rule::Only),
    (V4, ip_option::RECVORIGDSTADDR as u8, 0, Rule::Only),
    (V4, ip_option::MINTTL as u8, 0, Rule::Only),
    (V4, ip_option::BIND_ADDRESS_NO_PORT as u8, 0, Rule::Only),
    (V4, ip_option::RECVFRAGSIZE as u8, 0, Rule::Only),
    (V6, ipv6_option::RECVERR as u8, 0, Rule::Only),
    (V6, ipv6_option::RECVHOPOPTS as u8, 0, Rule::Only),
    (V6, ipv6_option::RECVRTHDR as u8, 0, Rule::Only),
    (V6, ipv6_option::RECVDSTOPTS as u8, 0, Rule::Only),
    (V6, ipv6_option::RECVPATHMTU as u8, 0, Rule::Only),
    (V6, ipv6_option::RECVORIGDSTADDR as u8, 0, Rule::Only),
    (V6, ipv6_option::TRANSPARENT as u8, 0, Rule::Only),
    (V6, ipv6_option::FREEBIND as u8, 0, Rule::Only),
];

/// The values of a new socket.
pub fn defaults() -> Values {
    core::array::from_fn(|i| ROWS[i].2)
}

/// The row of an option, unless a socket of this kind does not have it.
fn row(s: &Sock, udp: bool, level: i32, name: i32) -> Option<usize> {
    let i = ROWS.iter().position(|r| (i32::from(r.0), i32::from(r.1)) == (level, name))?;
    let alien = (level == sol::IPV6 && !s.v6) || (!udp && matches!(i, MULTICAST_TTL | MULTICAST_HOPS));
    (!alien).then_some(i)
}

/// `setsockopt`. `None`: no such option at this level.
pub fn set(s: &mut Sock, udp: bool, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
    let i = row(s, udp, level, name)?;
    let (_, _, first, rule) = ROWS[i];
    // A single byte will do for the IPv4 options, and for most of them an empty value.
    let short = || match (level, rule, value.first()) {
        (sol::IPV6, ..) | (_, Rule::From(_), None) => Err(Errno::EINVAL),
        (.., b) => Ok(b.map_or(0, |&b| i32::from(b))),
    };
    let old = s.opts.ip.get_mut(i);
    Some(int(value).or_else(|_| short()).and_then(|v| {
        let bad = match rule {
            Rule::Flag => false,
            Rule::UpTo(most) => !(0..=i32::from(most)).contains(&v),
            Rule::From(least) => v != -1 && !(i32::from(least)..=255).contains(&v),
            // IP_TOS takes the low byte of any value.
            Rule::Class => level == sol::IPV6 && !(-1..=255).contains(&v),
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
            Rule::Class if level == sol::IPV6 && v == -1 => 0,
            Rule::Class if !udp => v as u8 & !3 | *old & 3,
            _ => v as u8,
        };
        Ok(())
    }))
}

/// `getsockopt`. `None`: no such option at this level.
pub fn get(s: &Sock, udp: bool, level: i32, name: i32) -> Option<u8> {
    let i = row(s, udp, level, name)?;
    Some(s.opts.ip.get(i).copied().unwrap_or(ROWS[i].2))
}
