//! The interface ioctls that programs still use (netdevice(7)): two interfaces, `lo` and `eth0`.

use crate::net::Net;
use crate::stack::conn::Ifc;
use alloc::vec::Vec;
use libos_base::{Errno, Result, user};
use smoltcp::wire::{HardwareAddress, IpCidr};

/// Bytes that can be read (also SIOCINQ).
pub const FIONREAD: u32 = 0x541b;
/// Bytes not yet acknowledged (also SIOCOUTQ).
pub const TIOCOUTQ: u32 = 0x5411;
const SIOCGIFNAME: u32 = 0x8910;
const SIOCGIFCONF: u32 = 0x8912;
const SIOCGIFFLAGS: u32 = 0x8913;
const SIOCGIFADDR: u32 = 0x8915;
const SIOCGIFBRDADDR: u32 = 0x8919;
const SIOCGIFNETMASK: u32 = 0x891b;
const SIOCGIFMETRIC: u32 = 0x891d;
const SIOCGIFMTU: u32 = 0x8921;
const SIOCGIFHWADDR: u32 = 0x8927;
const SIOCGIFINDEX: u32 = 0x8933;
const SIOCGIFTXQLEN: u32 = 0x8942;

/// IFF_UP, IFF_BROADCAST, IFF_LOOPBACK, IFF_RUNNING, IFF_MULTICAST.
const LO_FLAGS: u32 = 0x1 | 0x8 | 0x40;
const ETH_FLAGS: u32 = 0x1 | 0x2 | 0x40 | 0x1000;

/// What can be told about an interface.
pub struct IfInfo {
    pub index: u32,
    pub name: &'static str,
    pub flags: u32,
    pub mtu: u32,
    pub mac: [u8; 6],
    pub addrs: Vec<IpCidr>,
}

/// The interfaces that exist.
pub fn interfaces(net: &Net) -> Vec<IfInfo> {
    net.with(|st| {
        let mut v = Vec::with_capacity(2);
        v.push(IfInfo {
            index: 1,
            name: "lo",
            flags: LO_FLAGS,
            mtu: crate::stack::LO_MTU as u32,
            mac: [0; 6],
            addrs: st.lo.iface.ip_addrs().to_vec(),
        });
        let mtu = st.mtu(Ifc::Eth) as u32;
        if let Some(e) = &st.eth {
            let HardwareAddress::Ethernet(mac) = e.iface.hardware_addr() else { return v };
            let addrs = e.iface.ip_addrs().to_vec();
            v.push(IfInfo { index: 2, name: "eth0", flags: ETH_FLAGS, mtu, mac: mac.0, addrs });
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

fn ipv4(i: &IfInfo) -> Option<smoltcp::wire::Ipv4Cidr> {
    i.addrs.iter().find_map(|c| match c {
        IpCidr::Ipv4(c) => Some(*c),
        IpCidr::Ipv6(_) => None,
    })
}

/// `ioctl` on any internet socket.
pub fn ioctl(net: &Net, cmd: u32, arg: usize) -> Result<usize> {
    let all = match cmd {
        SIOCGIFNAME | SIOCGIFCONF | SIOCGIFFLAGS | SIOCGIFADDR | SIOCGIFBRDADDR | SIOCGIFNETMASK | SIOCGIFMETRIC
        | SIOCGIFMTU | SIOCGIFHWADDR | SIOCGIFINDEX | SIOCGIFTXQLEN => interfaces(net),
        _ => return Err(Errno::ENOTTY),
    };
    if cmd == SIOCGIFCONF {
        return conf(&all, arg);
    }
    let mut req: [u8; 40] = user::read(arg)?;
    let index = i32::from_le_bytes([req[16], req[17], req[18], req[19]]);
    let name = req[..16].split(|&b| b == 0).next().unwrap_or(&[]);
    let found = if cmd == SIOCGIFNAME {
        all.iter().find(|i| i.index as i32 == index).ok_or(Errno::ENXIO)?
    } else {
        all.iter().find(|i| i.name.as_bytes() == name).ok_or(Errno::ENODEV)?
    };
    let cidr = ipv4(found).ok_or(Errno::EADDRNOTAVAIL);
    match cmd {
        SIOCGIFNAME => {
            req[..16].fill(0);
            req[..found.name.len()].copy_from_slice(found.name.as_bytes());
        }
        SIOCGIFFLAGS => req[16..18].copy_from_slice(&(found.flags as u16).to_le_bytes()),
        SIOCGIFADDR => req[16..32].copy_from_slice(&sockaddr(cidr?.address().octets())),
        SIOCGIFNETMASK => req[16..32].copy_from_slice(&sockaddr(cidr?.netmask().octets())),
        SIOCGIFBRDADDR => {
            let b = cidr?.broadcast().map_or([0; 4], |b| b.octets());
            req[16..32].copy_from_slice(&sockaddr(b));
        }
        SIOCGIFMETRIC => req[16..20].fill(0),
        SIOCGIFMTU => req[16..20].copy_from_slice(&found.mtu.to_le_bytes()),
        SIOCGIFHWADDR => {
            let kind: u16 = if found.index == 1 { 772 } else { 1 };
            req[16..32].fill(0);
            req[16..18].copy_from_slice(&kind.to_le_bytes());
            req[18..24].copy_from_slice(&found.mac);
        }
        SIOCGIFTXQLEN => req[16..20].copy_from_slice(&1000u32.to_le_bytes()),
        _ => req[16..20].copy_from_slice(&found.index.to_le_bytes()),
    }
    user::write(arg, &req)?;
    Ok(0)
}

/// SIOCGIFCONF: the IPv4 addresses.
fn conf(all: &[IfInfo], arg: usize) -> Result<usize> {
    let len: i32 = user::read(arg)?;
    let buf: usize = user::read(arg + 8)?;
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
            req[..i.name.len()].copy_from_slice(i.name.as_bytes());
            req[16..32].copy_from_slice(&sockaddr(c.address().octets()));
            user::write(buf + at, &req)?;
            at += 40;
        }
    }
    user::write(arg, &(at as i32))?;
    Ok(0)
}
