//! Frames out, timers, and what follows when a connection's state has changed.

use super::conn::{Change, Owner};
use super::connections::SHARDS;
use super::interface::InterfaceId;
use super::{Stack, instant};
use crate::device::NetDevice;
use crate::phy::{Card, FrameSink, Nowhere, OneSlot};
use libos_base::time::NS;
use smoltcp::iface::PollResult;
use smoltcp::socket::tcp::State;

/// Frames taken from the card before connections are polled: one batch, one round of wake-ups.
const BATCH: usize = 128;
/// After finding no memory for a loopback frame: when to look again.
const STARVED: u64 = NS / 100;

/// State of sending.
#[derive(Default)]
pub struct Egress {
    /// An interface had no room: frames are waiting.
    pub full: bool,
    /// Loopback frames are waiting for memory.
    lo_starved: bool,
}

impl Stack {
    /// Does everything that can be done now: frames in (if `receive`), timers, frames out, one notification to the
    /// card. Returns when it must be called again ([`u64::MAX`]: when something arrives; at or before `now`: at once).
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
        while let Some((frame, meta)) = self.interfaces.lo.queue.pop() {
            self.ingress(InterfaceId::Lo, &frame, meta.csum_start != 0);
            self.interfaces.lo.queue.recycle(frame);
            n += 1;
            if self.interfaces.lo.queue.is_empty() || n % BATCH == 0 {
                self.send(dev.as_deref_mut());
            }
            if n == 8 * BATCH {
                more = true;
                break;
            }
        }
        if let Some(d) = dev {
            d.flush();
        }
        if more || !self.interfaces.lo.queue.is_empty() || self.connections.any_dirty() && !self.egress.full {
            return self.now;
        }
        let at = self.next_deadline();
        if self.egress.lo_starved { at.min(self.now + STARVED) } else { at }
    }

    /// Whether a call left work for [`pump`](Self::pump).
    pub fn has_work(&self) -> bool {
        self.connections.any_dirty()
            || self.datagrams.dirty() > 0
            || !self.interfaces.lo.queue.is_empty()
            || !self.wakes.is_empty()
    }

    fn next_deadline(&self) -> u64 {
        let at = self.connections.next_deadline();
        at.min(self.control.next_at).min(self.udp_next()).min(self.neighbors.next())
    }

    /// Polls what is dirty.
    pub fn send(&mut self, mut dev: Option<&mut (dyn NetDevice + 'static)>) {
        self.egress.full = false;
        self.drain_replies(dev.as_deref_mut());
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
        self.send_udp(dev.as_deref_mut());
        self.drain_replies(dev);
    }

    /// Sends the replies that smoltcp made during ingress.
    fn drain_replies(&mut self, dev: Option<&mut (dyn NetDevice + 'static)>) {
        let (Some(d), Some(eth)) = (dev, &mut self.interfaces.eth) else { return };
        while !eth.queue.is_empty() && d.tx_ready() {
            let Some((frame, meta)) = eth.queue.pop() else { break };
            d.transmit(frame.len(), &mut |b| {
                b.copy_from_slice(&frame);
                meta
            });
            self.stats.tx += 1;
            self.stats.tx_bytes += frame.len() as u64;
            eth.queue.recycle(frame);
        }
        self.egress.full |= !eth.queue.is_empty();
    }

    /// Sends what a connection has to send, and acts on its new state. Returns whether it found no room.
    pub fn poll_conn(&mut self, id: u32, dev: Option<&mut (dyn NetDevice + 'static)>) -> bool {
        let now = self.now;
        let Some(c) = self.connections.get_mut(id) else { return false };
        let state = c.progress(now);
        if c.detached && state == State::TimeWait {
            // The tuple waits in a table of its own. smoltcp's timer would discard data not read within 10 s.
            self.connections.wake_at(id, u64::MAX, now);
            return false;
        }
        c.drop_if_too_late(now, state);
        let (interface, card);
        let mut nowhere = Nowhere;
        let mut card_sink;
        let sink: &mut dyn FrameSink = match (c.ifc, dev) {
            (InterfaceId::Lo, _) => {
                interface = (&mut self.interfaces.lo.smoltcp, self.interfaces.lo.link);
                &mut self.interfaces.lo.queue
            }
            (InterfaceId::Eth, d) => {
                let Some(eth) = &mut self.interfaces.eth else { return false };
                interface = (&mut eth.smoltcp, eth.link);
                card = d;
                match card {
                    Some(d) => {
                        card_sink = Card(d);
                        &mut card_sink
                    }
                    None => &mut nowhere,
                }
            }
        };
        let (smoltcp, link) = interface;
        let mut dev = OneSlot { link, rx: None, sink, report: c.send.report() };
        loop {
            c.uncork_in_time(now);
            c.finish_when_sent();
            c.decide_nagle();
            let sent = smoltcp.poll_egress(instant(now), &mut dev, c.set());
            let report = dev.report;
            c.note(&report);
            if sent == PollResult::None && !c.finish_when_sent() {
                break;
            }
        }
        let report = dev.report;
        self.stats.tx += u64::from(report.frames);
        if report.resent {
            self.stats.retransmits += 1;
            c.resent();
        }
        let mut poll_at = smoltcp.poll_at(instant(now), c.set());
        if poll_at.is_none() && c.ask_for_window(now) {
            poll_at = Some(instant(now));
        }
        let waits = report.asked.is_some()
            || (c.ifc == InterfaceId::Eth
                && !report.blocked
                && poll_at.is_some_and(|t| t > instant(now))
                && report.frames == 0
                && c.unsent());
        let suspect = (report.resent && c.ifc == InterfaceId::Eth).then_some(c.tuple.remote);
        let ask = waits.then_some((c.tuple.remote, report.asked.is_some()));
        if waits {
            self.neighbors.wait(id);
        }
        let next = poll_at.map_or(u64::MAX, |t| (t.total_micros() as u64).saturating_mul(1000));
        let next = if report.blocked { u64::MAX } else { next.max(now + 1) };
        if let Some(to) = suspect {
            self.neighbor_suspect(&to);
        }
        if let Some((to, asked)) = ask {
            self.neighbor_needed(&to, asked);
        }
        self.settle(id, next);
        report.blocked
    }

    /// After a poll: transitions, wake-ups, the timer.
    fn settle(&mut self, id: u32, next: u64) {
        let now = self.now;
        let Some(c) = self.connections.get_mut(id) else { return };
        let state = c.tcp().state();
        if c.fin_waits(state) {
            // The ACK of the peer's FIN is delayed, or the card has no room: TIME-WAIT begins once it is out.
            if next != u64::MAX {
                self.connections.wake_at(id, next, now);
            }
            return;
        }
        let change = c.change(state);
        let owner = c.owner;
        match (change, owner) {
            (Change::Over, Owner::Half(_) | Owner::Orphan) => {
                // Our RST has been sent by now, or there is none to send.
                self.remove_conn(id);
                return;
            }
            (Change::Over, _) => self.detach(id, false),
            (Change::TimeWait, Owner::Orphan) => {
                self.detach(id, true);
                self.remove_conn(id);
                return;
            }
            (Change::TimeWait, _) => self.detach(id, true),
            (_, Owner::Half(_)) if !matches!(state, State::SynReceived | State::Listen) => self.established(id),
            _ => {}
        }
        let Some(c) = self.connections.get_mut(id) else { return };
        let events = c.news(change, now);
        let at = c.next_timer(next);
        let shared = if events.is_empty() { None } else { c.shared.clone() };
        self.connections.wake_at(id, at, now);
        if let Some(s) = shared {
            self.wakes.add(&s, events);
        }
    }

    /// Handles deadlines that have passed.
    fn run_timers(&mut self, dev: Option<&mut (dyn NetDevice + 'static)>) {
        self.connections.run_timers(self.now);
        self.run_neighbors();
        self.run_control(dev);
    }
}
