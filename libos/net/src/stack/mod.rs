//! The stack. A packet finds its connection in a hash map, and only that connection is polled; whatever else
//! connections need is driven by a list of dirty ones and a timer heap. Nothing here walks all connections.
//!
//! One blocking lock ([`crate::net::Net`]) is held around every method.

pub mod conn;
pub mod connections;
mod control;
mod cookie;
mod egress;
mod ending;
mod ingress;
pub mod interface;
pub mod listen;
mod local;
mod martian;
pub mod memory;
mod neighbor;
pub mod ports;
pub mod raw;
mod reply;
mod request;
mod sequence;
pub mod sock;
pub mod solicit;
pub mod timewait;
mod transmit;
mod tuples;
pub mod udp;
pub mod udp_send;
mod wakes;

use crate::frame::{Parsed, Udp};
use crate::multicast::Groups;
use crate::reassembly::Reassembly;
use crate::table::Slab;
use alloc::boxed::Box;
use alloc::sync::Arc;
use connections::Connections;
use core::any::Any;
use interface::{InterfaceId, Interfaces};
use libos_base::poll::Pollee;
use smoltcp::time::Instant;

/// Shared between a socket and the stack: whom to wake.
#[derive(Default)]
pub struct Shared {
    pub pollee: Pollee,
}

/// Counters (`netstat -s`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// From the card.
    pub rx: u64,
    pub rx_bytes: u64,
    /// Between sockets of this host: what is sent there is received.
    pub lo: u64,
    pub lo_bytes: u64,
    /// Both.
    pub tx: u64,
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
    /// Nanoseconds, set by the code that takes the lock.
    pub now: u64,
    /// Loopback and the card: addresses, routes, queues.
    pub interfaces: Interfaces,
    /// TCP connections by tuple, their timers, and TIME-WAIT, divided into shards.
    pub connections: Connections,
    /// The objects behind socket descriptors, in memory of their own: tables grow by moving.
    pub sockets: Slab<Box<sock::Sock>>,
    /// Who is bound to which local port.
    pub ports: ports::Ports,
    /// The budget of buffers.
    pub memory: memory::Memory,
    /// DHCP, advertised addresses, name servers.
    pub control: control::Control,
    /// Whom to wake once the lock is released.
    pub wakes: wakes::Wakes,
    /// Segments from one socket of this host to another.
    wire: local::Wire,
    /// Multicast memberships.
    pub groups: Groups,
    /// Whether sending is held up.
    pub egress: egress::Egress,
    /// Datagram sockets with something to send.
    pub datagrams: udp_send::Datagrams,
    /// Ethernet addresses of the neighbors.
    neighbors: neighbor::Neighbors,
    fragments: Reassembly,
    /// Initial sequence numbers and SYN cookies.
    sequence: sequence::Sequence,
    /// Looks at each packet first, for raw sockets. True: the packet is of a protocol that only they know.
    pub raw_tap: Option<fn(&mut Stack, InterfaceId, &Parsed<'_>) -> bool>,
    /// Shows a datagram between two sockets of this host, of which no packet is made, to raw and packet sockets.
    pub udp_seen: Option<fn(&mut Stack, InterfaceId, &Udp<'_>)>,
    /// Packet sockets, and what shows them the packets of the loopback interface.
    pub taps: Option<Arc<dyn Any + Send + Sync>>,
    pub lo_tap: Option<fn(&Stack, &[u8])>,
    pub stats: Stats,
}

impl Stack {
    /// A stack with loopback only.
    pub fn new(memory_bytes: usize, now: u64) -> Self {
        Self {
            now,
            interfaces: Interfaces::new(instant(now)),
            connections: Connections::new(),
            sockets: Slab::new(),
            ports: ports::Ports::new(),
            memory: memory::Memory::new(memory_bytes),
            control: control::Control::default(),
            wakes: wakes::Wakes::default(),
            wire: local::Wire::default(),
            groups: Groups::default(),
            egress: egress::Egress::default(),
            datagrams: udp_send::Datagrams::default(),
            neighbors: neighbor::Neighbors::default(),
            fragments: Reassembly::new(),
            sequence: sequence::Sequence::new(),
            raw_tap: None,
            udp_seen: None,
            taps: None,
            lo_tap: None,
            stats: Stats::default(),
        }
    }

    /// What has passed an interface.
    pub fn counted(&self, ifc: InterfaceId) -> Stats {
        let s = self.stats;
        match ifc {
            InterfaceId::Lo => {
                Stats { rx: s.lo, rx_bytes: s.lo_bytes, tx: s.lo, tx_bytes: s.lo_bytes, ..Stats::default() }
            }
            InterfaceId::Eth => {
                Stats { tx: s.tx.saturating_sub(s.lo), tx_bytes: s.tx_bytes.saturating_sub(s.lo_bytes), ..s }
            }
        }
    }

    /// A call begins.
    pub fn begin(&mut self, now: u64) {
        self.now = now;
        self.connections.untouch();
    }
}

/// smoltcp's clock from ours.
pub fn instant(ns: u64) -> Instant {
    Instant::from_micros((ns / 1000) as i64)
}
