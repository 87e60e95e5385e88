//! Frames out, timers, and what follows when a connection's state has changed.

use super::Stack;
use super::conn::{Change, Owner};
use super::connections::SHARDS;
use super::interface::InterfaceId;
use super::transmit::Way;
use crate::device::NetDevice;
use crate::phy::{Card, FrameSink, Nowhere};
use libos_base::time::NS;
use libos_tcp::State;

/// Frames taken from the card before connections are polled: one batch, one round of wake-ups.
const BATCH: usize = 128;
/// After finding no memory for a loopback frame: when to look again.
const STARVED: u64 = NS / 100;

/// State of sending.
#[derive(Default)]
pub struct Egress {
    /// An interface had no room: frames are waiting.
    pub full: bool,
    /// What there is to send waits for more ([`crate::batch`]).
    pub put_off: bool,
    /// Loopback frames are waiting for memory.
    lo_starved: bool,
    /// A deadline that came up between two pumps; 0: none did.
    sooner: u64,
}

impl Egress {
    /// The next pump is due at `at`.
    pub fn hurry(&mut self, at: u64) {
        self.sooner = if self.sooner == 0 { at } else { at.min(self.sooner) };
    }

    /// Takes the earliest deadline that came up since the last pump.
    pub fn take_sooner(&mut self) -> u64 {
        match core::mem::take(&mut self.sooner) {
            0 => u64::MAX,
            at => at,
        }
    }
}

impl Stack {
    /// Does everything that can be done now: frames in (if `receive`), timers, frames out. The caller notifies the card
    /// of what was sent. Returns when it must be called again ([`u64::MAX`]: when something arrives; at or before `now`: at once).
    pub fn pump(&mut self, mut dev: Option<&mut (dyn NetDevice + 'static)>, receive: bool) -> u64 {
        let mut more = false;
        if receive && let Some(d) = dev.as_deref_mut() {
            let mut n = 0;
            while n < BATCH && d.receive(&mut |f, ok| self.ingress(InterfaceId::Eth, f, ok)) {
                n += 1;
            }
            more = n == BATCH;
        }
        self.run_timers(dev.as_deref_mut());
        self.send(dev.as_deref_mut());
        // On loopback, what was sent arrives, is answered, and the answer arrives. Bounded, so that the lock is
        // released now and then.
        let mut n = 0;
        while self.deliver() {
            n += 1;
            if !self.delivers() || n % BATCH == 0 {
                self.send(dev.as_deref_mut());
            }
            if n == 8 * BATCH {
                more = true;
                break;
            }
        }
        if more || self.delivers() || self.connections.any_dirty() && !self.egress.full {
            return self.now;
        }
        let at = self.next_deadline();
        if self.egress.lo_starved { at.min(self.now + STARVED) } else { at }
    }

    /// Whether a call left work for [`pump`](Self::pump).
    pub fn has_work(&self) -> bool {
        self.connections.any_dirty() || self.datagrams.dirty() > 0 || self.delivers()
    }

    /// Whether some of it must not wait: it is for another thread of this host, or much, or frees a tuple.
    pub fn hurries(&self) -> bool {
        self.connections.hurries() || self.datagrams.dirty() > 0 || self.delivers()
    }

    /// Whether something is on the loopback wire.
    fn delivers(&self) -> bool {
        !self.wire.is_empty() || !self.interfaces.lo.queue.is_empty()
    }

    /// Delivers the oldest of it. False: there is nothing.
    fn deliver(&mut self) -> bool {
        if self.deliver_bare() {
            return true;
        }
        let Some(frame) = self.interfaces.lo.queue.pop() else { return false };
        if let Some(tap) = self.lo_tap {
            tap(self, frame.bytes());
        }
        self.ingress(InterfaceId::Lo, frame.bytes(), frame.meta.csum_start != 0);
        self.interfaces.lo.queue.recycle(frame);
        true
    }

    fn next_deadline(&mut self) -> u64 {
        let at = self.connections.next_deadline();
        at.min(self.control.next_at).min(self.udp_next()).min(self.neighbors.next())
    }

    /// Polls what is dirty.
    #[inline]
    pub fn send(&mut self, dev: Option<&mut (dyn NetDevice + 'static)>) {
        let Egress { full, put_off, lo_starved, .. } = &mut self.egress;
        (*full, *put_off, *lo_starved) = (false, false, false);
        self.connections.unhurry();
        if self.connections.any_dirty() || self.datagrams.dirty() > 0 || self.replies_wait() {
            self.send_all(dev);
        }
    }

    fn send_all(&mut self, mut dev: Option<&mut (dyn NetDevice + 'static)>) {
        if self.replies_wait() {
            self.drain_replies(dev.as_deref_mut());
        }
        // Connections waiting for room stay on the list. A full card must not hold up loopback, nor the other way
        // round.
        let (mut card, mut lo) = (self.egress.full, false);
        for shard in 0..SHARDS {
            let (mut i, mut kept) = (0, 0);
            while let Some(&id) = self.connections.dirty(shard).get(i) {
                i += 1;
                let Some(c) = self.connections.get_mut(id) else { continue };
                let full = if c.ifc == InterfaceId::Lo { &mut lo } else { &mut card };
                if core::mem::replace(&mut c.dirty, false) && !*full {
                    *full = self.poll_conn(id, dev.as_deref_mut());
                    if !*full {
                        continue;
                    }
                } else if !*full {
                    continue;
                }
                if let Some(c) = self.connections.get_mut(id) {
                    c.dirty = true;
                    self.connections.dirty(shard)[kept] = id;
                    kept += 1;
                }
            }
            self.connections.dirty(shard).truncate(kept);
        }
        self.egress.full = card || lo;
        self.egress.lo_starved = lo && self.interfaces.lo.queue.is_empty();
        if self.datagrams.dirty() > 0 {
            self.send_udp(dev.as_deref_mut());
        }
        if self.replies_wait() {
            self.drain_replies(dev);
        }
    }

    fn replies_wait(&self) -> bool {
        self.interfaces.eth.as_ref().is_some_and(|eth| !eth.queue.is_empty())
    }

    /// Sends the replies that smoltcp made during ingress.
    fn drain_replies(&mut self, dev: Option<&mut (dyn NetDevice + 'static)>) {
        let (Some(d), Some(eth)) = (dev, &mut self.interfaces.eth) else { return };
        while !eth.queue.is_empty() && d.tx_ready() {
            let Some(frame) = eth.queue.pop() else { break };
            let bytes = frame.bytes();
            d.transmit(bytes.len(), &mut |b| {
                b.copy_from_slice(bytes);
                frame.meta
            });
            self.stats.tx += 1;
            self.stats.tx_bytes += bytes.len() as u64;
            eth.queue.recycle(frame);
        }
        self.egress.full |= !eth.queue.is_empty();
    }

    /// Sends what a connection has to send, and acts on its new state. Returns whether it found no room.
    pub fn poll_conn(&mut self, id: u32, dev: Option<&mut (dyn NetDevice + 'static)>) -> bool {
        let now = self.now;
        let Self { connections, memory, .. } = self;
        let Some(c) = connections.get_mut(id) else { return false };
        if c.detached && c.tcp().state() == State::TimeWait {
            // The tuple waits in a table of its own.
            connections.wake_at(id, u64::MAX, now);
            return false;
        }
        c.on_timer(now, memory);
        if c.ifc == InterfaceId::Lo && c.tcp().send_queue() > 0 {
            self.pass_queued(id);
        }
        let Self { connections, interfaces, neighbors, wire, stats, .. } = self;
        let Some(c) = connections.get_mut(id) else { return false };
        let (mut nowhere, mut card);
        let mut pending = c.tcp().pending(now);
        let mut way = match (c.ifc, dev) {
            _ if !pending => None,
            (InterfaceId::Lo, _) => {
                let bare = interfaces.lo.queue.is_empty().then_some(wire);
                Some(Way { link: &interfaces.lo.link, sink: &mut interfaces.lo.queue, ethernet: None, bare })
            }
            (InterfaceId::Eth, dev) => {
                let hop = neighbors.way(&mut c.route, interfaces, &c.tuple.remote);
                let sink: &mut dyn FrameSink = match dev {
                    Some(d) => {
                        card = Card(d);
                        &mut card
                    }
                    None => {
                        nowhere = Nowhere;
                        &mut nowhere
                    }
                };
                let (Some(eth), Some(me)) = (&interfaces.eth, interfaces.mac()) else { return false };
                hop.map(|hop| Way { link: &eth.link, sink, ethernet: Some((me, hop)), bare: None })
            }
        };
        let (mut blocked, mut waits, mut again) = (false, false, false);
        while pending {
            let Some(way) = &mut way else {
                waits = true;
                break;
            };
            if !way.sink.ready() {
                blocked = true;
                break;
            }
            let most = way.most(c);
            let Some(t) = c.tcp_mut().transmit(now, most) else { break };
            let sent = way.send(c, &t);
            blocked |= sent == 0;
            again |= t.again;
            stats.tx += 1;
            stats.tx_bytes += sent as u64;
            stats.retransmits += u64::from(t.again);
            pending = c.tcp().pending(now);
        }
        let peer = (c.ifc == InterfaceId::Eth && (again || waits)).then_some(c.tuple.remote);
        if waits {
            neighbors.wait(id);
        }
        if let Some(peer) = peer {
            if waits { self.neighbor_needed(&peer, false) } else { self.neighbor_suspect(&peer) }
        }
        let least = match (blocked, waits) {
            (true, _) => u64::MAX,
            // It asks again.
            (_, true) => now + NS,
            _ => now + 1,
        };
        self.settle(id, least, waits);
        blocked
    }

    /// A segment has arrived for a connection: polls it after the batch, if it has something to send, or does now what
    /// follows.
    pub fn follow(&mut self, id: u32) {
        let now = self.now;
        match self.connections.get_mut(id) {
            Some(c) if c.dirty || c.tcp().pending(now) => self.connections.touch(id),
            Some(_) => self.settle(id, now + 1, false),
            None => {}
        }
    }

    /// After a poll: transitions, wake-ups, the timer, which is not due before `least`, or (`exactly`) at that time.
    fn settle(&mut self, id: u32, least: u64, exactly: bool) {
        let now = self.now;
        let Some(mut c) = self.connections.get_mut(id) else { return };
        let state = c.tcp().state();
        if c.fin_waits(state) {
            // There is no room or no way for the ACK of the peer's FIN: TIME-WAIT begins once it is out.
            self.connections.wake_at(id, least, now);
            return;
        }
        let change = c.change(state);
        if matches!(change, Change::Over | Change::TimeWait) {
            let orphan = c.owner == Owner::Orphan;
            self.detach(id, change == Change::TimeWait);
            if orphan {
                // Our RST has been sent by now, or there is none to send.
                self.remove_conn(id);
                return;
            }
            let Some(detached) = self.connections.get_mut(id) else { return };
            c = detached;
        }
        let events = c.news(change);
        let due = c.rest();
        let at = if exactly { least } else { due.max(least) };
        let shared = if events.is_empty() { None } else { c.shared.clone() };
        self.connections.wake_at(id, at, now);
        if let Some(s) = shared {
            self.wakes.add(&s, events);
        }
    }

    /// Whether a connection keeps everything that it could send now for what was announced. It is polled when that
    /// comes, or is late.
    pub fn keeps_back(&mut self, id: u32) -> bool {
        let now = self.now;
        let Some(at) = self.connections.get_mut(id).and_then(|c| c.kept_until(now)) else { return false };
        self.connections.wake_at(id, at, now);
        self.egress.hurry(at);
        true
    }

    /// Handles deadlines that have passed.
    fn run_timers(&mut self, dev: Option<&mut (dyn NetDevice + 'static)>) {
        self.connections.run_timers(self.now);
        self.run_requests();
        self.run_neighbors();
        self.run_control(dev);
    }
}
