//! The next segment to send.

use crate::connection::{Connection, State};
use crate::options::Options;
use crate::{ACK, FIN, PSH, RST, SYN, Seq};

/// A segment to send. Its data is that of the send buffer ([`Connection::copy`]).
#[derive(Clone, Copy, Debug)]
pub struct Transmit {
    pub seq: Seq,
    pub ack: Seq,
    pub flags: u8,
    /// The window field.
    pub window: u16,
    pub options: Options,
    /// Which bytes of the send buffer it carries.
    pub offset: usize,
    pub len: usize,
    /// Data in each of the segments that the card makes of it; 0: it is one.
    pub gso: u16,
    /// It was sent before.
    pub again: bool,
}

impl Connection {
    /// The next segment, if there is one: it counts as sent. `most`: the most data in it, if the card cuts it into
    /// segments.
    pub fn transmit(&mut self, now: u64, most: usize) -> Option<Transmit> {
        match self.state {
            State::Closed => self.last_word(),
            State::SynSent | State::SynReceived => self.handshake(now),
            State::TimeWait => self.acknowledgment(now),
            _ => {
                let data = if self.send.owed() { self.data(now, most as u32) } else { None };
                data.or_else(|| self.acknowledgment(now))
            }
        }
    }

    /// A segment with `len` bytes of data.
    fn segment(&mut self, seq: Seq, flags: u8, len: u32) -> Transmit {
        let ack = self.receive.next;
        let due = self.receive.ack_waits();
        let window = self.receive.sending(self.scaled);
        let mut options = Options::NONE;
        if self.sack && self.receive.reports() {
            if len == 0 {
                options = self.receive.blocks();
            } else if due {
                // They would take room from the data: in a segment of their own.
                self.receive.acknowledge();
            }
        }
        Transmit { seq, ack, flags: flags | ACK, window, options, offset: 0, len: 0, gso: 0, again: false }
    }

    /// The reset of a connection that was aborted.
    fn last_word(&mut self) -> Option<Transmit> {
        if !core::mem::take(&mut self.reset) {
            return None;
        }
        Some(Transmit { options: Options::NONE, window: 0, ..self.segment(self.send.next, RST, 0) })
    }

    /// Our SYN goes out for the first time.
    pub(crate) fn first_sent(&mut self, now: u64) {
        self.flight.push(self.send.isn, 1, now, 1);
        self.send.next = self.send.isn + 1;
        self.timers.restarted = now;
    }

    fn handshake(&mut self, now: u64) -> Option<Transmit> {
        let first = self.send.next == self.send.isn;
        if first && !self.flight.ready() {
            return None;
        }
        if first {
            self.first_sent(now);
        } else {
            self.flight.resend(1, now)?;
            self.resent += 1;
        }
        let answer = self.state == State::SynReceived;
        let scale = (!answer || self.scaled).then_some(self.receive.scale());
        let flags = if answer { SYN | ACK } else { SYN };
        let ack = if answer { self.receive.next } else { Seq(0) };
        let window = self.receive.sending(false);
        let options = Options::syn(self.mss, scale, !answer || self.sack);
        let seq = self.send.isn;
        Some(Transmit { seq, ack, flags, window, options, offset: 0, len: 0, gso: 0, again: !first })
    }

    /// Data, old or new, or the FIN.
    fn data(&mut self, now: u64, most: u32) -> Option<Transmit> {
        let outstanding = self.outstanding();
        if self.flight.lost() > 0
            && let Some(t) = self.again(now, outstanding)
        {
            return Some(t);
        }
        // There may have been no way to send it before everything was acknowledged.
        if core::mem::take(&mut self.timers.tail_probe) && !self.flight.is_empty() {
            return self.probe_tail(now);
        }
        let unsent = self.send.unsent();
        let fin = self.send.fin && !self.send.fin_sent;
        if unsent == 0 && !fin {
            return None;
        }
        if !self.flight.ready() {
            // As little can be sent as into a closed window, and it is tried again as often.
            self.timers.closed(now);
            return None;
        }
        self.restart_after_idle(now);
        let window = self.window.size.saturating_sub(self.flight.pipe(outstanding));
        let n = self.admissible(now, unsent, window, most);
        if n == 0 && !(fin && unsent == 0) {
            if outstanding == 0 && self.send.admitted() < unsent {
                self.timers.closed(now);
            }
            return None;
        }
        Some(self.fresh(now, n, fin && n == unsent))
    }

    /// How much new data may go out in one segment.
    fn admissible(&mut self, now: u64, unsent: u32, window: u32, most: u32) -> u32 {
        let mss = self.send.mss;
        let admitted = self.send.admitted();
        let n = unsent.min(window).min(admitted).min(most.max(mss));
        if n < unsent {
            let whole = n / mss * mss;
            // Not for a few bytes (RFC 1122 section 4.2.3.4).
            let enough = n == admitted && (n >= self.send.most_window / 2 || core::mem::take(&mut self.timers.squeeze));
            return if whole == 0 && n > 0 && enough { n } else { whole };
        }
        if !n.is_multiple_of(mss) && self.send.waits(now) {
            return n / mss * mss;
        }
        n
    }

    /// New data.
    fn fresh(&mut self, now: u64, n: u32, fin: bool) -> Transmit {
        let mss = self.send.mss;
        let (seq, all) = (self.send.next, n == self.send.unsent());
        let mut t = self.segment(seq, if all { PSH } else { 0 } | if fin { FIN } else { 0 }, n);
        t.offset = (seq - self.send.start()) as usize;
        t.len = n as usize;
        if n == 0 {
            t.flags &= !PSH;
        }
        if n > mss {
            t.gso = mss as u16;
        }
        if self.flight.is_empty() {
            self.timers.restarted = now;
        }
        let len = n + u32::from(fin);
        self.flight.push(seq, len, now, mss);
        self.recovery.sent(len);
        self.send.next += len;
        self.send.fin_sent |= fin;
        self.send.sent_at = now;
        self.timers.opened();
        if !n.is_multiple_of(mss) {
            self.send.small(seq + n);
        }
        if all {
            self.send.all_sent();
        }
        t
    }

    /// What is lost, as far as the window admits it; the first one in any case.
    fn again(&mut self, now: u64, outstanding: u32) -> Option<Transmit> {
        let first = self.flight.first_lost()?;
        let head = first.seq == self.send.una;
        let beyond = !first.seq.before(self.send.una + self.send.window);
        if beyond && !head || self.flight.pipe(outstanding) >= self.window.size {
            return None;
        }
        let sent = self.flight.resend(self.send.mss, now)?;
        Some(self.repeat(now, sent.seq, sent.len))
    }

    fn repeat(&mut self, now: u64, seq: Seq, len: u32) -> Transmit {
        let end = self.send.end();
        let fin = self.send.fin_sent && (seq + len).after(end);
        let n = len - u32::from(fin);
        let mut t = self.segment(seq, if fin { FIN } else { 0 }, n);
        t.offset = (seq - self.send.start()) as usize;
        t.len = n as usize;
        t.again = true;
        if n > 0 && seq + n == end {
            t.flags |= PSH;
        }
        self.resent += 1;
        self.recovery.sent_again(now, seq, len);
        self.timers.restarted = now;
        t
    }

    /// The probe of a flight's tail: new data if there is any, otherwise the last segment again.
    fn probe_tail(&mut self, now: u64) -> Option<Transmit> {
        let n = self.send.unsent().min(self.send.mss).min(self.send.admitted());
        if n > 0 && self.flight.ready() {
            let fin = self.send.fin && n == self.send.unsent();
            let t = self.fresh(now, n, fin);
            self.timers.tail = Some((self.send.next, false));
            return Some(t);
        }
        self.timers.tail = Some((self.send.next, true));
        let last = self.flight.resend_last(self.send.mss, now)?;
        Some(self.repeat(now, last.seq, last.len))
    }

    /// An acknowledgment alone, or a probe: with a number that the peer has, so that it answers.
    fn acknowledgment(&mut self, now: u64) -> Option<Transmit> {
        if core::mem::take(&mut self.timers.probe) {
            return Some(self.segment(Seq(self.send.una.0.wrapping_sub(1)), 0, 0));
        }
        if !self.receive.ack_due(now) {
            return None;
        }
        Some(self.segment(self.send.next, 0, 0))
    }

    /// After a pause the window is as good as unknown (RFC 5681 section 4.1, as Linux does it).
    fn restart_after_idle(&mut self, now: u64) {
        let pause = now.saturating_sub(self.send.sent_at);
        if self.outstanding() > 0 || self.send.sent_at == 0 || pause < self.rtt.timeout() {
            return;
        }
        self.algorithm.paused(pause);
        let halvings = (pause / self.rtt.timeout()).min(31) as u32;
        let w = &mut self.window;
        w.threshold = if w.threshold == u32::MAX { w.threshold } else { w.threshold.max(w.size / 4 * 3) };
        w.size = (w.size >> halvings).max(w.initial().min(w.size));
    }
}
