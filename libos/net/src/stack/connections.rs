//! The connections: by number, by tuple, and by when each must be looked at again.
//!
//! Everything that belongs to a single connection is in one shard, chosen by the hash of its tuple. There is one shard
//! so far, under the stack's lock; with more, each can have a lock and a processor of its own. What connections share
//! (memory, ports, listening sockets, neighbors) is not in here. The hash is computed once for a frame; a connection, a
//! handshake and a tuple in TIME-WAIT keep theirs.

use super::Stack;
use super::conn::{COST, Conn};
use super::interface::InterfaceId;
use super::ports::{Bound, Local};
use super::request::{Request, Requests};
use super::timewait::{self, TimeWait, Verdict};
use super::tuples::{Holder, Tuples};
use crate::frame::{Tcp, Tuple};
use crate::table::{Keyed, Slab, Timers};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use libos_base::memory::room_for;
use libos_base::{Errno, Result};
use libos_tcp::State;

/// Number of shards. The lowest bits of a connection's number are its shard.
pub const SHARDS: usize = 1 << SHARD_BITS;
/// Host builds have several, so that tests notice code that relies on there being one.
const SHARD_BITS: u32 = if cfg!(unibody_kernel) { 0 } else { 2 };

/// What a connection with more than this to send has is no answer that its end may follow at once.
const SHORT: usize = 32 << 10;

/// See the module.
pub struct Connections {
    /// The key of the tuples' hashes.
    key: Keyed,
    shards: [Shard; SHARDS],
    /// One was put on a list of those to poll, or was on it, since the call began.
    touched: bool,
    /// One of them must be polled at once.
    hurries: bool,
}

/// A part of the connections that knows nothing of the others.
struct Shard {
    /// In memory of their own: tables grow by moving.
    conns: Slab<Box<Conn>>,
    tuples: Tuples,
    timers: Timers,
    /// Connections to poll. Each is listed once, and its slot is reserved from the beginning.
    dirty: Vec<u32>,
    requests: Requests,
    time_wait: TimeWait,
}

impl Shard {
    fn new(key: Keyed) -> Self {
        Self {
            conns: Slab::new(),
            tuples: Tuples::new(key),
            timers: Timers::new(),
            dirty: Vec::new(),
            requests: Requests::new(),
            time_wait: TimeWait::new(),
        }
    }
}

/// The shard of the connection with this number, its place there, and back to the number.
fn shard_of(id: u32) -> usize {
    lowest_bits(id.into())
}
fn place(id: u32) -> u32 {
    id >> SHARD_BITS
}
fn number(shard: usize, place: u32) -> u32 {
    place << SHARD_BITS | shard as u32
}
fn lowest_bits(n: u64) -> usize {
    (n - (n >> SHARD_BITS << SHARD_BITS)) as usize
}
/// The shard of the tuples with this hash: the only place that decides it. Not by the lowest bits, nor the highest: the
/// table goes by these.
fn shard_at(hash: u64) -> usize {
    lowest_bits(hash >> 32)
}

impl Connections {
    pub fn new() -> Self {
        let key = Keyed::new();
        Self { key, shards: core::array::from_fn(|_| Shard::new(key)), touched: false, hurries: false }
    }

    /// A tuple's hash. Never inlined: it is long, and there are several callers.
    #[inline(never)]
    pub fn hash(&self, t: &Tuple) -> u64 {
        self.key.hash_one(t)
    }
    /// What a tuple with this hash stands for.
    pub fn holder(&self, t: &Tuple, hash: u64) -> Option<Holder> {
        self.shards[shard_at(hash)].tuples.holder(t, hash)
    }
    /// The connection of a tuple.
    pub fn find(&self, t: &Tuple) -> Option<u32> {
        match self.holder(t, self.hash(t))? {
            Holder::Conn(id) => Some(id),
            _ => None,
        }
    }
    /// The connection with this number.
    pub fn get(&self, id: u32) -> Option<&Conn> {
        self.shards[shard_of(id)].conns.get(place(id)).map(|c| &**c)
    }
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Conn> {
        self.shards[shard_of(id)].conns.get_mut(place(id)).map(|c| &mut **c)
    }
    /// All connections.
    pub fn all(&self) -> impl Iterator<Item = &Conn> {
        (0..self.end()).filter_map(|id| self.get(id))
    }
    /// Number of connections.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|s| s.conns.len()).sum()
    }
    /// Number of connections that still have their tuple.
    pub fn named(&self) -> usize {
        self.all().filter(|c| !c.detached).count()
    }
    /// Every number is below this.
    pub fn end(&self) -> u32 {
        self.shards.iter().map(|s| number(0, s.conns.end())).max().unwrap_or(0)
    }

    /// Makes room in every table for a connection whose tuple has this hash.
    pub fn reserve(&mut self, hash: u64) -> Result<()> {
        let shard = &mut self.shards[shard_at(hash)];
        shard.tuples.reserve()?;
        let n = shard.conns.len() + 1;
        // In addition to what is dirty now: a connection that ends in mid-batch leaves its entry behind.
        shard.dirty.try_reserve(n + 8).map_err(|_| Errno::ENOBUFS)?;
        let place = shard.conns.reserve()?;
        shard.timers.reserve(place)?;
        room_for(size_of::<Conn>())
    }

    /// Adds a connection, for which room was reserved.
    fn insert(&mut self, c: Box<Conn>) -> Result<u32> {
        let (tuple, hash) = (c.tuple, c.hash);
        let at = shard_at(hash);
        let shard = &mut self.shards[at];
        let place = shard.conns.insert(c)?;
        let id = number(at, place);
        shard.tuples.hold(&tuple, hash, Holder::Conn(id));
        Ok(id)
    }

    /// Removes a connection.
    fn remove(&mut self, id: u32) -> Option<Box<Conn>> {
        let shard = &mut self.shards[shard_of(id)];
        shard.timers.clear(place(id));
        shard.conns.remove(place(id))
    }

    /// Puts a connection on the list of those to poll.
    pub fn touch(&mut self, id: u32) {
        let Self { shards, touched, hurries, .. } = self;
        let Shard { conns, dirty, .. } = &mut shards[shard_of(id)];
        let Some(c) = conns.get_mut(place(id)) else { return };
        *touched = true;
        let over = c.tcp().state() == State::Closed;
        *hurries |= over || c.ifc == InterfaceId::Lo || c.tcp().send_queue() > SHORT;
        if !c.dirty {
            c.dirty = true;
            dirty.push(id);
        }
    }
    /// Whether a connection was touched since [`untouch`](Self::untouch).
    pub fn touched(&self) -> bool {
        self.touched
    }
    pub fn untouch(&mut self) {
        self.touched = false;
    }
    /// Whether a connection that does not wait was touched since [`unhurry`](Self::unhurry): one of this host, with much to
    /// send, or at its end.
    pub fn hurries(&self) -> bool {
        self.hurries
    }
    pub fn unhurry(&mut self) {
        self.hurries = false;
    }
    /// Whether any connection needs polling.
    pub fn any_dirty(&self) -> bool {
        self.shards.iter().any(|s| !s.dirty.is_empty())
    }
    /// Number of connections that need polling.
    pub fn dirty_len(&self) -> usize {
        self.shards.iter().map(|s| s.dirty.len()).sum()
    }
    /// The connections to poll in one shard; the list grows while they are polled.
    pub fn dirty(&mut self, shard: usize) -> &mut Vec<u32> {
        &mut self.shards[shard].dirty
    }

    /// Polls a connection at this time at the latest. A later time than before is only noticed when the earlier one
    /// comes: most timers never fire.
    pub fn wake_at(&mut self, id: u32, at: u64, now: u64) {
        let (timers, place) = (&mut self.shards[shard_of(id)].timers, place(id));
        if at == u64::MAX {
            timers.clear(place);
        } else if timers.get(place).is_none_or(|t| at < t || t <= now) {
            timers.set(place, at);
        }
    }
    /// When the first connection is due or the first tuple expires.
    pub fn next_deadline(&self) -> u64 {
        self.shards.iter().fold(u64::MAX, |at, s| {
            let timer = s.timers.first().map_or(u64::MAX, |t| t.0);
            // Only tidying, so no hurry.
            let tidy = s.time_wait.next().map_or(u64::MAX, |t| t.saturating_add(5 * libos_base::time::NS));
            at.min(timer).min(s.requests.next()).min(tidy)
        })
    }
    /// Touches the connections whose time has come, and forgets tuples.
    pub fn run_timers(&mut self, now: u64) {
        for at in 0..SHARDS {
            while let Some((_, place)) = self.shards[at].timers.first().filter(|t| t.0 <= now) {
                self.shards[at].timers.clear(place);
                self.touch(number(at, place));
            }
            let Shard { time_wait, tuples, .. } = &mut self.shards[at];
            time_wait.expire(now, tuples);
        }
    }

    /// Remembers a request, whose answer is due again at this time.
    pub fn ask(&mut self, r: Request, due: u64) -> Result<()> {
        let Shard { requests, tuples, .. } = &mut self.shards[shard_at(r.hash)];
        tuples.reserve()?;
        let place = requests.add(r, due)?;
        tuples.hold(&r.tuple, r.hash, Holder::Request(place));
        Ok(())
    }
    /// Forgets the request in this place, for a tuple with this hash.
    pub fn unask(&mut self, hash: u64, place: u32) -> Option<Request> {
        let Shard { requests, tuples, .. } = &mut self.shards[shard_at(hash)];
        let r = requests.remove(place)?;
        tuples.free(&r.tuple, hash, Holder::Request(place));
        Some(r)
    }
    /// The requests whose tuples have hashes like this one.
    pub fn requests(&mut self, hash: u64) -> &mut Requests {
        &mut self.shards[shard_at(hash)].requests
    }
    /// A request whose answer is due again, and its place.
    pub fn request_due(&self, now: u64) -> Option<(u32, Request)> {
        self.shards.iter().find_map(|s| s.requests.due(now))
    }
    /// The requests in one shard.
    pub fn requests_in(&self, shard: usize) -> &Requests {
        &self.shards[shard].requests
    }
    /// Number of requests.
    pub fn asked(&self) -> usize {
        self.shards.iter().map(|s| s.requests.len()).sum()
    }

    /// Judges a segment for the tuple in this place of TIME-WAIT.
    pub fn waits_in(&mut self, place: u32, t: &Tcp<'_>, now: u64) -> Verdict {
        let Shard { time_wait, tuples, .. } = &mut self.shards[shard_at(t.hash)];
        time_wait.segment(place, &t.segment, now, tuples)
    }
    /// Whether a tuple belongs to a connection or a handshake, or is in TIME-WAIT.
    pub fn taken(&self, t: &Tuple) -> bool {
        self.holder(t, self.hash(t)).is_some()
    }
    /// Whether a tuple with this local port is in TIME-WAIT.
    pub fn port_waits(&self, port: u16) -> bool {
        self.shards.iter().any(|s| s.time_wait.uses(port))
    }
    /// Whether a connection or a tuple in TIME-WAIT keeps a socket away from a port.
    #[cold]
    pub fn conflict(&self, port: u16, new: &Bound) -> bool {
        let connected = self.all().filter(|c| !c.detached).map(|c| (&c.tuple, c.opts.reuse));
        let waiting = self.shards.iter().flat_map(|s| s.time_wait.all());
        connected
            .chain(waiting)
            .any(|(t, reuse)| t.lport == port && new.local.overlaps(Local::One(t.local)) && !new.reuse.agrees(reuse))
    }
    /// Number of tuples in TIME-WAIT.
    pub fn waiting(&self) -> usize {
        self.shards.iter().map(|s| s.time_wait.len()).sum()
    }
}

impl Stack {
    /// Adds a connection, which was charged for, to the tables.
    pub fn add_conn(&mut self, c: Result<Box<Conn>>) -> Result<u32> {
        let added = c.and_then(|c| {
            let port = c.tuple.lport;
            self.ports.connected(port)?;
            self.connections.insert(c).inspect_err(|_| self.ports.disconnected(port))
        });
        added.inspect_err(|_| self.memory.release(COST))
    }

    /// Removes the tuple from the table, and moves it to TIME-WAIT if `time_wait`.
    pub fn detach(&mut self, id: u32, time_wait: bool) {
        let now = self.now;
        let Some(c) = self.connections.get_mut(id) else { return };
        if core::mem::replace(&mut c.detached, true) {
            return;
        }
        let (lport, hash) = (c.tuple.lport, c.hash);
        let (snd, rcv) = c.tcp().next();
        let entry = timewait::Entry::new(c.tuple, hash, (snd, rcv), c.opts.reuse, now);
        let Shard { time_wait: waiting, tuples, .. } = &mut self.connections.shards[shard_at(hash)];
        let most = timewait::most(self.memory.budget()) / SHARDS;
        if !(time_wait && waiting.insert(entry, most, tuples)) {
            tuples.free(&entry.tuple, hash, Holder::Conn(id));
        }
        self.ports.disconnected(lport);
    }

    /// Removes a connection and takes its memory back.
    pub fn remove_conn(&mut self, id: u32) {
        self.detach(id, false);
        let Some(mut c) = self.connections.remove(id) else { return };
        c.tcp_mut().release(&mut self.memory.pool);
        self.memory.release(COST);
    }
    /// A program waits for room in a send buffer. What it has held back for more to come goes out, and on loopback the
    /// peer's acknowledgment, which waits for an answer to go with, comes at once.
    pub fn want_room(&mut self, id: u32) {
        let Some(c) = self.connections.get_mut(id) else { return };
        c.want_room = true;
        let held = c.tcp_mut().push();
        let back = c.tuple.back();
        if c.ifc == InterfaceId::Lo
            && let Some(peer) = self.connections.find(&back)
            && let Some(c) = self.connections.get_mut(peer)
            && c.tcp_mut().hurry()
        {
            self.connections.touch(peer);
        }
        if held {
            self.connections.touch(id);
        }
    }
}
