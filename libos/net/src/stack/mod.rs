//! The front over smoltcp. A packet finds its connection in a hash map, and only that connection is polled; what
//! else a connection needs comes from a list of dirty ones and a timer heap. Nothing here walks all connections.
//!
//! One blocking lock ([`crate::net::Net`]) is held around every method.

pub mod conn;
mod control;
mod cookie;
mod egress;
mod ending;
mod ingress;
pub mod listen;
mod martian;
pub mod memory;
mod neighbor;
mod patience;
pub mod ports;
mod reply;
pub mod sock;
mod solicit;
pub mod timewait;
pub mod udp;
pub mod udp_send;
mod validate;

use crate::config::Hooks;
use crate::device::NetDevice;
use crate::frame::Tuple;
use crate::phy::{FrameQueue, Link, Nowhere, OneSlot, Report};
use crate::table::{Map, PortCounts, Slab, Timers};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use conn::{Conn, Ifc};
use libos_base::poll::{Events, Pollee};
use libos_base::{Result, random};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::Medium;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

/// What a socket and the stack share: whom to wake.
#[derive(Default)]
pub struct Shared {
    pub pollee: Pollee,
}

/// An interface in the heap, alone in its vector: the one box that can be refused. ENOMEM. Never inlined: it takes
/// kilobytes, which kernel stacks do not have to spare more than once.
#[inline(never)]
pub fn interface(config: Config, dev: &mut OneSlot<'_>, now: Instant) -> Result<Vec<Interface>> {
    let mut room = Vec::new();
    room.try_reserve_exact(1)?;
    room.push(Interface::new(config, dev, now));
    Ok(room)
}

/// For the interfaces that exist from boot on.
#[inline(never)]
fn boxed(made: Result<Vec<Interface>>) -> Box<Interface> {
    Box::new(made.ok().and_then(|mut v| v.pop()).expect("memory at boot"))
}

/// One smoltcp interface and what goes with it.
pub struct Port {
    pub iface: Box<Interface>,
    pub link: Link,
    /// DHCP; ICMP and ARP are answered with it at hand.
    pub control: SocketSet<'static>,
    /// No sockets: for what smoltcp does without any.
    pub empty: SocketSet<'static>,
    /// Loopback: the wire. Ethernet: replies made while the card hands us a frame.
    pub queue: FrameQueue,
}

impl Port {
    fn new(link: Link, addr: HardwareAddress, slaac: bool, now: Instant) -> Self {
        let mut config = Config::new(addr);
        config.random_seed = random::u64();
        config.slaac = slaac;
        let mut dev = OneSlot { link, rx: None, sink: &mut Nowhere, report: Report::default() };
        Self {
            iface: boxed(interface(config, &mut dev, now)),
            link,
            control: SocketSet::new(Vec::new()),
            empty: SocketSet::new(Vec::new()),
            queue: FrameQueue::for_link(&link),
        }
    }
}

/// Counters (`netstat -s`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub rx: u64,
    pub tx: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    /// Frames that did not parse, had a wrong checksum or an impossible address.
    pub bad: u64,
    pub syn_dropped: u64,
    pub accepted: u64,
    pub retransmits: u64,
    pub udp_dropped: u64,
    pub udp_no_port: u64,
}

/// See the module.
pub struct Stack {
    /// Nanoseconds, set by whoever takes the lock.
    pub now: u64,
    pub eth: Option<Port>,
    pub lo: Port,
    /// The card's cable is in.
    pub cable: bool,
    pub conns: Slab<Conn>,
    pub tuples: Map<Tuple, u32>,
    /// Connections on a local port: what makes bind() fail without SO_REUSEADDR.
    pub port_use: PortCounts,
    pub socks: Slab<sock::Sock>,
    pub ports: ports::Ports,
    pub tw: timewait::TimeWait,
    pub timers: Timers,
    pub dirty: Vec<u32>,
    pub dirty_udp: Vec<u32>,
    /// Connections whose next hop is being asked for.
    pub neighbor_wait: Vec<u32>,
    /// The card had no room: frames are waiting.
    pub tx_full: bool,
    /// Loopback frames wait for memory.
    lo_starved: bool,
    /// Whom to wake once the lock is released.
    pub wakes: Vec<(Arc<Shared>, Events)>,
    pub memory: memory::Memory,
    pub control: control::Control,
    pub neighbors: neighbor::Neighbors,
    /// Multicast groups, each with a member.
    pub groups: Vec<(u32, crate::multicast::Group)>,
    pub fragments: crate::reassembly::Reassembly,
    pub hooks: Arc<dyn Hooks>,
    pub stats: Stats,
    pub hash: crate::table::Keyed,
    /// Secret of the initial sequence numbers.
    isn_key: [u64; 2],
    /// When the last SYN cookie ceases to be good.
    cookies_until: u64,
}

/// MTU of the loopback interface: large, but several segments fit a window.
pub const LO_MTU: usize = 16436;

impl Stack {
    /// Loopback only; [`attach`](Self::attach) adds a card.
    pub fn new(hooks: Arc<dyn Hooks>, memory_bytes: usize, now: u64) -> Self {
        let link = Link { medium: Medium::Ip, mtu: LO_MTU, tx_checksum: true, tso4: None };
        let mut lo = Port::new(link, HardwareAddress::Ip, false, instant(now));
        lo.iface.update_ip_addrs(|a| {
            let _ = a.push(IpCidr::new(IpAddress::v4(127, 0, 0, 1), 8));
            let _ = a.push(IpCidr::new(IpAddress::v6(0, 0, 0, 0, 0, 0, 0, 1), 128));
        });
        // All of 127/8 and our own addresses arrive here; the front decides what does.
        lo.iface.set_any_ip(true);
        Self {
            now,
            eth: None,
            lo,
            cable: true,
            conns: Slab::new(),
            tuples: Map::default(),
            port_use: PortCounts::default(),
            socks: Slab::new(),
            ports: ports::Ports::new(),
            tw: timewait::TimeWait::new(),
            timers: Timers::new(),
            dirty: Vec::new(),
            dirty_udp: Vec::new(),
            neighbor_wait: Vec::new(),
            tx_full: false,
            lo_starved: false,
            wakes: Vec::new(),
            memory: memory::Memory::new(memory_bytes),
            control: control::Control::default(),
            neighbors: neighbor::Neighbors::default(),
            groups: Vec::new(),
            fragments: crate::reassembly::Reassembly::new(),
            hooks,
            stats: Stats::default(),
            hash: crate::table::Keyed::new(),
            isn_key: [random::u64(), random::u64()],
            cookies_until: 0,
        }
    }

    /// The card's interface, without addresses.
    pub fn attach(&mut self, dev: &dyn NetDevice) {
        let caps = dev.caps();
        let link = Link { medium: Medium::Ethernet, mtu: dev.mtu(), tx_checksum: caps.tx_checksum, tso4: caps.tso4 };
        let mac = HardwareAddress::Ethernet(EthernetAddress(dev.mac()));
        self.eth = Some(Port::new(link, mac, false, instant(self.now)));
        self.cable = dev.link_up();
    }

    /// The interface of a connection.
    pub fn port(&mut self, ifc: Ifc) -> Option<&mut Port> {
        match ifc {
            Ifc::Lo => Some(&mut self.lo),
            Ifc::Eth => self.eth.as_mut(),
        }
    }

    /// Whether an address is one of ours.
    pub fn is_local(&self, a: &IpAddress) -> bool {
        is_loopback(a) || self.eth.as_ref().is_some_and(|e| e.iface.has_ip_addr(*a))
    }

    /// The connection of a tuple. Never inlined: hashing is long, and several ask.
    #[inline(never)]
    pub fn find(&self, t: &Tuple) -> Option<u32> {
        self.tuples.get(t).copied()
    }

    /// Wakes the watchers of a socket once the lock is released.
    pub fn wake(&mut self, shared: &Arc<Shared>, events: Events) {
        if let Some(last) = self.wakes.last_mut()
            && Arc::ptr_eq(&last.0, shared)
        {
            last.1 |= events;
            return;
        }
        if self.wakes.try_reserve(1).is_ok() {
            self.wakes.push((shared.clone(), events));
        } else {
            shared.pollee.notify(events);
        }
    }

    /// Puts a connection on the list of those to poll.
    pub fn touch(&mut self, id: u32) {
        if let Some(c) = self.conns.get_mut(id)
            && !c.dirty
        {
            c.dirty = true;
            // Room was reserved when the connection was made.
            self.dirty.push(id);
        }
    }
}

/// 127/8 and ::1.
pub fn is_loopback(a: &IpAddress) -> bool {
    match a {
        IpAddress::Ipv4(a) => a.octets()[0] == 127,
        IpAddress::Ipv6(a) => a.is_loopback(),
    }
}

/// smoltcp's clock from ours.
pub fn instant(ns: u64) -> Instant {
    Instant::from_micros((ns / 1000) as i64)
}
