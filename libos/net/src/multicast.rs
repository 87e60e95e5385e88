//! Multicast (RFC 1112, RFC 3493 section 5.2): which groups a socket is a member of, and which interface it sends
//! through. Membership stays local: no IGMP or MLD reports tell routers and switches about it.

use crate::stack::Stack;
use crate::stack::interface::InterfaceId;
use crate::stack::sock::Kind;
use alloc::vec::Vec;
use libos_base::abi::{ip_option, ipv6_option, sol};
use libos_base::{Errno, Result};
use smoltcp::wire::{IpAddress, Ipv4Address};

const MCAST_JOIN_GROUP: i32 = 42;
const MCAST_LEAVE_GROUP: i32 = 45;

/// Most groups of one socket (net.ipv4.igmp_max_memberships).
const MOST: usize = 20;

/// A group on an interface: its address, with IPv4 mapped into IPv6, and the interface.
type Group = [u8; 17];

fn group(a: &IpAddress, ifc: InterfaceId) -> Group {
    let mut g = [ifc as u8; 17];
    g[..16].copy_from_slice(&match a {
        IpAddress::Ipv4(a) => a.to_ipv6_mapped().octets(),
        IpAddress::Ipv6(a) => a.octets(),
    });
    g
}

/// All memberships: a socket and a group each.
#[derive(Default)]
pub struct Groups(Vec<(u32, Group)>);

impl Groups {
    /// Whether there are no memberships.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this socket is a member of a group.
    pub fn has(&self, sid: u32, a: &IpAddress, ifc: InterfaceId) -> bool {
        self.0.contains(&(sid, group(a, ifc)))
    }

    /// Whether any socket here is a member; all are in the all-hosts group.
    pub fn joined(&self, a: &IpAddress, ifc: InterfaceId) -> bool {
        let all = match a {
            IpAddress::Ipv4(a) => *a == Ipv4Address::new(224, 0, 0, 1),
            IpAddress::Ipv6(a) => matches!(a.segments(), [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1]),
        };
        let g = group(a, ifc);
        all || self.0.iter().any(|m| m.1 == g)
    }

    /// Makes a socket a member.
    fn join(&mut self, sid: u32, a: &IpAddress, ifc: InterfaceId) -> Result<()> {
        if self.has(sid, a, ifc) {
            return Err(Errno::EADDRINUSE);
        }
        if self.0.iter().filter(|m| m.0 == sid).count() == MOST || self.0.try_reserve(1).is_err() {
            return Err(Errno::ENOBUFS);
        }
        self.0.push((sid, group(a, ifc)));
        Ok(())
    }

    /// Ends a membership: on the named interface, or on the first one found.
    fn leave(&mut self, sid: u32, a: &IpAddress, named: Option<Result<InterfaceId>>) -> Result<()> {
        let ifc = named.unwrap_or(Ok(InterfaceId::Lo));
        let g = group(a, ifc.unwrap_or(InterfaceId::Lo));
        let mine =
            |m: &(u32, Group)| m.0 == sid && m.1[..16] == g[..16] && (named.is_none() || ifc.is_ok() && m.1 == g);
        let i = self.0.iter().position(mine).ok_or(Errno::EADDRNOTAVAIL)?;
        self.0.swap_remove(i);
        Ok(())
    }

    /// Ends all memberships of a closed socket.
    pub fn leave_all(&mut self, sid: u32) {
        self.0.retain(|m| m.0 != sid);
    }
}

/// A datagram socket's settings. Its groups are in [`Groups`].
#[derive(Default)]
pub struct Multicast {
    /// IP_MULTICAST_IF and IPV6_MULTICAST_IF: interface indexes; 0: use the route.
    pub via: [u32; 2],
    /// The address given to IP_MULTICAST_IF.
    pub source: [u8; 4],
}

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

/// `setsockopt`. `None`: not a multicast option.
pub fn set(st: &mut Stack, sid: u32, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
    let v6 = level == sol::IPV6;
    if v6 && !st.sockets.get(sid)?.v6 {
        return None;
    }
    st.multicast(sid)?;
    // How long the value must be, and the offsets of the interface and of the group's address in it.
    let (least, index_at, group_at) = match (v6, name) {
        (false, ip_option::MULTICAST_IF) => (4, 8, 0),
        (true, ipv6_option::MULTICAST_IF) => (4, 0, 0),
        (false, ip_option::ADD_MEMBERSHIP | ip_option::DROP_MEMBERSHIP) => (8, 8, 0),
        (true, ipv6_option::ADD_MEMBERSHIP | ipv6_option::DROP_MEMBERSHIP) => (20, 16, 0),
        // struct group_req: the address is in a sockaddr.
        (false, MCAST_JOIN_GROUP | MCAST_LEAVE_GROUP) => (136, 0, 12),
        (true, MCAST_JOIN_GROUP | MCAST_LEAVE_GROUP) => (136, 0, 16),
        _ => return None,
    };
    if value.len() < least {
        return Some(Err(Errno::EINVAL));
    }
    // The missing part of a short value is zero.
    let mut v = [0; 136];
    let given = value.len().min(v.len());
    v[..given].copy_from_slice(&value[..given]);
    let part = |at: usize| [v[at], v[at + 1], v[at + 2], v[at + 3]];
    let index = u32::from_le_bytes(part(index_at));
    let a = if v6 {
        let mut octets = [0; 16];
        octets.copy_from_slice(&v[group_at..group_at + 16]);
        IpAddress::Ipv6(octets.into())
    } else {
        IpAddress::Ipv4(part(group_at).into())
    };
    // struct in_addr is the address; in struct ip_mreq and ip_mreqn it is the second field.
    let addr = match name {
        ip_option::MULTICAST_IF if !v6 => part(if least + 4 <= value.len() { 4 } else { 0 }),
        ip_option::ADD_MEMBERSHIP | ip_option::DROP_MEMBERSHIP if !v6 => part(4),
        _ => [0; 4],
    };
    let none = index == 0 && addr == [0; 4];
    let ifc = st.pick(index, addr, &a);
    Some(match name {
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
            ifc.and_then(|ifc| st.groups.join(sid, &a, ifc))
        }
        ip_option::DROP_MEMBERSHIP | ipv6_option::DROP_MEMBERSHIP | MCAST_LEAVE_GROUP if a.is_multicast() => {
            st.groups.leave(sid, &a, (!none).then_some(ifc))
        }
        ip_option::DROP_MEMBERSHIP if !v6 => Err(Errno::EADDRNOTAVAIL),
        _ => Err(Errno::EINVAL),
    })
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
