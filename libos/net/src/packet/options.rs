//! Options of packet sockets: SOL_SOCKET where they act on one, SOL_PACKET.

use super::socket::PacketSocket;
use super::{HEADER, Seen, program};
use crate::options::int;
use crate::sockopts::words;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use libos_base::abi::{so, sol};
use libos_base::{Errno, Result};

/// SOL_PACKET.
const LEVEL: i32 = 263;
const ADD_MEMBERSHIP: i32 = 1;
const DROP_MEMBERSHIP: i32 = 2;
const STATISTICS: i32 = 6;
const AUXDATA: i32 = 8;
const ORIGDEV: i32 = 9;
const IGNORE_OUTGOING: i32 = 23;
/// TP_STATUS_USER.
const STATUS: u32 = 1;

/// `setsockopt`. `None`: no such option.
pub(super) fn set(s: &PacketSocket, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
    let v = int(value);
    let flag = |bit: u8| {
        v.map(|v| {
            let old = s.auxiliary.load(Relaxed);
            s.auxiliary.store(if v != 0 { old | bit } else { old & !bit }, Relaxed);
        })
    };
    Some(match (level, name) {
        (sol::SOCKET, so::RCVBUF) => s.with(|e| e.limit = v.unwrap_or(0) as usize),
        (sol::SOCKET, so::TIMESTAMP) => {
            s.stamp.store(v.unwrap_or(0) as u8, Relaxed);
            Ok(())
        }
        (sol::SOCKET, so::ATTACH_FILTER) => program(value).and_then(|p| s.with(|e| e.filter.replace(p)).map(drop)),
        (sol::SOCKET, so::DETACH_FILTER) => match s.with(|e| e.filter.take()) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Errno::ENOENT),
            Err(e) => Err(e),
        },
        (LEVEL, ADD_MEMBERSHIP | DROP_MEMBERSHIP) => member(s, name == ADD_MEMBERSHIP, value),
        (LEVEL, AUXDATA) => flag(1),
        // The device on which a frame arrived is always the one that is shown.
        (LEVEL, ORIGDEV) => flag(2),
        (LEVEL, IGNORE_OUTGOING) => v.and_then(|v| match v {
            0 | 1 => s.with(|e| e.ignores_outgoing = v != 0),
            _ => Err(Errno::EINVAL),
        }),
        _ => return None,
    })
}

/// struct packet_mreq: an interface is promiscuous, or wants a group or all of them, as long as this socket lives.
fn member(s: &PacketSocket, add: bool, value: &[u8]) -> Result<()> {
    let v: &[u8; 16] = value.first_chunk().ok_or(Errno::EINVAL)?;
    let index = u32::from_le_bytes([v[0], v[1], v[2], v[3]]);
    let (kind, len) = (u16::from_le_bytes([v[4], v[5]]), u16::from_le_bytes([v[6], v[7]]));
    let mut address = [0; 8];
    address.copy_from_slice(&v[8..]);
    if add {
        s.net.ask(|st| st.interfaces.by_index(index))?;
        // A group's, promiscuous, all groups', another own address.
        if len > 6 || kind > 3 || matches!(kind, 0 | 3) && len != 6 {
            return Err(Errno::EINVAL);
        }
    }
    s.with(|e| {
        let i = e.members.iter().position(|m| *m == (index, kind, address));
        if add {
            e.members.try_reserve(1)?;
            e.members.push((index, kind, address));
        } else {
            e.members.swap_remove(i.ok_or(Errno::EADDRNOTAVAIL)?);
        }
        Ok(())
    })?
}

/// `getsockopt`. `None`: no such option.
pub(super) fn get(s: &PacketSocket, level: i32, name: i32) -> Option<Result<Vec<u8>>> {
    let auxiliary = u32::from(s.auxiliary.load(Relaxed));
    Some(match (level, name) {
        (LEVEL, STATISTICS) => s.with(|e| words(&[core::mem::take(&mut e.packets), core::mem::take(&mut e.drops)])),
        (LEVEL, AUXDATA) => Ok(words(&[auxiliary & 1])),
        (LEVEL, ORIGDEV) => Ok(words(&[auxiliary >> 1])),
        (LEVEL, IGNORE_OUTGOING) => s.with(|e| words(&[e.ignores_outgoing.into()])),
        _ => return None,
    })
}

/// struct tpacket_auxdata: lengths, and where the headers begin. There are no VLAN tags.
pub(super) fn auxiliary(seen: &Seen, cooked: bool) -> (i32, i32, Vec<u8>) {
    let mut data = words(&[STATUS, seen.whole as u32, seen.data.len() as u32]);
    let net = if cooked { 0 } else { HEADER as u16 };
    for half in [0, net, 0, 0] {
        data.extend_from_slice(&half.to_le_bytes());
    }
    (LEVEL, AUXDATA, data)
}
