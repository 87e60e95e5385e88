//! Options that join and leave groups, choose sources, and say where multicasts are sent.

use super::{Multicast, SOURCES, Wide, report, wide};
use crate::stack::Stack;
use crate::stack::interface::InterfaceId;
use crate::stack::sock::Kind;
use libos_base::abi::{ip_option, ipv6_option, sol};
use libos_base::{Errno, Result};
use smoltcp::wire::IpAddress;

const MCAST_JOIN_GROUP: i32 = 42;
const MCAST_BLOCK_SOURCE: i32 = 43;
const MCAST_UNBLOCK_SOURCE: i32 = 44;
const MCAST_LEAVE_GROUP: i32 = 45;
const MCAST_JOIN_SOURCE_GROUP: i32 = 46;
const MCAST_LEAVE_SOURCE_GROUP: i32 = 47;

impl Stack {
    /// The interface given by an index, else by an address, else by the route to the group.
    fn pick(&self, index: u32, addr: [u8; 4], group: &IpAddress) -> Result<InterfaceId> {
        let addr = IpAddress::Ipv4(addr.into());
        if index != 0 {
            self.interfaces.by_index(index)
        } else if addr.is_unspecified() {
            self.interfaces.route(group).map(|r| r.0).map_err(|_| Errno::ENODEV)
        } else if self.interfaces.is_local(&addr) {
            Ok(if crate::stack::interface::is_loopback(&addr) { InterfaceId::Lo } else { InterfaceId::Eth })
        } else {
            Err(Errno::ENODEV)
        }
    }

    fn multicast(&mut self, sid: u32) -> Option<&mut Multicast> {
        match &mut self.sockets.get_mut(sid)?.kind {
            Kind::Udp(u) => Some(&mut u.multicast),
            _ => None,
        }
    }
}

/// What an option does to a source.
enum Change {
    /// Listens to it, too, and to nobody else (true), or no longer listens to it.
    Include(bool),
    /// No longer listens to it (true), or listens to it again.
    Exclude(bool),
}

/// `setsockopt`. `None`: not a multicast option.
pub fn set(st: &mut Stack, sid: u32, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
    let v6 = level == sol::IPV6;
    if v6 && !st.sockets.get(sid)?.v6 {
        return None;
    }
    st.multicast(sid)?;
    // How long the value must be, and the offsets of the interface's index, the group and the source in it.
    let (least, index_at, group_at, source_at) = match (v6, name) {
        (false, ip_option::MULTICAST_IF) => (4, 8, 0, 0),
        (true, ipv6_option::MULTICAST_IF) => (4, 0, 0, 0),
        (false, ip_option::ADD_MEMBERSHIP | ip_option::DROP_MEMBERSHIP) => (8, 8, 0, 0),
        (true, ipv6_option::ADD_MEMBERSHIP | ipv6_option::DROP_MEMBERSHIP) => (20, 16, 0, 0),
        // struct ip_mreq_source has no index.
        (false, ip_option::UNBLOCK_SOURCE..=ip_option::DROP_SOURCE_MEMBERSHIP) => (12, 252, 0, 8),
        // struct group_req and group_source_req: addresses are in a sockaddr; what comes after a source's is left out.
        (false, MCAST_JOIN_GROUP | MCAST_LEAVE_GROUP) => (136, 0, 12, 0),
        (true, MCAST_JOIN_GROUP | MCAST_LEAVE_GROUP) => (136, 0, 16, 0),
        (false, MCAST_BLOCK_SOURCE..=MCAST_LEAVE_SOURCE_GROUP) => (256, 0, 12, 140),
        (true, MCAST_BLOCK_SOURCE..=MCAST_LEAVE_SOURCE_GROUP) => (256, 0, 16, 144),
        _ => return None,
    };
    if value.len() < least {
        return Some(Err(Errno::EINVAL));
    }
    // The missing part of a short value is zero.
    let mut v = [0; 256];
    let given = value.len().min(v.len());
    v[..given].copy_from_slice(&value[..given]);
    let part = |at: usize| [v[at], v[at + 1], v[at + 2], v[at + 3]];
    let index = if index_at == 252 { 0 } else { u32::from_le_bytes(part(index_at)) };
    let address = |at: usize| {
        if v6 {
            let mut octets = [0; 16];
            octets.copy_from_slice(&v[at..at + 16]);
            IpAddress::Ipv6(octets.into())
        } else {
            IpAddress::Ipv4(part(at).into())
        }
    };
    let a = address(group_at);
    // struct in_addr is the address; in struct ip_mreq, ip_mreqn and ip_mreq_source it is the second field.
    let addr = match name {
        ip_option::MULTICAST_IF if !v6 => part(if least + 4 <= value.len() { 4 } else { 0 }),
        ip_option::ADD_MEMBERSHIP..=ip_option::DROP_SOURCE_MEMBERSHIP if !v6 => part(4),
        _ => [0; 4],
    };
    let none = index == 0 && addr == [0; 4];
    let ifc = st.pick(index, addr, &a);
    let change = match name {
        ip_option::ADD_SOURCE_MEMBERSHIP if !v6 => Some(Change::Include(true)),
        ip_option::DROP_SOURCE_MEMBERSHIP if !v6 => Some(Change::Include(false)),
        ip_option::BLOCK_SOURCE if !v6 => Some(Change::Exclude(true)),
        ip_option::UNBLOCK_SOURCE if !v6 => Some(Change::Exclude(false)),
        MCAST_JOIN_SOURCE_GROUP => Some(Change::Include(true)),
        MCAST_LEAVE_SOURCE_GROUP => Some(Change::Include(false)),
        MCAST_BLOCK_SOURCE => Some(Change::Exclude(true)),
        MCAST_UNBLOCK_SOURCE => Some(Change::Exclude(false)),
        _ => None,
    };
    if let Some(change) = change {
        let r = match ifc {
            _ if !a.is_multicast() => Err(Errno::EINVAL),
            Ok(ifc) => source(st, sid, &a, ifc, wide(&address(source_at)), &change),
            Err(e) => Err(e),
        };
        report::begin(st);
        return Some(r);
    }
    let r = match name {
        ip_option::MULTICAST_IF | ipv6_option::MULTICAST_IF => match ifc {
            Err(_) if !none => Err(if v6 { Errno::ENODEV } else { Errno::EADDRNOTAVAIL }),
            ifc => {
                let m = st.multicast(sid)?;
                m.via[usize::from(v6)] = if none { 0 } else { ifc.map_or(0, InterfaceId::index) };
                if !v6 {
                    m.source = addr;
                }
                Ok(())
            }
        },
        ip_option::ADD_MEMBERSHIP | ipv6_option::ADD_MEMBERSHIP | MCAST_JOIN_GROUP if a.is_multicast() => {
            ifc.and_then(|ifc| st.groups.join(sid, &a, ifc, false))
        }
        ip_option::DROP_MEMBERSHIP | ipv6_option::DROP_MEMBERSHIP | MCAST_LEAVE_GROUP if a.is_multicast() => {
            st.groups.leave(sid, &a, (!none).then_some(ifc))
        }
        ip_option::DROP_MEMBERSHIP if !v6 => Err(Errno::EADDRNOTAVAIL),
        _ => Err(Errno::EINVAL),
    };
    report::begin(st);
    Some(r)
}

/// Changes the sources of a membership, in Linux's order of errors (ip_mc_source()).
fn source(st: &mut Stack, sid: u32, group: &IpAddress, ifc: InterfaceId, from: Wide, change: &Change) -> Result<()> {
    let (include, add) = match *change {
        Change::Include(add) => (true, add),
        Change::Exclude(add) => (false, add),
    };
    // The first source makes the socket a member.
    if include
        && add
        && let Err(e) = st.groups.join(sid, group, ifc, true)
        && e != Errno::EADDRINUSE
    {
        return Err(e);
    }
    let m = st.groups.find(sid, group, ifc).ok_or(Errno::EINVAL)?;
    if m.include != include {
        if !m.sources.is_empty() {
            return Err(Errno::EINVAL);
        }
        m.include = include;
    }
    let known = m.sources.iter().position(|s| *s == from);
    if !add {
        m.sources.swap_remove(known.ok_or(Errno::EADDRNOTAVAIL)?);
        // Nobody is left to listen to.
        if m.sources.is_empty() && include {
            st.groups.leave(sid, group, Some(Ok(ifc)))?;
        }
        return Ok(());
    }
    if m.sources.len() >= SOURCES {
        return Err(Errno::ENOBUFS);
    }
    if known.is_some() {
        return Err(Errno::EADDRNOTAVAIL);
    }
    libos_base::memory::push(&mut m.sources, from).map_err(|_| Errno::ENOBUFS)
}

/// `getsockopt`. `None`: not a multicast option.
pub fn get(st: &mut Stack, sid: u32, level: i32, name: i32) -> Option<u32> {
    let v6 = st.sockets.get(sid)?.v6;
    let m = st.multicast(sid)?;
    match (level, name) {
        (sol::IP, ip_option::MULTICAST_IF) => Some(u32::from_le_bytes(m.source)),
        (sol::IPV6, ipv6_option::MULTICAST_IF) if v6 => Some(m.via[1]),
        _ => None,
    }
}
