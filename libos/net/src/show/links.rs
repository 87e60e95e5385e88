//! Interfaces, addresses, routes, neighbors, groups.

use super::{Open, end_line};
use crate::ifreq::{IfInfo, interfaces};
use crate::net::Net;
use crate::stack::interface::InterfaceId;
use crate::stack::solicit::group;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use smoltcp::wire::{IpAddress, IpCidr, Ipv4Address, Ipv6Address};

fn hex(out: &mut String, b: &[u8]) {
    for b in b {
        let _ = write!(out, "{b:02x}");
    }
}

/// Bytes and packets of each interface.
pub fn dev(net: &Net, _: &Open) -> String {
    let mut out = String::from(
        "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n",
    );
    for i in interfaces(net) {
        let c = net.ask(|st| st.counted(if i.index == 1 { InterfaceId::Lo } else { InterfaceId::Eth }));
        let _ = writeln!(
            out,
            "{:>6}: {:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {:8} {:7} {:4} {:4} {:4} {:5} {:7} {:10}",
            i.name, c.rx_bytes, c.rx, c.bad, 0, 0, 0, 0, 0, c.tx_bytes, c.tx, 0, 0, 0, 0, 0, 0
        );
    }
    out
}

fn ipv4(i: &IfInfo) -> impl Iterator<Item = smoltcp::wire::Ipv4Cidr> {
    i.addrs.iter().filter_map(|c| match c {
        IpCidr::Ipv4(c) => Some(*c),
        IpCidr::Ipv6(_) => None,
    })
}

/// IPv4 routes: the default one, and our subnets.
pub fn route(net: &Net, _: &Open) -> String {
    let mut out = String::from("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
    end_line(&mut out, 0, 127);
    let mut line = |name: &str, to: Ipv4Address, via: Ipv4Address, flags: u32, mask: Ipv4Address| {
        let word = |a: Ipv4Address| u32::from_le_bytes(a.octets());
        let from = out.len();
        let (to, via, mask) = (word(to), word(via), word(mask));
        let _ = write!(out, "{name}\t{to:08X}\t{via:08X}\t{flags:04X}\t0\t0\t0\t{mask:08X}\t0\t0\t0");
        end_line(&mut out, from, 127);
    };
    let none = Ipv4Address::UNSPECIFIED;
    for i in interfaces(net).iter().filter(|i| i.index != 1) {
        // RTF_UP, RTF_GATEWAY
        if let Some(IpAddress::Ipv4(via)) = i.gateways[0] {
            line(i.name, none, via, 3, none);
        }
        for c in ipv4(i) {
            line(i.name, c.network().address(), none, 1, c.netmask());
        }
    }
    out
}

/// Neighbors whose Ethernet addresses are known.
pub fn arp(net: &Net, _: &Open) -> String {
    let mut out = String::from("IP address       HW type     Flags       HW address            Mask     Device\n");
    for (ip, mac) in net.ask(|st| st.known_neighbors()) {
        let IpAddress::Ipv4(ip) = ip else { continue };
        let mut text = String::new();
        let _ = write!(text, "{ip}");
        let _ = write!(out, "{text:<16} 0x{:<10x}0x{:<10x}", 1, 2);
        for (i, b) in mac.iter().enumerate() {
            let _ = write!(out, "{}{b:02x}", if i > 0 { ":" } else { "" });
        }
        out.push_str("     *        eth0\n");
    }
    out
}

fn scope(a: &Ipv6Address) -> u8 {
    match a {
        a if a.is_loopback() => 0x10,
        a if a.segments()[0] & 0xffc0 == 0xfe80 => 0x20,
        _ => 0,
    }
}

/// IPv6 addresses.
pub fn if_inet6(net: &Net, _: &Open) -> String {
    let mut out = String::new();
    for i in interfaces(net) {
        for c in &i.addrs {
            let IpCidr::Ipv6(c) = c else { continue };
            let a = c.address();
            hex(&mut out, &a.octets());
            // IFA_F_PERMANENT
            let _ =
                writeln!(out, " {:02x} {:02x} {:02x} {:02x} {:>8}", i.index, c.prefix_len(), scope(&a), 0x80, i.name);
        }
    }
    out
}

/// IPv6 routes: to ourselves, to our subnets, to the rest of the world.
pub fn ipv6_route(net: &Net, _: &Open) -> String {
    let mut out = String::new();
    let mut line = |to: [u8; 16], len: u8, via: [u8; 16], metric: u32, flags: u32, name: &str| {
        hex(&mut out, &to);
        let _ = write!(out, " {len:02x} {:032x} 00 ", 0);
        hex(&mut out, &via);
        let _ = writeln!(out, " {metric:08x} {:08x} {:08x} {flags:08x} {name:>8}", 1, 0);
    };
    let none = [0; 16];
    for i in interfaces(net) {
        for c in &i.addrs {
            let IpCidr::Ipv6(c) = c else { continue };
            let a = c.address().octets();
            let mask = u128::MAX.checked_shl(128 - u32::from(c.prefix_len())).unwrap_or(0);
            if i.index != 1 {
                line((u128::from_be_bytes(a) & mask).to_be_bytes(), c.prefix_len(), none, 256, 1, i.name);
            }
            // RTF_UP, RTF_LOCAL
            line(a, 128, none, 0, 0x8000_0001, i.name);
        }
        if let Some(IpAddress::Ipv6(via)) = i.gateways[1] {
            // RTF_UP, RTF_GATEWAY, RTF_DEFAULT
            line(none, 0, via.octets(), 1024, 0x10003, i.name);
        }
    }
    out
}

/// The groups on an interface with the number of their users, the newest first, as on Linux.
fn groups(net: &Net, ifc: InterfaceId, v6: bool) -> Vec<(IpAddress, usize)> {
    let mut all: Vec<(IpAddress, usize)> = Vec::new();
    let mut add = |a: IpAddress| match all.iter_mut().find(|g| g.0 == a) {
        Some(g) => g.1 += 1,
        None => all.push((a, 1)),
    };
    let (members, addrs) = net.ask(|st| {
        let of = |i: &crate::stack::interface::Interface| i.smoltcp.ip_addrs().to_vec();
        let addrs = match ifc {
            InterfaceId::Lo => of(&st.interfaces.lo),
            InterfaceId::Eth => st.interfaces.eth.as_ref().map(of).unwrap_or_default(),
        };
        (st.groups.all().collect::<Vec<_>>(), addrs)
    });
    if v6 {
        add(IpAddress::v6(0xff01, 0, 0, 0, 0, 0, 0, 1));
        add(IpAddress::v6(0xff02, 0, 0, 0, 0, 0, 0, 1));
        for c in addrs {
            // Nobody looks for neighbors on loopback.
            if let IpCidr::Ipv6(c) = c
                && ifc == InterfaceId::Eth
            {
                add(IpAddress::Ipv6(crate::multicast::solicited_node(&c.address())));
            }
        }
    } else {
        add(IpAddress::v4(224, 0, 0, 1));
    }
    for (on, group) in members {
        let a = Ipv6Address::from(group);
        let a = a.to_ipv4_mapped().map_or(IpAddress::Ipv6(a), IpAddress::Ipv4);
        if on == ifc && matches!(a, IpAddress::Ipv6(_)) == v6 {
            add(a);
        }
    }
    all.reverse();
    all
}

fn id(i: &IfInfo) -> InterfaceId {
    if i.index == 1 { InterfaceId::Lo } else { InterfaceId::Eth }
}

/// IPv4 groups.
pub fn igmp(net: &Net, _: &Open) -> String {
    let mut out = String::from("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n");
    for i in interfaces(net) {
        let all = groups(net, id(&i), false);
        let _ = writeln!(out, "{}\t{:<10}: {:5} {:>7}", i.index, i.name, all.len(), "V3");
        for (a, users) in all {
            let IpAddress::Ipv4(a) = a else { continue };
            let word = u32::from_le_bytes(a.octets());
            let _ = writeln!(out, "\t\t\t\t{word:08X} {users:5} 0:00000000\t\t0");
        }
    }
    out
}

/// IPv6 groups.
pub fn igmp6(net: &Net, _: &Open) -> String {
    let mut out = String::new();
    for i in interfaces(net) {
        for (a, users) in groups(net, id(&i), true) {
            let IpAddress::Ipv6(a) = a else { continue };
            let _ = write!(out, "{:<4} {:<15} ", i.index, i.name);
            hex(&mut out, &a.octets());
            let _ = writeln!(out, " {users:5} {:08X} 0", 4);
        }
    }
    out
}

/// Ethernet addresses that the card takes for these groups.
pub fn dev_mcast(net: &Net, _: &Open) -> String {
    let mut out = String::new();
    for i in interfaces(net).iter().filter(|i| i.index != 1) {
        let mut all: Vec<[u8; 6]> = Vec::new();
        for v6 in [false, true] {
            for (a, _) in groups(net, InterfaceId::Eth, v6).iter().rev() {
                let mac = group(a);
                if !all.contains(&mac) && *a != IpAddress::v6(0xff01, 0, 0, 0, 0, 0, 0, 1) {
                    all.push(mac);
                }
            }
        }
        for mac in all {
            let _ = write!(out, "{:<4} {:<15} {:<5} {:<5} ", i.index, i.name, 1, 0);
            hex(&mut out, &mac);
            out.push('\n');
        }
    }
    out
}
