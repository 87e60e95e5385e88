//! The interface ioctls that programs still use (netdevice(7)): two interfaces, `lo` and `eth0`.

use crate::net::Net;
use crate::stack::interface::InterfaceId;
use alloc::vec::Vec;
use libos_base::abi::ioctl::{
    SIOCGIFADDR, SIOCGIFBRDADDR, SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFMETRIC, SIOCGIFMTU,
    SIOCGIFNAME, SIOCGIFNETMASK, SIOCGIFTXQLEN,
};
use libos_base::abi::{IoctlArgument, Out};
use libos_base::{Errno, Result, user};
use smoltcp::wire::{IpAddress, IpCidr, Ipv4Address};

/// IFF_RUNNING and IFF_LOWER_UP: the cable is plugged in.
pub const RUNNING: u32 = 0x40 | 0x10000;
/// IFF_UP, IFF_BROADCAST, IFF_LOOPBACK, IFF_MULTICAST.
const LO_FLAGS: u32 = 0x1 | 0x8 | RUNNING;
const ETH_FLAGS: u32 = 0x1 | 0x2 | 0x1000;

/// What is known about an interface.
pub struct IfInfo {
    pub index: u32,
    pub name: &'static str,
    pub flags: u32,
    pub mtu: u32,
    pub mac: [u8; 6],
    pub addrs: Vec<IpCidr>,
    /// Default routers.
    pub gateways: [Option<IpAddress>; 2],
}

/// The interfaces that exist.
pub fn interfaces(net: &Net) -> Vec<IfInfo> {
    net.with(|st| {
        let mut v = Vec::with_capacity(2);
        v.push(IfInfo {
            index: 1,
            name: "lo",
            flags: LO_FLAGS,
            mtu: crate::stack::interface::LO_MTU as u32,
            mac: [0; 6],
            addrs: st.interfaces.lo.smoltcp.ip_addrs().to_vec(),
            gateways: [None; 2],
        });
        let mtu = st.interfaces.mtu(InterfaceId::Eth) as u32;
        if let Some(e) = &st.interfaces.eth {
            let Some(mac) = e.mac() else { return v };
            let addrs = e.smoltcp.ip_addrs().to_vec();
            let routes = e.smoltcp.routes();
            let gateways = [routes.get_default_ipv4_route(), routes.get_default_ipv6_route()];
            let gateways = gateways.map(|r| r.map(|r| r.via_router));
            let flags = ETH_FLAGS | if st.interfaces.cable { RUNNING } else { 0 };
            v.push(IfInfo { index: 2, name: "eth0", flags, mtu, mac, addrs, gateways });
        }
        v
    })
}

fn sockaddr(octets: [u8; 4]) -> [u8; 16] {
    let mut a = [0; 16];
    a[0] = 2;
    a[4..8].copy_from_slice(&octets);
    a
}

/// A 16-byte field that begins with `b`.
fn begin(b: &[u8]) -> [u8; 16] {
    let mut v = [0; 16];
    v[..b.len()].copy_from_slice(b);
    v
}

fn ipv4(i: &IfInfo) -> Option<smoltcp::wire::Ipv4Cidr> {
    i.addrs.iter().find_map(|c| match c {
        IpCidr::Ipv4(c) => Some(*c),
        IpCidr::Ipv6(_) => None,
    })
}

/// `ioctl` on any internet socket.
pub fn ioctl(net: &Net, cmd: u32, arg: IoctlArgument) -> Result<usize> {
    let all = match cmd {
        SIOCGIFNAME | SIOCGIFCONF | SIOCGIFFLAGS | SIOCGIFADDR | SIOCGIFBRDADDR | SIOCGIFNETMASK | SIOCGIFMETRIC
        | SIOCGIFMTU | SIOCGIFHWADDR | SIOCGIFINDEX | SIOCGIFTXQLEN => interfaces(net),
        _ => return Err(Errno::ENOTTY),
    };
    if cmd == SIOCGIFCONF {
        return conf(&all, IoctlArgument(arg.0));
    }
    let mut req: [u8; 40] = user::read(arg.to())?;
    let index = i32::from_le_bytes([req[16], req[17], req[18], req[19]]);
    let name = req[..16].split(|&b| b == 0).next().unwrap_or(&[]);
    let found = if cmd == SIOCGIFNAME {
        all.iter().find(|i| i.index as i32 == index).ok_or(Errno::ENXIO)?
    } else {
        all.iter().find(|i| i.name.as_bytes() == name).ok_or(Errno::ENODEV)?
    };
    let cidr = ipv4(found).ok_or(Errno::EADDRNOTAVAIL);
    let (at, n, value) = match cmd {
        SIOCGIFNAME => (0, 16, begin(found.name.as_bytes())),
        SIOCGIFADDR | SIOCGIFNETMASK | SIOCGIFBRDADDR => {
            let c = cidr?;
            let a = match cmd {
                SIOCGIFADDR => c.address(),
                SIOCGIFNETMASK => c.netmask(),
                _ => c.broadcast().unwrap_or(Ipv4Address::UNSPECIFIED),
            };
            (16, 16, sockaddr(a.octets()))
        }
        SIOCGIFHWADDR => {
            let mut v = begin(&(if found.index == 1 { 772u16 } else { 1 }).to_le_bytes());
            v[2..8].copy_from_slice(&found.mac);
            (16, 16, v)
        }
        _ => {
            let v = match cmd {
                SIOCGIFFLAGS => found.flags,
                SIOCGIFMETRIC => 0,
                SIOCGIFMTU => found.mtu,
                SIOCGIFTXQLEN => 1000,
                _ => found.index,
            };
            (16, if cmd == SIOCGIFFLAGS { 2 } else { 4 }, begin(&v.to_le_bytes()))
        }
    };
    req[at..at + n].copy_from_slice(&value[..n]);
    user::write(arg.to(), &req)?;
    Ok(0)
}

/// SIOCGIFCONF: the IPv4 addresses.
fn conf(all: &[IfInfo], arg: IoctlArgument) -> Result<usize> {
    let len: i32 = user::read(arg.to())?;
    let buf: usize = user::read(arg.to::<usize>().nth(1))?;
    let with: Vec<_> = all.iter().filter_map(|i| ipv4(i).map(|c| (i, c))).collect();
    let mut at = 0;
    if buf == 0 {
        at = with.len() * 40;
    } else {
        for (i, c) in with {
            if at + 40 > len.max(0) as usize {
                break;
            }
            let mut req = [0u8; 40];
            req[..16].copy_from_slice(&begin(i.name.as_bytes()));
            req[16..32].copy_from_slice(&sockaddr(c.address().octets()));
            user::write(Out::new(buf + at), &req)?;
            at += 40;
        }
    }
    user::write(arg.to(), &(at as i32))?;
    Ok(0)
}
