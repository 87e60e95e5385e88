//! Links, addresses and routes as NETLINK_ROUTE messages (rtnetlink(7)), and who is notified of changes.
//!
//! Everything that can be reported is a list of records. A dump is all records of a kind; a change is what differs
//! between two lists.

use crate::ifreq::{IfInfo, interfaces};
use crate::net::Net;
use crate::netlink::Member;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use libos_base::abi::af;
use libos_base::sync::{Mutex, Provider, class};
use libos_base::{Errno, Result};
use smoltcp::wire::{IpAddress, IpCidr};

/// Message types: `NEW`; the next number is `DEL`.
pub const RTM_NEWLINK: u16 = 16;
pub const RTM_NEWADDR: u16 = 20;
pub const RTM_NEWROUTE: u16 = 24;

/// RTNLGRP_*.
const LINK: u8 = 1;
const IPV4_IFADDR: u8 = 5;
const IPV6_IFADDR: u8 = 9;
const IPV4_ROUTE: u8 = 7;
const IPV6_ROUTE: u8 = 11;

const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_OPERSTATE: u16 = 16;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;

/// Scopes: everywhere, this link, this host.
const UNIVERSE: u8 = 0;
const ON_LINK: u8 = 253;
const HOST: u8 = 254;

/// One link, address or route.
pub struct Record {
    /// The type of the message that announces it.
    pub kind: u16,
    /// The group that is notified when it changes.
    pub group: u8,
    pub family: u16,
    /// The message without its header.
    pub body: Vec<u8>,
}

impl Record {
    fn attr(&mut self, kind: u16, data: &[u8]) {
        self.body.extend_from_slice(&(4 + data.len() as u16).to_le_bytes());
        self.body.extend_from_slice(&kind.to_le_bytes());
        self.body.extend_from_slice(data);
        self.body.resize(self.body.len().next_multiple_of(4), 0);
    }

    fn address(&mut self, kind: u16, a: &IpAddress) {
        match a {
            IpAddress::Ipv4(a) => self.attr(kind, &a.octets()),
            IpAddress::Ipv6(a) => self.attr(kind, &a.octets()),
        }
    }

    fn name(&mut self, kind: u16, name: &str) {
        let mut b = [0; 17];
        b[..name.len()].copy_from_slice(name.as_bytes());
        self.attr(kind, &b[..name.len() + 1]);
    }
}

fn link(i: &IfInfo) -> Record {
    let lo = i.index == 1;
    // struct ifinfomsg: family, padding, type, index, flags, which of them may change
    let mut r = Record { kind: RTM_NEWLINK, group: LINK, family: 0, body: Vec::new() };
    r.body.extend_from_slice(&[0, 0]);
    r.body.extend_from_slice(&(if lo { 772u16 } else { 1 }).to_le_bytes());
    for v in [i.index, i.flags, u32::MAX] {
        r.body.extend_from_slice(&v.to_le_bytes());
    }
    r.name(IFLA_IFNAME, i.name);
    r.attr(IFLA_MTU, &i.mtu.to_le_bytes());
    r.attr(IFLA_ADDRESS, &i.mac);
    r.attr(IFLA_BROADCAST, &[if lo { 0 } else { 0xff }; 6]);
    // Unknown, down, up (RFC 2863).
    let state = if lo {
        0
    } else if i.flags & crate::ifreq::RUNNING != 0 {
        6
    } else {
        2
    };
    r.attr(IFLA_OPERSTATE, &[state]);
    r
}

fn family(a: &IpAddress) -> u16 {
    if matches!(a, IpAddress::Ipv4(_)) { af::INET } else { af::INET6 }
}

fn addr(i: &IfInfo, c: &IpCidr) -> Record {
    let a = c.address();
    let (family, scope) = match a {
        IpAddress::Ipv4(a) => (af::INET, if a.is_loopback() { HOST } else { UNIVERSE }),
        IpAddress::Ipv6(a) if a.is_loopback() => (af::INET6, HOST),
        IpAddress::Ipv6(a) => (af::INET6, if a.segments()[0] & 0xffc0 == 0xfe80 { ON_LINK } else { UNIVERSE }),
    };
    let group = if family == af::INET { IPV4_IFADDR } else { IPV6_IFADDR };
    let mut r = Record { kind: RTM_NEWADDR, group, family, body: Vec::new() };
    // struct ifaddrmsg; IFA_F_PERMANENT
    r.body.extend_from_slice(&[family as u8, c.prefix_len(), 0x80, scope]);
    r.body.extend_from_slice(&i.index.to_le_bytes());
    r.address(IFA_ADDRESS, &a);
    if let IpCidr::Ipv4(c) = c {
        r.address(IFA_LOCAL, &a);
        if let Some(b) = c.broadcast().filter(|_| i.index != 1) {
            r.attr(IFA_BROADCAST, &b.octets());
        }
        r.name(IFA_LABEL, i.name);
    }
    r
}

/// The route to a subnet of ours, or (`via`) to everywhere else.
fn route(i: &IfInfo, to: &IpCidr, via: bool) -> Record {
    let a = to.address();
    let family = family(&a);
    let group = if family == af::INET { IPV4_ROUTE } else { IPV6_ROUTE };
    let mut r = Record { kind: RTM_NEWROUTE, group, family, body: Vec::new() };
    // struct rtmsg: family, lengths of destination and source, TOS, table main, protocol, scope, type unicast, flags
    let (len, protocol, scope) =
        if via { (0, 3, UNIVERSE) } else { (to.prefix_len(), 2, if family == af::INET { ON_LINK } else { UNIVERSE }) };
    r.body.extend_from_slice(&[family as u8, len, 0, 0, 254, protocol, scope, 1, 0, 0, 0, 0]);
    if via {
        r.address(RTA_GATEWAY, &a);
    } else {
        match to {
            IpCidr::Ipv4(c) => r.attr(RTA_DST, &c.network().address().octets()),
            IpCidr::Ipv6(_) => {
                let mut octets = [0; 16];
                if let IpAddress::Ipv6(a) = a {
                    let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                    octets = (u128::from_be_bytes(a.octets()) & mask).to_be_bytes();
                }
                r.attr(RTA_DST, &octets);
            }
        }
        if family == af::INET {
            r.address(RTA_PREFSRC, &a);
        }
    }
    r.attr(RTA_OIF, &i.index.to_le_bytes());
    r
}

/// All records.
pub fn records(net: &Net) -> Vec<Record> {
    let all = interfaces(net);
    let mut out = Vec::new();
    for i in &all {
        out.push(link(i));
        for c in &i.addrs {
            out.push(addr(i, c));
            // Routes to ourselves are in a table that is not dumped.
            if i.index != 1 {
                out.push(route(i, c, false));
            }
        }
        for g in i.gateways.iter().flatten() {
            out.push(route(i, &IpCidr::new(*g, 0), true));
        }
    }
    out
}

/// The sockets, and the state last reported to them.
pub struct Monitor {
    watch: Mutex<Watch>,
    /// Notifies them, once there is one: an image without netlink sockets does not contain the code.
    tell: Provider<fn(&Net)>,
}

struct Watch {
    members: Vec<Weak<Member>>,
    announced: Vec<Record>,
}

impl Monitor {
    /// No sockets.
    pub const fn new() -> Self {
        Self {
            watch: Mutex::new(class::NET_MONITOR, Watch { members: Vec::new(), announced: Vec::new() }),
            tell: Provider::new(),
        }
    }

    /// Adds a new socket.
    pub fn add(&self, net: &Net, member: &Arc<Member>) -> Result<()> {
        self.tell.provide(&((|net| net.monitor.tell_members(net)) as fn(&Net)));
        let mut w = self.watch.lock();
        w.members.retain(|m| m.strong_count() > 0);
        if w.members.is_empty() {
            w.announced = records(net);
        }
        w.members.try_reserve(1)?;
        w.members.push(Arc::downgrade(member));
        Ok(())
    }

    /// Claims a port ID for a socket: the one asked for, else the process ID, else any. EADDRINUSE.
    pub fn claim(&self, member: &Member, want: u32, pid: u32) -> Result<()> {
        let w = self.watch.lock();
        let used = |p: u32| w.members.iter().filter_map(Weak::upgrade).any(|m| m.portid.load(Relaxed) == p);
        let mut portid = if want != 0 { want } else { pid };
        while used(portid) {
            if want != 0 {
                return Err(Errno::EADDRINUSE);
            }
            // Linux counts down from -4096, where there are no process IDs.
            portid = if portid == pid { u32::MAX - 4095 } else { portid - 1 };
        }
        member.portid.store(portid, Relaxed);
        Ok(())
    }

    /// Something may have changed: notifies the members of the groups.
    pub fn changed(&self, net: &Net) {
        if let Some(tell) = self.tell.get() {
            tell(net);
        }
    }

    fn tell_members(&self, net: &Net) {
        let mut w = self.watch.lock();
        w.members.retain(|m| m.strong_count() > 0);
        if w.members.is_empty() {
            return;
        }
        let now = records(net);
        let old = core::mem::replace(&mut w.announced, now);
        w.announce(&old, &w.announced, 1);
        w.announce(&w.announced, &old, 0);
    }
}

impl Watch {
    /// Tells what is in one list and not in the other. `gone`: added to the type of the message.
    fn announce(&self, list: &[Record], other: &[Record], gone: u16) {
        for r in list {
            // A link that changed is still the same link.
            if other.iter().any(|o| o.kind == r.kind && o.body == r.body) || gone == 1 && r.kind == RTM_NEWLINK {
                continue;
            }
            self.members.iter().filter_map(Weak::upgrade).for_each(|m| m.tell(r.kind + gone, r));
        }
    }
}
