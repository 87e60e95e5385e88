//! Data between two ends on one host. Bytes go straight from the writer's memory, or from what it has queued, to where the
//! reader finds them, and count as sent, received and acknowledged at once: nothing can be lost on the way, so nothing
//! has to be kept for another time.
//!
//! Sequence numbers and windows move as segments and acknowledgments would move them, so either end can go on with
//! segments at any time: for a FIN, a reset, or data that has to wait.

use crate::Seq;
use crate::chunk::Pool;
use crate::connection::{Connection, State};
use crate::send_buffer::SendBuffer;

/// What an acknowledgment says: its own number, what is expected next, the window field.
pub type Position = (Seq, Seq, u16);

impl Connection {
    /// The number of the next byte, if that may be passed since everything before it was acknowledged, and how much of
    /// what is queued goes with it: if that waits for more, what fills segments, as if it were sent.
    pub fn passes(&self, now: u64) -> Option<(Seq, usize)> {
        let s = &self.send;
        let sends = matches!(self.state, State::Established | State::CloseWait | State::FinWait1 | State::LastAck);
        let queued = if s.waits(now) { s.unsent() / s.mss * s.mss } else { s.unsent() };
        (sends && s.next == s.una && !s.fin_sent).then_some((s.next, queued as usize))
    }

    /// How many bytes from this number on may be passed to this end.
    pub fn takes(&self, seq: Seq) -> usize {
        match self.state {
            State::Established | State::FinWait1 | State::FinWait2 => self.receive.takes(seq) as usize,
            _ => 0,
        }
    }

    /// Takes up to `most` bytes: `fill` writes into the piece it is given and returns how many bytes it wrote; if not
    /// all, that was the last piece.
    pub fn take(&mut self, pool: &mut Pool, now: u64, most: usize, fill: &mut dyn FnMut(&mut [u8]) -> usize) -> usize {
        let n = self.receive.buffer.store(pool, 0, most, fill);
        self.receive.buffer.advance(n);
        if self.receive.buffer.ready() == 0 {
            self.receive.buffer.clear(pool);
        }
        self.taken(now, n)
    }

    /// Takes up to `most` bytes of what the peer has [lent](Self::lend).
    pub fn take_queued(&mut self, pool: &mut Pool, now: u64, most: usize, from: &mut SendBuffer) -> usize {
        let n = self.receive.buffer.take_over(from, most, pool);
        self.taken(now, n)
    }

    fn taken(&mut self, now: u64, n: usize) -> usize {
        if n > 0 {
            self.heard(now);
            self.receive.passed(n as u32);
        }
        n
    }

    /// What is queued, for the peer to take from the front. The rest is to be given back.
    pub fn lend(&mut self) -> SendBuffer {
        core::mem::take(&mut self.send.buffer)
    }
    pub fn give_back(&mut self, rest: SendBuffer) {
        if rest.len() > 0 {
            self.send.buffer = rest;
        }
    }

    /// `n` bytes were passed, and the peer is in this position now.
    pub fn passed(&mut self, now: u64, n: usize, peer: Position) {
        self.heard(now);
        self.timers.progressed(now);
        self.acknowledged += n as u64;
        let s = &mut self.send;
        s.next += n as u32;
        s.una = s.next;
        s.sent_at = now;
        if s.unsent() == 0 {
            s.all_sent();
        }
        self.told(peer);
    }

    /// The peer's position, if nothing is on its way to it: without a segment. Returns whether that is so.
    pub fn told(&mut self, (seq, ack, window): Position) -> bool {
        let same = ack == self.send.next && self.send.next == self.send.una;
        if same {
            let scale = if self.scaled { self.send.scale } else { 0 };
            if self.send.take_window(seq, ack, window, scale) {
                self.timers.opened();
            }
        }
        same
    }

    /// What is written from now on lies in its chunks as it will lie in the peer's.
    pub fn lie_as(&mut self, peer_place: usize) {
        self.send.buffer.begin(peer_place);
    }
    /// Where in a chunk the next byte would lie.
    pub fn place(&self) -> usize {
        self.receive.buffer.place()
    }
}
