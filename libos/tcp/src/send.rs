//! The sending half: what was written, how much of it went out, and what is held back.

use crate::send_buffer::SendBuffer;
use crate::{MS, NEVER, Seq};

/// How long a program that has announced more keeps a small segment back (200 ms, as Linux).
const HOLD: u64 = 200 * MS;

/// See the module.
pub struct Sender {
    pub buffer: SendBuffer,
    /// Our initial sequence number; the first that is not acknowledged; the next to be sent.
    pub isn: Seq,
    pub una: Seq,
    pub next: Seq,
    /// The peer's window, the largest it ever was, and the segment that said so.
    pub window: u32,
    pub most_window: u32,
    wl1: Seq,
    wl2: Seq,
    pub scale: u8,
    /// Data in a full segment.
    pub mss: u32,
    /// A FIN follows the data.
    pub fin: bool,
    /// It went out.
    pub fin_sent: bool,
    pub nodelay: bool,
    /// Until when a small segment is held back because more was announced; 0: it is not.
    hold: u64,
    /// End of the last small segment.
    small_end: Option<Seq>,
    /// When anything was last sent.
    pub sent_at: u64,
    /// How much may wait to be sent and acknowledged: at first, and at most.
    pub limit: u32,
    pub most: u32,
}

impl Sender {
    pub fn new(isn: Seq, mss: u32, limit: u32, most: u32) -> Self {
        Self {
            buffer: SendBuffer::default(),
            isn,
            una: isn,
            next: isn,
            window: 0,
            most_window: 0,
            wl1: Seq(0),
            wl2: Seq(0),
            scale: 0,
            mss,
            fin: false,
            fin_sent: false,
            nodelay: false,
            hold: 0,
            small_end: None,
            sent_at: 0,
            limit,
            most,
        }
    }

    /// Sequence number of the first byte in the buffer.
    pub fn start(&self) -> Seq {
        if self.una == self.isn { self.isn + 1 } else { self.una }
    }
    /// Sequence number after the last byte: that of the FIN.
    pub fn end(&self) -> Seq {
        self.start() + self.buffer.len() as u32
    }
    /// Bytes that never went out.
    pub fn unsent(&self) -> u32 {
        let next = if self.next == self.isn { self.isn + 1 } else { self.next };
        if next.after(self.end()) { 0 } else { self.end() - next }
    }
    /// Whether anything has to go out or to be acknowledged.
    pub fn owed(&self) -> bool {
        self.next != self.una || self.buffer.len() > 0 || self.fin && !self.fin_sent
    }
    /// How much the peer's window admits beyond what was sent.
    pub fn admitted(&self) -> u32 {
        let edge = self.una + self.window;
        if edge.after(self.next) { edge - self.next } else { 0 }
    }

    /// Takes the window of the peer's SYN, which is not scaled.
    pub fn first_window(&mut self, seq: Seq, ack: Seq, field: u16) {
        (self.wl1, self.wl2) = (seq, ack);
        self.take_window(seq, ack, field, 0);
    }

    /// Takes a window from a segment, unless it is older than the last one (RFC 9293 section 3.10.7.4). One that
    /// acknowledges more is not, although its number may be lower: the peer has sent it again. Returns whether it has grown.
    pub fn take_window(&mut self, seq: Seq, ack: Seq, field: u16, scale: u8) -> bool {
        let older = self.wl1.after(seq) || self.wl1 == seq && self.wl2.after(ack);
        if older && !ack.after(self.una) {
            return false;
        }
        (self.wl1, self.wl2) = (seq, ack);
        let old = core::mem::replace(&mut self.window, u32::from(field) << scale);
        self.most_window = self.most_window.max(self.window);
        self.window > old
    }

    /// The program writes; `more`: and has announced more.
    pub fn hold(&mut self, more: bool, now: u64) {
        match (more, self.hold) {
            (false, _) => self.hold = 0,
            (true, 0) => self.hold = now + HOLD,
            _ => {}
        }
    }
    /// When what is held back goes out nonetheless.
    pub fn held_until(&self) -> u64 {
        if self.hold != 0 && self.unsent() > 0 { self.hold } else { NEVER }
    }
    /// Nothing is left to hold back.
    pub fn all_sent(&mut self) {
        self.hold = 0;
    }
    /// Whether a last segment that is not full has to wait: for what was announced, or by Nagle's algorithm as amended by
    /// Minshall and as Linux has it: while another small one is not acknowledged.
    pub fn waits(&self, now: u64) -> bool {
        !self.fin && (now < self.hold || !self.nodelay && self.small_end.is_some_and(|end| self.una.before(end)))
    }
    /// A segment that was not full went out.
    pub fn small(&mut self, end: Seq) {
        self.small_end = Some(end);
    }

    /// How much may wait to be sent and acknowledged: enough for two windows.
    pub fn capacity(&self, window: u32) -> usize {
        self.limit.max(window.saturating_mul(2).min(self.most)) as usize
    }
    pub fn room(&self, window: u32) -> usize {
        self.capacity(window).saturating_sub(self.buffer.len())
    }
}
