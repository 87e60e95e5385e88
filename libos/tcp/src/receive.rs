//! The receiving half: what has arrived, how much more is welcome, and when to say so.

use crate::chunk::Pool;
use crate::options::Options;
use crate::ranges::Ranges;
use crate::receive_buffer::ReceiveBuffer;
use crate::{MS, NEVER, Seq};

/// Full segments at the beginning that are acknowledged at once: the sender's window is still small.
const QUICK: u8 = 16;
/// The size of a full segment until a larger one was seen.
const SMALL: u32 = 536;
/// How long a measurement for the size of the buffer takes before a round trip is known.
const ROUND: u64 = 100 * MS;

/// See the module.
pub struct Receiver {
    pub buffer: ReceiveBuffer,
    ranges: Ranges,
    /// The next sequence number expected.
    pub next: Seq,
    /// Sequence numbers of data and FIN that are before it.
    pub received: u64,
    /// The end of the window that the peer was promised.
    edge: Seq,
    scale: u8,
    /// The size of the buffer, and what it may become.
    capacity: u32,
    most: u32,
    /// The peer's FIN.
    fin: Option<Seq>,
    /// What was last acknowledged.
    pub acked: Seq,
    /// An acknowledgment is due: now, or then.
    now: bool,
    delayed: u64,
    pub delay: u64,
    quick: u8,
    /// The largest segment so far.
    segment: u32,
    /// What arrived twice, to be reported (RFC 2883).
    twice: Option<(Seq, Seq)>,
    /// Since when so much was read.
    measured_at: u64,
    read: u32,
}

impl Receiver {
    pub fn new(capacity: u32, most: u32, delay: u64) -> Self {
        Self {
            buffer: ReceiveBuffer::default(),
            ranges: Ranges::default(),
            next: Seq(0),
            received: 0,
            edge: Seq(0),
            scale: scale(most),
            capacity,
            most,
            fin: None,
            acked: Seq(0),
            now: false,
            delayed: NEVER,
            delay,
            quick: QUICK,
            segment: SMALL,
            twice: None,
            measured_at: 0,
            read: 0,
        }
    }

    /// The peer's SYN had this number.
    pub fn begin(&mut self, irs: Seq) {
        (self.next, self.edge, self.acked) = (irs + 1, irs + 1, irs + 1);
    }
    /// The window scale that a SYN announces.
    pub fn scale(&self) -> u8 {
        self.scale
    }
    /// The peer does not scale windows.
    pub fn unscaled(&mut self) {
        self.scale = 0;
        self.most = self.most.min(65535);
        self.capacity = self.capacity.min(65535);
    }
    pub fn capacity(&self) -> u32 {
        self.capacity
    }
    /// SO_RCVBUF: this size from now on.
    pub fn set_capacity(&mut self, n: u32) {
        let most = 65535 << self.scale;
        (self.capacity, self.most) = (n.min(most), n.min(most));
    }
    /// What may still arrive.
    pub fn window(&self) -> u32 {
        if self.edge.after(self.next) { self.edge - self.next } else { 0 }
    }
    pub fn ended(&self) -> bool {
        self.fin.is_some_and(|fin| self.next.after(fin))
    }

    /// Whether a segment overlaps the window (RFC 9293 section 3.4).
    pub fn acceptable(&self, seq: Seq, len: u32) -> bool {
        let window = self.window();
        let inside = |s: Seq| s == self.next || !s.before(self.next) && s.before(self.edge);
        match (len, window) {
            (0, 0) => seq == self.next,
            (0, _) => inside(seq),
            // A full buffer takes no data, but the acknowledgment that comes with it.
            _ => inside(seq) || inside(seq + (len - 1)) || seq.before(self.next) && (seq + len).after(self.next),
        }
    }

    /// Stores data from inside the window, and the FIN behind it. Returns whether that is everything that the peer sends.
    pub fn store(&mut self, pool: &mut Pool, now: u64, mut seq: Seq, mut data: &[u8], fin: bool) -> bool {
        // Nothing follows a FIN, whatever came first.
        if let Some(at) = self.fin {
            let most = if at.after(seq) { (at - seq) as usize } else { 0 };
            data = &data[..most.min(data.len())];
        }
        let end = seq + data.len() as u32;
        let mut whole = self.fin.is_none() && !self.ranges.reach_beyond(end);
        self.segment = self.segment.max(data.len() as u32);
        if seq.before(self.next) {
            let old = (self.next - seq) as usize;
            self.twice = (!data.is_empty()).then_some((seq, self.next.min(end)));
            self.now |= !data.is_empty() || fin;
            data = &data[old.min(data.len())..];
            seq = self.next;
        }
        let room = if self.edge.after(seq) { self.edge - seq } else { 0 };
        if data.len() > room as usize {
            data = &data[..room as usize];
            (whole, self.now) = (false, true);
        }
        if seq == self.next {
            let stored = self.keep(pool, 0, data);
            let all = stored == data.len();
            self.buffer.advance(stored);
            self.advance(stored as u32);
            if !self.ranges.is_empty() {
                let next = self.ranges.join(self.next);
                self.buffer.advance((next - self.next) as usize);
                self.advance(next - self.next);
                self.now = true;
            }
            self.now |= !all;
            whole &= all;
        } else if !data.is_empty() {
            let repeated = (seq, seq + data.len() as u32);
            if self.ranges.contains(repeated.0, repeated.1) {
                self.twice = Some(repeated);
            }
            let stored = self.keep(pool, (seq - self.next) as usize, data);
            whole &= stored == data.len();
            if stored > 0 && !self.ranges.add(seq, seq + stored as u32) {
                whole = false;
            }
            self.now = true;
        }
        if fin {
            self.fin = if whole { Some(end) } else { self.fin };
            self.now |= end != self.next;
        }
        if self.fin == Some(self.next) {
            self.advance(1);
            self.due(now, 0);
            return true;
        }
        if !data.is_empty() {
            self.due(now, data.len() as u32);
        }
        false
    }

    /// The next `n` have arrived.
    fn advance(&mut self, n: u32) {
        self.next += n;
        self.received += u64::from(n);
    }

    /// Copies data into the buffer. Returns how much found memory.
    fn keep(&mut self, pool: &mut Pool, offset: usize, mut data: &[u8]) -> usize {
        self.buffer.store(pool, offset, data.len(), &mut |to| {
            let (now, later) = data.split_at(to.len());
            to.copy_from_slice(now);
            data = later;
            to.len()
        })
    }

    /// How much of what has this number next may be passed by a peer on this host.
    pub fn takes(&self, seq: Seq) -> u32 {
        let free = self.capacity.saturating_sub(self.buffer.ready() as u32);
        if seq == self.next && self.ranges.is_empty() && self.fin.is_none() { free } else { 0 }
    }
    /// It has passed this much, which counts as one segment.
    pub fn passed(&mut self, n: u32) {
        self.segment = self.segment.max(n);
        self.advance(n);
    }

    /// An acknowledgment is due: at once for more than a full segment, and as long as the peer is getting to know the
    /// network; otherwise soon, so that it can go with an answer.
    fn due(&mut self, now: u64, len: u32) {
        if self.next - self.acked > self.segment || self.delay == 0 {
            self.now = true;
        } else if self.quick > 0 && len >= self.segment && len > SMALL {
            self.quick -= 1;
            self.now = true;
        } else {
            self.delayed = self.delayed.min(now + self.delay);
        }
    }

    /// Data that was here before, or that follows a FIN.
    pub fn repeated(&mut self, seq: Seq, len: u32) {
        if len > 0 && seq.before(self.next) {
            self.twice = Some((seq, self.next.min(seq + len)));
        }
        self.now = true;
    }

    /// An acknowledgment is due now.
    pub fn acknowledge(&mut self) {
        self.now = true;
    }
    pub fn ack_due(&self, now: u64) -> bool {
        self.now || self.delayed <= now
    }
    /// Whether one is due at once.
    pub fn ack_now(&self) -> bool {
        self.now
    }
    /// Whether one will be due.
    pub fn ack_waits(&self) -> bool {
        self.now || self.delayed != NEVER
    }
    pub fn delayed_until(&self) -> u64 {
        if self.now { 0 } else { self.delayed }
    }

    /// The acknowledgment goes out: its window field.
    pub fn sending(&mut self, scaled: bool) -> u16 {
        (self.acked, self.now, self.delayed) = (self.next, false, NEVER);
        let free = self.capacity.saturating_sub(self.buffer.ready() as u32);
        let edge = self.next + free;
        // Not for a few bytes (RFC 1122 section 4.2.3.3).
        if edge.after(self.edge) && edge - self.edge >= self.segment.min(self.capacity / 2)
            || self.next.after(self.edge)
        {
            self.edge = edge.max(self.next);
        }
        let scale = if scaled { self.scale } else { 0 };
        let field = u16::try_from(self.window().div_ceil(1 << scale)).unwrap_or(u16::MAX);
        self.edge = self.next + (u32::from(field) << scale);
        field
    }

    /// Whether there is something to report besides the next number.
    pub fn reports(&self) -> bool {
        self.twice.is_some() || !self.ranges.is_empty()
    }
    /// The blocks for an acknowledgment, which are then told.
    pub fn blocks(&mut self) -> Options {
        let mut blocks = [(Seq(0), Seq(0)); 4];
        let mut n = 0;
        if let Some(twice) = self.twice.take() {
            blocks[0] = twice;
            n = 1;
        }
        n += self.ranges.blocks(&mut blocks[n..]);
        Options::sack(&blocks[..n])
    }

    /// Passes what can be read to `take`, piece by piece, until it does not take the whole of one. `round`: a round trip.
    pub fn read(&mut self, pool: &mut Pool, now: u64, round: Option<u64>, take: impl FnMut(&[u8]) -> usize) -> usize {
        let n = self.buffer.read(pool, !self.ranges.is_empty(), take);
        self.read += n as u32;
        let round = round.unwrap_or(ROUND);
        if now >= self.measured_at + round {
            // Half a buffer in a round trip: the window is what limits the peer.
            if now < self.measured_at + 2 * round && self.read >= self.capacity / 2 {
                self.capacity = self.capacity.saturating_mul(2).min(self.most);
            }
            (self.measured_at, self.read) = (now, 0);
        }
        let free = self.capacity.saturating_sub(self.buffer.ready() as u32);
        if free >= 2 * self.window() && free - self.window() >= self.segment.min(self.capacity / 2) {
            self.now |= !self.ended();
        }
        n
    }

    pub fn peek(&self, to: &mut [u8]) -> usize {
        self.buffer.peek(to)
    }

    /// Nobody will read any more.
    pub fn clear(&mut self, pool: &mut Pool) {
        self.buffer.clear(pool);
        self.ranges.clear();
    }
}

/// The window scale with which `n` fits into 16 bits.
pub fn scale(n: u32) -> u8 {
    (0..14).find(|s| n >> s <= 65535).unwrap_or(14)
}
