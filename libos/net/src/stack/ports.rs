//! Local ports: who is bound where, conflicts, ephemeral ports.

use super::connections::Connections;
use crate::frame::Tuple;
use crate::table::{Keyed, Map, PortCounts, sip};
use alloc::vec::Vec;
use core::cell::Cell;
use core::hash::BuildHasher;
use libos_base::{Errno, Result, random};
use smoltcp::wire::IpAddress;

/// Protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proto {
    Tcp,
    Udp,
    /// Raw sockets: the "port" is the number of their protocol, which any number of them share.
    Raw,
    /// Ping sockets: it is the identifier of their echo requests.
    Ping,
}

/// The local address a socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// `0.0.0.0`.
    Any4,
    /// `::` with IPV6_V6ONLY.
    Any6,
    /// `::` for both families.
    Any,
    /// One address.
    One(IpAddress),
}

impl Local {
    /// How well it matches a destination; 0: not at all.
    pub fn score(self, dst: &IpAddress) -> u8 {
        match (self, dst) {
            (Local::One(a), d) if a == *d => 3,
            (Local::Any4, IpAddress::Ipv4(_)) | (Local::Any6, IpAddress::Ipv6(_)) => 2,
            (Local::Any, _) => 1,
            _ => 0,
        }
    }
    pub fn overlaps(self, other: Local) -> bool {
        use Local::{Any, Any4, Any6, One};
        match (self, other) {
            (Any, _) | (_, Any) | (Any4, Any4) | (Any6, Any6) => true,
            (One(a), One(b)) => a == b,
            (One(IpAddress::Ipv4(_)), Any4) | (Any4, One(IpAddress::Ipv4(_))) => true,
            (One(IpAddress::Ipv6(_)), Any6) | (Any6, One(IpAddress::Ipv6(_))) => true,
            _ => false,
        }
    }
}

/// With whom a socket shares its port: SO_REUSEADDR, SO_REUSEPORT.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reuse {
    pub addr: bool,
    pub port: bool,
}

impl Reuse {
    /// Whether two that do not listen may have the same port: both have to agree.
    pub fn agrees(self, other: Self) -> bool {
        self.addr && other.addr || self.port && other.port
    }
}

/// One bound socket.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub sock: u32,
    pub local: Local,
    pub reuse: Reuse,
    pub listening: bool,
}

/// The table of bound ports.
pub struct Ports {
    bound: Map<(Proto, u16), Vec<Bound>>,
    /// Connections by local port, which make bind() fail unless both sides share it.
    connections: PortCounts,
    /// Distributes peers among sockets that share a port.
    spread: Keyed,
    /// Ports are drawn by a keyed hash (RFC 6056) of how many were: a random number each time would cost as much as the
    /// rest of a connection's beginning.
    key: [u64; 2],
    drawn: Cell<u64>,
}

/// Linux's net.ipv4.ip_local_port_range.
const EPHEMERAL: core::ops::RangeInclusive<u16> = 32768..=60999;

impl Ports {
    /// No sockets bound.
    pub fn new() -> Self {
        let (key, drawn) = ([random::u64(), random::u64()], Cell::new(0));
        Self { bound: Map::default(), connections: PortCounts::default(), spread: Keyed::new(), key, drawn }
    }

    fn conflicts(&self, proto: Proto, port: u16, new: &Bound) -> bool {
        let Some(list) = self.bound.get(&(proto, port)).filter(|_| proto != Proto::Raw) else { return false };
        list.iter().filter(|b| b.sock != new.sock && b.local.overlaps(new.local)).any(|b| {
            let listening = proto == Proto::Tcp && b.listening;
            !Reuse { addr: b.reuse.addr && !listening, ..b.reuse }.agrees(new.reuse)
        })
    }

    /// Counts a connection with this local port; ENOMEM.
    pub fn connected(&mut self, port: u16) -> Result<()> {
        self.connections.add(port)
    }
    /// A connection no longer has it.
    pub fn disconnected(&mut self, port: u16) {
        self.connections.sub(port);
    }
    /// Whether a connection has this local port.
    pub fn any_connection(&self, port: u16) -> bool {
        self.connections.any(port)
    }

    /// Binds; port 0 means a random one. EADDRINUSE.
    pub fn bind(&mut self, proto: Proto, port: u16, new: Bound, connections: &Connections) -> Result<u16> {
        let busy = |p| proto == Proto::Tcp && (self.connections.any(p) || connections.port_waits(p));
        let port = if port == 0 {
            let mut probe = new;
            // A shared port does not count as free when any port will do.
            probe.reuse = Reuse::default();
            self.pick(|p| !busy(p) && !self.conflicts(proto, p, &probe)).ok_or(Errno::EADDRINUSE)?
        } else if self.conflicts(proto, port, &new) || busy(port) && connections.conflict(port, &new) {
            return Err(Errno::EADDRINUSE);
        } else {
            port
        };
        self.bound.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let list = self.bound.entry((proto, port)).or_default();
        list.try_reserve(1)?;
        list.push(new);
        Ok(port)
    }

    /// A random ephemeral port that `suits`.
    pub fn pick(&self, suits: impl Fn(u16) -> bool) -> Option<u16> {
        let n = u32::from(EPHEMERAL.end() - EPHEMERAL.start()) + 1;
        self.drawn.set(self.drawn.get() + 1);
        let start = (sip(self.key, &self.drawn.get().to_le_bytes()) % u64::from(n)) as u32;
        (0..n).map(|i| EPHEMERAL.start() + ((start + i) % n) as u16).find(|&p| suits(p))
    }

    /// Whether any socket is bound to the port.
    pub fn any(&self, proto: Proto, port: u16) -> bool {
        self.bound.contains_key(&(proto, port))
    }

    /// Makes a bound socket a listening one, if there is no conflict.
    pub fn listen(&mut self, port: u16, sock: u32) -> Result<()> {
        let Some(me) = self.find(Proto::Tcp, port, sock) else { return Err(Errno::EINVAL) };
        let mut new = *me;
        new.listening = true;
        if self.conflicts(Proto::Tcp, port, &new) {
            return Err(Errno::EADDRINUSE);
        }
        if let Some(me) = self.find(Proto::Tcp, port, sock) {
            me.listening = true;
        }
        Ok(())
    }

    /// The entry of a socket.
    pub fn find(&mut self, proto: Proto, port: u16, sock: u32) -> Option<&mut Bound> {
        self.bound.get_mut(&(proto, port))?.iter_mut().find(|b| b.sock == sock)
    }

    /// Sockets bound to the port.
    pub fn on(&self, proto: Proto, port: u16) -> &[Bound] {
        self.bound.get(&(proto, port)).map_or(&[], Vec::as_slice)
    }

    /// Frees the port.
    pub fn release(&mut self, proto: Proto, port: u16, sock: u32) {
        if let Some(list) = self.bound.get_mut(&(proto, port)) {
            list.retain(|b| b.sock != sock);
            if list.is_empty() {
                self.bound.remove(&(proto, port));
            }
        }
    }

    /// Chooses among `n` sockets that match a peer equally well (SO_REUSEPORT): always the same one for a peer.
    pub fn choose(&self, t: &Tuple, n: usize) -> usize {
        if n > 1 { (self.spread.hash_one(t) % n as u64) as usize } else { 0 }
    }

    /// The TCP socket that matches a peer best among those that `suits` accepts.
    pub fn best(&self, t: &Tuple, suits: impl Fn(&Bound) -> bool) -> Option<u32> {
        let list = self.bound.get(&(Proto::Tcp, t.lport))?;
        let score = |b: &Bound| if suits(b) { b.local.score(&t.local) } else { 0 };
        if let [only] = &list[..] {
            return (score(only) > 0).then_some(only.sock);
        }
        let top = list.iter().map(score).max().filter(|&s| s > 0)?;
        let n = list.iter().filter(|b| score(b) == top).count();
        list.iter().filter(|b| score(b) == top).nth(self.choose(t, n)).map(|b| b.sock)
    }
}
