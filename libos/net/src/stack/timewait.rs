//! TIME-WAIT: a tuple and two sequence numbers, no buffers (RFC 9293 section 3.10.7.4, RFC 6191).

use super::ports::Reuse;
use super::tuples::{Holder, Tuples};
use crate::frame::Tuple;
use crate::table::{PortCounts, Slab};
use alloc::collections::VecDeque;
use libos_tcp::{ACK, FIN, PAUSE, RST, SYN, Segment, Seq};

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

/// A tuple in TIME-WAIT.
#[derive(Clone, Copy)]
pub struct Entry {
    pub tuple: Tuple,
    hash: u64,
    /// Our next sequence number.
    snd: Seq,
    /// The next sequence number we expect.
    rcv: Seq,
    /// What its socket had set.
    reuse: Reuse,
    until: u64,
    /// The time with which it is listed by age.
    listed: u64,
    /// When it was last answered.
    said: u64,
}

impl Entry {
    /// For 60 seconds from now.
    pub fn new(tuple: Tuple, hash: u64, (snd, rcv): (Seq, Seq), reuse: Reuse, now: u64) -> Self {
        let until = now + TIME;
        Self { tuple, hash, snd, rcv, reuse, until, listed: until, said: 0 }
    }
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

/// The tuples in TIME-WAIT.
pub struct TimeWait {
    entries: Slab<Entry>,
    /// Places by age, with the time at which each is looked at: one that was restarted by then is moved to the end. An
    /// entry that is listed with another time came later into this place.
    order: VecDeque<(u64, u32)>,
    /// Number of tuples on each local port, which keep bind() away unless both share it.
    ports: PortCounts,
}

impl TimeWait {
    pub fn new() -> Self {
        Self { entries: Slab::new(), order: VecDeque::new(), ports: PortCounts::default() }
    }

    /// Adds a tuple that a connection holds, as one of `most`. False: memory is short, and it is simply forgotten; the
    /// peer then gets an RST instead of an ACK.
    pub fn insert(&mut self, new: Entry, most: usize, tuples: &mut Tuples) -> bool {
        while self.order.len() >= most {
            if let Some((at, old)) = self.order.pop_front()
                && self.entries.get(old).is_some_and(|e| e.listed == at)
            {
                self.remove(old, tuples);
            }
        }
        let port = new.tuple.lport;
        if self.order.try_reserve(1).is_err() || self.ports.add(port).is_err() {
            return false;
        }
        let Ok(place) = self.entries.insert(new) else {
            self.ports.sub(port);
            return false;
        };
        self.order.push_back((new.listed, place));
        tuples.hold(&new.tuple, new.hash, Holder::Waits(place));
        true
    }

    fn remove(&mut self, place: u32, tuples: &mut Tuples) {
        let Some(e) = self.entries.remove(place) else { return };
        tuples.free(&e.tuple, e.hash, Holder::Waits(place));
        self.ports.sub(e.tuple.lport);
    }

    /// Whether a tuple with this local port is in the table.
    pub fn uses(&self, port: u16) -> bool {
        self.ports.any(port)
    }

    /// All tuples, and with whom they share their local ports.
    pub fn all(&self) -> impl Iterator<Item = (&Tuple, Reuse)> {
        (0..self.entries.end()).filter_map(|place| self.entries.get(place).map(|e| (&e.tuple, e.reuse)))
    }

    /// Judges a segment for the tuple in this place.
    pub fn segment(&mut self, place: u32, s: &Segment<'_>, now: u64, tuples: &mut Tuples) -> Verdict {
        let Some(e) = self.entries.get_mut(place) else { return Verdict::NotMine };
        if e.until <= now {
            self.remove(place, tuples);
            return Verdict::NotMine;
        }
        if s.has(RST) {
            // As on Linux unless net.ipv4.tcp_rfc1337 is set: an RST with the exact number ends it.
            if s.seq == e.rcv {
                self.remove(place, tuples);
            }
            return Verdict::Ignore;
        }
        if s.has(SYN) && !s.has(ACK) && s.seq.after(e.rcv) {
            self.remove(place, tuples);
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

    /// Forgets tuples whose time is up.
    pub fn expire(&mut self, now: u64, tuples: &mut Tuples) {
        while let Some((at, place)) = self.order.pop_front_if(|(at, _)| *at <= now) {
            match self.entries.get_mut(place).filter(|e| e.listed == at) {
                Some(e) if e.until > now => {
                    e.listed = e.until;
                    self.order.push_back((e.until, place));
                }
                Some(_) => self.remove(place, tuples),
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
