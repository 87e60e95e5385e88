//! The network interfaces: loopback and the card's, their addresses, and which of them leads where.

use crate::device::{Caps, NetDevice};
use crate::phy::{FrameQueue, Link, Nowhere, OneSlot, Report};
use alloc::boxed::Box;
use alloc::vec::Vec;
use libos_base::{Errno, Result, random};
use smoltcp::iface::{self, Config, SocketSet};
use smoltcp::phy::Medium;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

/// Which interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceId {
    Lo,
    Eth,
}

impl InterfaceId {
    /// The index by which programs know it (`if_nametoindex`).
    pub fn index(self) -> u32 {
        self as u32 + 1
    }
}

/// MTU of the loopback interface: large, but several segments still fit a window.
pub const LO_MTU: usize = 16436;

/// All interfaces.
pub struct Interfaces {
    pub lo: Interface,
    pub eth: Option<Interface>,
    /// Whether the card's cable is plugged in.
    pub cable: bool,
}

impl Interfaces {
    /// Loopback only; [`attach`](Self::attach) adds a card.
    pub fn new(now: Instant) -> Self {
        let link = Link { medium: Medium::Ip, mtu: LO_MTU, tx_checksum: true, tso4: None, tso6: None };
        let mut lo = Interface::new(link, HardwareAddress::Ip, false, now);
        lo.smoltcp.update_ip_addrs(|a| {
            let _ = a.push(IpCidr::new(IpAddress::v4(127, 0, 0, 1), 8));
            let _ = a.push(IpCidr::new(IpAddress::v6(0, 0, 0, 0, 0, 0, 0, 1), 128));
        });
        // All of 127/8 and our own addresses arrive here; the front decides which of it does.
        lo.smoltcp.set_any_ip(true);
        Self { lo, eth: None, cable: true }
    }

    /// The card's interface, without addresses.
    pub fn attach(&mut self, dev: &dyn NetDevice, now: Instant) {
        let Caps { tx_checksum, tso4, tso6 } = dev.caps();
        let link = Link { medium: Medium::Ethernet, mtu: dev.mtu(), tx_checksum, tso4, tso6 };
        self.eth = Some(Interface::new(link, HardwareAddress::Ethernet(EthernetAddress(dev.mac())), false, now));
        self.cable = dev.link_up();
    }

    /// The interface with this ID, if it exists.
    pub fn get_mut(&mut self, id: InterfaceId) -> Option<&mut Interface> {
        match id {
            InterfaceId::Lo => Some(&mut self.lo),
            InterfaceId::Eth => self.eth.as_mut(),
        }
    }

    /// The interface with this index; ENODEV.
    pub fn by_index(&self, index: u32) -> Result<InterfaceId> {
        match index {
            1 => Ok(InterfaceId::Lo),
            2 if self.eth.is_some() => Ok(InterfaceId::Eth),
            _ => Err(Errno::ENODEV),
        }
    }

    /// MTU of an interface.
    pub fn mtu(&self, id: InterfaceId) -> usize {
        match (id, &self.eth) {
            (InterfaceId::Eth, Some(e)) => e.link.mtu,
            _ => self.lo.link.mtu,
        }
    }

    /// Whether an address is one of ours.
    pub fn is_local(&self, a: &IpAddress) -> bool {
        is_loopback(a) || self.eth.as_ref().is_some_and(|e| e.has(a))
    }

    /// Whether it is the broadcast address of one of our subnets.
    pub fn is_subnet_broadcast(&self, a: &IpAddress) -> bool {
        self.eth.as_ref().is_some_and(|e| e.is_subnet_broadcast(a))
    }

    /// Interface and source address for a destination. ENETUNREACH.
    pub fn route(&self, to: &IpAddress) -> Result<(InterfaceId, IpAddress)> {
        if is_loopback(to) {
            let from = match to {
                IpAddress::Ipv4(_) => IpAddress::v4(127, 0, 0, 1),
                IpAddress::Ipv6(_) => *to,
            };
            return Ok((InterfaceId::Lo, from));
        }
        let eth = self.eth.as_ref().ok_or(Errno::ENETUNREACH)?;
        if eth.has(to) {
            return Ok((InterfaceId::Lo, *to));
        }
        let have = eth.smoltcp.ip_addrs().iter().any(|c| c.address().version() == to.version());
        let way = eth.next_hop(to).is_some() || to.is_broadcast() || to.is_multicast();
        if !have || !way {
            return Err(Errno::ENETUNREACH);
        }
        let from = eth.smoltcp.get_source_address(to).ok_or(Errno::ENETUNREACH)?;
        Ok((InterfaceId::Eth, from))
    }

    /// The neighbor to which packets for `to` are sent.
    pub fn next_hop(&self, to: &IpAddress) -> Option<IpAddress> {
        self.eth.as_ref()?.next_hop(to)
    }

    /// The card's Ethernet address.
    pub fn mac(&self) -> Option<[u8; 6]> {
        self.eth.as_ref()?.mac()
    }
}

/// One smoltcp interface and what belongs to it.
pub struct Interface {
    pub smoltcp: Box<iface::Interface>,
    pub link: Link,
    /// The socket for DHCP; ICMP and ARP are answered with this set.
    pub control: SocketSet<'static>,
    /// No sockets: for what smoltcp does without any.
    pub empty: SocketSet<'static>,
    /// Loopback: the wire. Ethernet: replies made while the card is passing us a frame.
    pub queue: FrameQueue,
}

impl Interface {
    /// An interface without addresses.
    pub fn new(link: Link, addr: HardwareAddress, slaac: bool, now: Instant) -> Self {
        let mut config = Config::new(addr);
        config.random_seed = random::u64();
        config.slaac = slaac;
        let mut dev = OneSlot { link, rx: None, sink: &mut Nowhere, report: Report::default() };
        Self {
            smoltcp: boxed(in_heap(config, &mut dev, now)),
            link,
            control: SocketSet::new(Vec::new()),
            empty: SocketSet::new(Vec::new()),
            queue: FrameQueue::for_link(&link),
        }
    }

    /// Whether it has the address. Not inlined: there are many callers.
    #[inline(never)]
    pub fn has(&self, a: &IpAddress) -> bool {
        self.smoltcp.ip_addrs().iter().any(|c| match (c, a) {
            (IpCidr::Ipv4(c), IpAddress::Ipv4(a)) => c.address() == *a,
            (IpCidr::Ipv6(c), IpAddress::Ipv6(a)) => c.address() == *a,
            _ => false,
        })
    }

    pub fn mac(&self) -> Option<[u8; 6]> {
        match self.smoltcp.hardware_addr() {
            HardwareAddress::Ethernet(mac) => Some(mac.0),
            HardwareAddress::Ip => None,
        }
    }

    /// Whether an address is on the link, not behind a router.
    pub fn on_link(&self, a: &IpAddress) -> bool {
        self.smoltcp.ip_addrs().iter().any(|c| c.contains_addr(a))
    }

    /// The neighbor to which packets for `to` are sent.
    pub fn next_hop(&self, to: &IpAddress) -> Option<IpAddress> {
        if self.on_link(to) { Some(*to) } else { self.router(to) }
    }

    /// The default router for addresses of this version.
    pub fn router(&self, like: &IpAddress) -> Option<IpAddress> {
        let routes = self.smoltcp.routes();
        let route = match like {
            IpAddress::Ipv4(_) => routes.get_default_ipv4_route(),
            IpAddress::Ipv6(_) => routes.get_default_ipv6_route(),
        };
        route.map(|r| r.via_router)
    }

    /// Whether it is the broadcast address of one of its subnets.
    pub fn is_subnet_broadcast(&self, a: &IpAddress) -> bool {
        let IpAddress::Ipv4(a) = a else { return false };
        self.smoltcp.ip_addrs().iter().any(|c| match c {
            IpCidr::Ipv4(c) => c.broadcast() == Some(*a),
            IpCidr::Ipv6(_) => false,
        })
    }
}

/// smoltcp's interface on the heap, alone in a vector: a box whose allocation can fail. ENOMEM. Never inlined: it takes
/// kilobytes, which kernel stacks can spare only once.
#[inline(never)]
pub fn in_heap(config: Config, dev: &mut OneSlot<'_>, now: Instant) -> Result<Vec<iface::Interface>> {
    let mut room = Vec::new();
    room.try_reserve_exact(1)?;
    room.push(iface::Interface::new(config, dev, now));
    Ok(room)
}

/// For the interfaces that exist from boot on.
#[inline(never)]
fn boxed(made: Result<Vec<iface::Interface>>) -> Box<iface::Interface> {
    Box::new(made.ok().and_then(|mut v| v.pop()).expect("memory at boot"))
}

/// 127/8 and ::1.
pub fn is_loopback(a: &IpAddress) -> bool {
    match a {
        IpAddress::Ipv4(a) => a.octets()[0] == 127,
        IpAddress::Ipv6(a) => a.is_loopback(),
    }
}
