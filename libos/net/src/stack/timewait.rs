//! TIME-WAIT: a tuple and two sequence numbers, no buffers (RFC 9293 section 3.10.7.4, RFC 6191).

use super::ports::Reuse;
use crate::frame::{Tcp, Tuple};
use crate::table::{Map, PortCounts, Slab};
use alloc::collections::VecDeque;
use libos_tcp::{ACK, FIN, PAUSE, RST, SYN, Seq};

/// 60 seconds, as on Linux.
const TIME: u64 = 60 * libos_base::time::NS;
/// What a tuple costs, with its places in the tables.
const COST: usize = 192;
/// Most tuples kept (tcp_max_tw_buckets), if memory suffices; beyond that the oldest is dropped.
const MOST: usize = 8192;

/// Most tuples kept within a budget: they take an eighth of it.
pub fn most(budget: usize) -> usize {
    (budget / 8 / COST).min(MOST)
}

#[derive(Clone, Copy)]
struct Entry {
    /// Our next sequence number.
    snd: Seq,
    /// The next sequence number we expect.
    rcv: Seq,
    /// What its socket had set.
    reuse: Reuse,
    until: u64,
    /// When it was last answered.
    said: u64,
}

/// What to do with a segment for a tuple in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not in the table, or no longer.
    NotMine,
    /// Answer with an ACK of these numbers (sequence, acknowledgment).
    Ack(Seq, Seq),
    /// Say nothing.
    Ignore,
    /// A new connection may take over the tuple.
    Reopen,
}

/// The table of tuples in TIME-WAIT.
pub struct TimeWait {
    /// Where each tuple's entry is: the same kind of map as that of the connections, so that it is linked once.
    places: Map<Tuple, u32>,
    entries: Slab<Entry>,
    /// By age, with the time at which each is looked at: one that was restarted by then is moved to the end.
    order: VecDeque<(u64, Tuple)>,
    /// Number of tuples on each local port, which keep bind() away unless both share it.
    ports: PortCounts,
}

impl TimeWait {
    pub fn new() -> Self {
        Self { places: Map::default(), entries: Slab::new(), order: VecDeque::new(), ports: PortCounts::default() }
    }

    /// Adds a tuple, as one of `most`. If memory is short it is simply forgotten: the peer then gets an RST instead of an
    /// ACK.
    pub fn insert(&mut self, t: Tuple, (snd, rcv): (Seq, Seq), reuse: Reuse, now: u64, most: usize) {
        while self.order.len() >= most {
            if let Some((_, old)) = self.order.pop_front() {
                self.remove(&old);
            }
        }
        if self.places.try_reserve(1).is_err() || self.order.try_reserve(1).is_err() || self.ports.add(t.lport).is_err()
        {
            return;
        }
        let Ok(place) = self.entries.insert(Entry { snd, rcv, reuse, until: now + TIME, said: 0 }) else {
            return self.ports.sub(t.lport);
        };
        match self.places.insert(t, place) {
            Some(old) => {
                self.entries.remove(old);
                self.ports.sub(t.lport);
            }
            None => self.order.push_back((now + TIME, t)),
        }
    }

    fn entry(&self, t: &Tuple) -> Option<&Entry> {
        self.entries.get(*self.places.get(t)?)
    }

    fn remove(&mut self, t: &Tuple) {
        let Some(place) = self.places.remove(t) else { return };
        self.entries.remove(place);
        self.ports.sub(t.lport);
    }

    /// Whether a tuple with this local port is in the table.
    pub fn uses(&self, port: u16) -> bool {
        self.ports.any(port)
    }

    /// All tuples, and with whom they share their local ports.
    pub fn all(&self) -> impl Iterator<Item = (&Tuple, Reuse)> {
        self.order.iter().filter_map(|(_, t)| Some((t, self.entry(t)?.reuse)))
    }

    /// Judges a segment.
    pub fn segment(&mut self, t: &Tcp<'_>, now: u64) -> Verdict {
        let s = &t.segment;
        let place = self.places.get(&t.tuple).copied();
        let Some(e) = place.and_then(|place| self.entries.get_mut(place)) else { return Verdict::NotMine };
        if e.until <= now {
            self.remove(&t.tuple);
            return Verdict::NotMine;
        }
        if s.has(RST) {
            // As on Linux unless net.ipv4.tcp_rfc1337 is set: an RST with the exact number ends it.
            if s.seq == e.rcv {
                self.remove(&t.tuple);
            }
            return Verdict::Ignore;
        }
        if s.has(SYN) && !s.has(ACK) && s.seq.after(e.rcv) {
            self.remove(&t.tuple);
            return Verdict::Reopen;
        }
        if s.has(FIN) {
            e.until = now + TIME;
        } else if !s.has(SYN) && s.data.is_empty() && s.seq == e.rcv {
            return Verdict::Ignore;
        }
        if s.data.is_empty() && !s.has(FIN) {
            // Not something that a peer repeats until it is acknowledged: answered no more often than by a live
            // connection.
            if e.said != 0 && now < e.said + PAUSE {
                return Verdict::Ignore;
            }
            e.said = now;
        }
        Verdict::Ack(e.snd, e.rcv)
    }

    /// Whether the tuple is in the table.
    pub fn contains(&self, t: &Tuple) -> bool {
        self.places.contains_key(t)
    }

    /// Forgets tuples whose time is up.
    pub fn expire(&mut self, now: u64) {
        while let Some((_, t)) = self.order.pop_front_if(|(at, _)| *at <= now) {
            match self.entry(&t).map(|e| e.until) {
                Some(until) if until > now => self.order.push_back((until, t)),
                Some(_) => self.remove(&t),
                None => {}
            }
        }
    }

    /// When to look at the oldest.
    pub fn next(&self) -> Option<u64> {
        Some(self.order.front()?.0)
    }

    /// Number of tuples.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}
