//! Multicast (RFC 1112, RFC 3493 section 5.2): which groups a socket is a member of, whom it listens to there (RFC
//! 3678), and which interface it sends through.
//!
//! What can be set is in `options`, what routers are told in `report`. Both are in images that have the component
//! `multicast` only: [`provide`] is how it comes in.

mod options;
mod report;

use crate::stack::Stack;
use crate::stack::interface::InterfaceId;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::any::Any;
use libos_base::sync::Provider;
use libos_base::{Errno, Result};
use smoltcp::wire::{IpAddress, Ipv4Address, Ipv6Address};

/// Most groups of one socket (net.ipv4.igmp_max_memberships), and most sources of a membership (igmp_max_msf).
const MOST: usize = 20;
const SOURCES: usize = 10;

/// What is there once the component is.
pub struct Calls {
    pub set: Set,
    pub get: fn(&mut Stack, u32, i32, i32) -> Option<u32>,
    /// Whether some socket here is a member that listens to the source, and whether this one is.
    pub joined: fn(&Stack, &IpAddress, InterfaceId, &IpAddress) -> bool,
    pub listens: fn(&Groups, u32, &IpAddress, InterfaceId, &IpAddress) -> Option<bool>,
}

/// `setsockopt`: socket, level, name, value. `None`: not one of these options.
pub type Set = fn(&mut Stack, u32, i32, i32, &[u8]) -> Option<Result<()>>;

/// See [`Calls`].
pub static CALLS: Provider<Calls> = Provider::new();

/// Makes groups something that sockets can join.
pub fn provide() {
    CALLS.provide(&Calls { set: options::set, get: options::get, joined, listens: Groups::listens });
}

/// An address, with IPv4 mapped into IPv6.
type Wide = [u8; 16];

fn wide(a: &IpAddress) -> Wide {
    match a {
        IpAddress::Ipv4(a) => a.to_ipv6_mapped().octets(),
        IpAddress::Ipv6(a) => a.octets(),
    }
}

/// One socket in one group on one interface.
pub struct Member {
    pub sid: u32,
    pub ifc: InterfaceId,
    group: Wide,
    /// Listens to `sources` only, instead of to all but these.
    include: bool,
    sources: Vec<Wide>,
}

impl Member {
    fn hears(&self, from: &Wide) -> bool {
        self.sources.contains(from) == self.include
    }
}

/// All memberships, and what routers know of them.
#[derive(Default)]
pub struct Groups {
    members: Vec<Member>,
    /// From the first membership on; images without the component have no code for it.
    reports: Option<Box<dyn Any + Send>>,
    /// Takes in a packet that may be a query; does what is due, and returns when to come again; looks for changes.
    pub hear: Option<fn(&mut Stack, &[u8])>,
    pub run: Option<fn(&mut Stack) -> u64>,
    changed: Option<fn(&mut Stack)>,
}

impl Groups {
    /// Whether there are no memberships.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// All memberships: interface and group, with IPv4 mapped into IPv6.
    pub fn all(&self) -> impl Iterator<Item = (InterfaceId, Wide)> {
        self.members.iter().map(|m| (m.ifc, m.group))
    }

    /// Whether a socket listens to a source in a group; `None` if it is no member.
    fn listens(&self, sid: u32, group: &IpAddress, ifc: InterfaceId, from: &IpAddress) -> Option<bool> {
        let m = self.members.iter().find(|m| m.sid == sid && m.ifc == ifc && m.group == wide(group))?;
        Some(m.hears(&wide(from)))
    }

    fn find(&mut self, sid: u32, group: &IpAddress, ifc: InterfaceId) -> Option<&mut Member> {
        let group = wide(group);
        self.members.iter_mut().find(|m| m.sid == sid && m.ifc == ifc && m.group == group)
    }

    /// Makes a socket a member.
    fn join(&mut self, sid: u32, group: &IpAddress, ifc: InterfaceId, include: bool) -> Result<()> {
        if self.find(sid, group, ifc).is_some() {
            return Err(Errno::EADDRINUSE);
        }
        if self.members.iter().filter(|m| m.sid == sid).count() == MOST || self.members.try_reserve(1).is_err() {
            return Err(Errno::ENOBUFS);
        }
        self.members.push(Member { sid, ifc, group: wide(group), include, sources: Vec::new() });
        Ok(())
    }

    /// Ends a membership: on the named interface, or on the first one found.
    fn leave(&mut self, sid: u32, group: &IpAddress, named: Option<Result<InterfaceId>>) -> Result<()> {
        let group = wide(group);
        let there = |m: &Member| named.is_none_or(|ifc| ifc == Ok(m.ifc));
        let mine = |m: &Member| m.sid == sid && m.group == group && there(m);
        let i = self.members.iter().position(mine).ok_or(Errno::EADDRNOTAVAIL)?;
        self.members.swap_remove(i);
        Ok(())
    }
}

/// The groups that every host is in (RFC 1112 section 4, RFC 4291 section 2.7.1).
fn everybody(group: &IpAddress) -> bool {
    match group {
        IpAddress::Ipv4(a) => *a == Ipv4Address::new(224, 0, 0, 1),
        IpAddress::Ipv6(a) => matches!(a.segments(), [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1]),
    }
}

/// The group in which neighbors look for an address (RFC 4291 section 2.7.1).
pub fn solicited_node(a: &Ipv6Address) -> Ipv6Address {
    let o = a.octets();
    let word = |a: u8, b: u8| u16::from(a) << 8 | u16::from(b);
    Ipv6Address::new(0xff02, 0, 0, 0, 0, 1, word(0xff, o[13]), word(o[14], o[15]))
}

fn joined(st: &Stack, group: &IpAddress, ifc: InterfaceId, from: &IpAddress) -> bool {
    let (group, from) = (wide(group), wide(from));
    // What stays on this host is no matter of what the card lets in.
    let heard = |m: &Member| ifc == InterfaceId::Lo || m.hears(&from);
    st.groups.members.iter().any(|m| m.ifc == ifc && m.group == group && heard(m))
}

impl Stack {
    /// Whether a group's packets from this source are for this host.
    pub fn in_group(&self, group: &IpAddress, ifc: InterfaceId, from: &IpAddress) -> bool {
        everybody(group) || CALLS.get().is_some_and(|calls| (calls.joined)(self, group, ifc, from))
    }

    /// A socket is closed: ends its memberships.
    pub fn leave_all(&mut self, sid: u32) {
        let before = self.groups.members.len();
        self.groups.members.retain(|m| m.sid != sid);
        if before != self.groups.members.len() {
            self.groups_changed();
        }
    }

    /// Memberships or addresses have changed: routers may have to be told.
    pub fn groups_changed(&mut self) {
        if let Some(changed) = self.groups.changed {
            changed(self);
        }
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
