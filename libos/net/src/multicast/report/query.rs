//! Queries, and the reports of other hosts.

use super::{Due, IS_EXCLUDE, IS_INCLUDE, MLD1, OLDER, Reports, V1, V2, v4};
use crate::multicast::wide;
use crate::stack::Stack;
use libos_base::time::NS;
use smoltcp::wire::{IpAddress, Ipv6Address, checksum};

/// Takes in a packet from the card: a query, or another host's report.
pub(super) fn hear(st: &mut Stack, ip: &[u8]) {
    let now = st.now;
    let Some(r) = Reports::of(st) else { return };
    let six = ip[0] >> 4 == 6;
    let body = if six {
        // From a neighbor, with a hop limit of 1, behind the router alert (RFC 3810 section 6.2).
        let near = ip[8] == 0xfe && ip[9] & 0xc0 == 0x80 && ip[7] == 1;
        let [58, n, ..] = ip[40..] else { return };
        let at = 48 + usize::from(n) * 8;
        if ip[6] != 0 || !near || at + 24 > ip.len() {
            return;
        }
        let len = ((ip.len() - at) as u16).to_be_bytes();
        let sum = checksum::combine(&[
            checksum::data(&ip[8..40]),
            checksum::data(&[0, 58, len[0], len[1]]),
            checksum::data(&ip[at..]),
        ]);
        if sum != 0xffff {
            return;
        }
        &ip[at..]
    } else {
        let body = &ip[usize::from(ip[0] & 15) * 4..];
        if ip[9] != 2 || body.len() < 8 || checksum::data(body) != 0xffff {
            return;
        }
        body
    };
    let group = if six {
        Ipv6Address::from(core::array::from_fn::<u8, 16, _>(|i| body[8 + i])).octets()
    } else {
        wide(&IpAddress::v4(body[4], body[5], body[6], body[7]))
    };
    // How long the answer may take, in nanoseconds.
    let longest = match (six, body[0]) {
        (false, 0x11) if body.len() >= 12 => code(body[1].into(), 8) * (NS / 10),
        (false, 0x11) => {
            let (version, time) = if body[1] == 0 { (V1, 100) } else { (V2, body[1]) };
            r.older[version] = now + OLDER;
            u64::from(time) * (NS / 10)
        }
        (true, 130) => {
            let time = u16::from_be_bytes([body[4], body[5]]);
            if body.len() < 28 {
                r.older[MLD1] = now + OLDER;
                u64::from(time) * (NS / 1000)
            } else {
                code(time.into(), 16) * (NS / 1000)
            }
        }
        // Somebody else has said it: in the older versions one report is enough.
        (false, 0x12 | 0x16) | (true, 131) => {
            if r.older(&group, now).is_some() {
                r.due.retain(|d| d.record.group != group || !matches!(d.record.kind, IS_INCLUDE | IS_EXCLUDE));
            }
            return;
        }
        _ => return,
    };
    let at = Reports::some(longest, now);
    let unspecified = if six { group == [0; 16] } else { group[12..] == [0; 4] };
    let older = if six { r.older[MLD1] > now } else { r.older[V1].max(r.older[V2]) > now };
    if unspecified && !older {
        let all = &mut r.all[usize::from(six)];
        *all = if *all == 0 { at } else { at.min(*all) };
    } else {
        // In the older versions each group has a time of its own.
        for i in 0..r.told.len() {
            let t = &r.told[i];
            if v4(&t.group) == six || !(unspecified || t.group == group) {
                continue;
            }
            let at = if unspecified { Reports::some(longest, now) } else { at };
            if let Some(d) = r.due.iter_mut().find(|d| d.record.group == t.group) {
                d.at = d.at.min(at);
            } else if r.due.try_reserve(1).is_ok() {
                r.due.push(Due { at, left: 1, record: t.record() });
            }
        }
    }
    st.control.next_at = st.control.next_at.min(now);
}

/// A time with an exponent (RFC 3376 section 4.1.1, RFC 3810 section 5.1.3) of this many bits.
fn code(value: u64, bits: u32) -> u64 {
    let mantissa = bits - 4;
    if value >> (bits - 1) == 0 {
        return value;
    }
    let exponent = value >> mantissa & 7;
    ((value & ((1 << mantissa) - 1)) | 1 << mantissa) << (exponent + 3)
}

#[cfg(test)]
#[test]
fn long_times_have_an_exponent() {
    assert_eq!((code(100, 8), code(127, 8), code(128, 8), code(255, 8)), (100, 127, 128, 31 << 10));
    assert_eq!((code(32767, 16), code(32768, 16), code(65535, 16)), (32767, 32768, 8191 << 10));
}
