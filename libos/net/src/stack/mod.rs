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
pub mod interface;
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

use crate::frame::Tuple;
use crate::table::{Map, PortCounts, Slab, Timers};
use alloc::sync::Arc;
use alloc::vec::Vec;
use conn::Conn;
use interface::Interfaces;
use libos_base::poll::{Events, Pollee};
use libos_base::random;
use smoltcp::time::Instant;

/// What a socket and the stack share: whom to wake.
#[derive(Default)]
pub struct Shared {
    pub pollee: Pollee,
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
    pub interfaces: Interfaces,
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
    pub stats: Stats,
    pub hash: crate::table::Keyed,
    /// Secret of the initial sequence numbers.
    isn_key: [u64; 2],
    /// When the last SYN cookie ceases to be good.
    cookies_until: u64,
}

impl Stack {
    /// With loopback only.
    pub fn new(memory_bytes: usize, now: u64) -> Self {
        Self {
            now,
            interfaces: Interfaces::new(instant(now)),
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
            stats: Stats::default(),
            hash: crate::table::Keyed::new(),
            isn_key: [random::u64(), random::u64()],
            cookies_until: 0,
        }
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

/// smoltcp's clock from ours.
pub fn instant(ns: u64) -> Instant {
    Instant::from_micros((ns / 1000) as i64)
}
