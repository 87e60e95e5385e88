//! What was sent and not acknowledged, in order: when it was sent last, and what became of it as far as we know (the
//! scoreboard of RFC 6675).

use crate::Seq;
use alloc::collections::VecDeque;

/// The peer has it, by a selective acknowledgment.
const SACKED: u8 = 1;
/// Believed lost, and not sent again yet.
const LOST: u8 = 2;
/// Sent more than once.
const AGAIN: u8 = 4;

/// A run of sequence numbers sent together.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub seq: Seq,
    pub len: u32,
    /// When it was last sent.
    pub at: u64,
    flags: u8,
}

impl Sent {
    pub fn end(&self) -> Seq {
        self.seq + self.len
    }
    pub fn again(&self) -> bool {
        self.flags & AGAIN != 0
    }
    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// See the module.
#[derive(Default)]
pub struct Flight {
    list: VecDeque<Sent>,
    /// Bytes with these flags.
    sacked: u32,
    lost: u32,
    /// Whether anything in it was sent twice.
    again: bool,
}

impl Flight {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    /// Whether there is room to send: memory for an entry, or a last one that more can be added to.
    pub fn ready(&mut self) -> bool {
        self.list.len() < self.list.capacity()
            || self.list.try_reserve(1).is_ok()
            || self.list.back().is_some_and(|last| last.flags == 0)
    }
    pub fn sacked(&self) -> u32 {
        self.sacked
    }
    pub fn lost(&self) -> u32 {
        self.lost
    }
    /// Bytes that are on their way, of `outstanding` ones.
    pub fn pipe(&self, outstanding: u32) -> u32 {
        outstanding.saturating_sub(self.sacked + self.lost)
    }
    /// Whether order alone says that nothing is lost.
    pub fn plain(&self) -> bool {
        self.sacked == 0 && self.lost == 0 && !self.again
    }
    /// Records what was sent for the first time. What was sent at the same time is one run, as long as that begins with
    /// whole segments.
    pub fn push(&mut self, seq: Seq, len: u32, at: u64, mss: u32) {
        let full = self.list.len() == self.list.capacity() && self.list.try_reserve(1).is_err();
        if let Some(last) = self.list.back_mut()
            && (full || last.at == at && last.flags == 0 && last.len.is_multiple_of(mss))
        {
            last.len += len;
            return;
        }
        self.list.push_back(Sent { seq, len, at, flags: 0 });
    }

    fn drop_flags(&mut self, s: &Sent) {
        if s.is(SACKED) {
            self.sacked -= s.len;
        }
        if s.is(LOST) {
            self.lost -= s.len;
        }
    }

    /// Everything before `una` has arrived. Passes each run that the peer had not reported before to `delivered`.
    pub fn acknowledge(&mut self, una: Seq, mut delivered: impl FnMut(&Sent)) {
        while let Some(first) = self.list.front_mut() {
            if !first.seq.before(una) {
                break;
            }
            let mut gone = *first;
            if first.end().after(una) {
                gone.len = una - first.seq;
                first.seq = una;
                first.len -= gone.len;
            } else {
                self.list.pop_front();
            }
            self.drop_flags(&gone);
            if !gone.is(SACKED) {
                delivered(&gone);
            }
        }
        if self.list.is_empty() {
            self.again = false;
            if self.list.capacity() > 16 {
                self.list = VecDeque::new();
            }
        }
    }

    /// Splits the run at `i` so that a new one begins after `len` bytes. False: no memory.
    fn split(&mut self, i: usize, len: u32) -> bool {
        if self.list.try_reserve(1).is_err() {
            return false;
        }
        let mut rest = self.list[i];
        rest.seq += len;
        rest.len -= len;
        self.list[i].len = len;
        self.list.insert(i + 1, rest);
        true
    }

    /// The peer has `start..end`. Passes each run that is news to `delivered`. A peer that reports parts of segments is
    /// not believed about those: otherwise it could make the list as long as it likes.
    pub fn sack(&mut self, start: Seq, end: Seq, mss: u32, mut delivered: impl FnMut(&Sent)) {
        let mut i = self.list.partition_point(|s| !s.end().after(start));
        while let Some(s) = self.list.get(i).copied() {
            if !s.seq.before(end) {
                return;
            }
            if !s.is(SACKED) {
                let skip = if s.seq.before(start) { (start - s.seq).next_multiple_of(mss) } else { 0 };
                if skip > 0 {
                    if skip >= s.len || !self.split(i, skip) {
                        i += 1;
                        continue;
                    }
                    i += 1;
                }
                let s = self.list[i];
                if s.end().after(end) {
                    let keep = (end - s.seq) / mss * mss;
                    if !s.seq.before(end) || keep == 0 || !self.split(i, keep) {
                        return;
                    }
                }
                let s = &mut self.list[i];
                if s.is(LOST) {
                    s.flags &= !LOST;
                    self.lost -= s.len;
                }
                s.flags |= SACKED;
                self.sacked += s.len;
                delivered(&*s);
            }
            i += 1;
        }
    }

    /// Marks as lost what `gone` says, among what may be on its way. Returns the bytes that are newly lost.
    pub fn lose(&mut self, mut gone: impl FnMut(&Sent) -> bool) -> u32 {
        let mut newly = 0;
        for s in &mut self.list {
            if !s.is(SACKED | LOST) && gone(s) {
                s.flags |= LOST;
                newly += s.len;
            }
        }
        self.lost += newly;
        newly
    }

    /// Marks the first segment as lost, for peers without selective acknowledgments.
    pub fn lose_first(&mut self, mss: u32) -> u32 {
        let Some(first) = self.list.front().copied() else { return 0 };
        if first.len > mss && !first.is(LOST) {
            self.split(0, mss);
        }
        let seq = first.seq;
        self.lose(|s| s.seq == seq)
    }

    /// After a timeout, everything is. What the peer had reported counts as lost, too, if it did not acknowledge the
    /// first of that: it has thrown it away (RFC 2018 section 8).
    pub fn lose_all(&mut self) {
        if self.list.front().is_some_and(|s| s.is(SACKED)) {
            self.list.iter_mut().for_each(|s| s.flags &= !SACKED);
            self.sacked = 0;
        }
        self.lose(|_| true);
    }

    /// The first lost run, at most `most` bytes of it, which is about to be sent again.
    pub fn resend(&mut self, most: u32, now: u64) -> Option<Sent> {
        let i = self.list.iter().position(|s| s.is(LOST))?;
        if self.list[i].len > most && !self.split(i, most) {
            return None;
        }
        Some(self.sent_again(i, now))
    }

    /// The first lost run.
    pub fn first_lost(&self) -> Option<&Sent> {
        self.list.iter().find(|s| s.is(LOST))
    }

    /// The last segment, which is about to be sent again as a probe.
    pub fn resend_last(&mut self, mss: u32, now: u64) -> Option<Sent> {
        let last = *self.list.back()?;
        let mut i = self.list.len() - 1;
        let whole = (last.len - 1) / mss * mss;
        if whole > 0 {
            if !self.split(i, whole) {
                return None;
            }
            i += 1;
        }
        Some(self.sent_again(i, now))
    }

    fn sent_again(&mut self, i: usize, now: u64) -> Sent {
        let s = &mut self.list[i];
        if s.is(LOST) {
            self.lost -= s.len;
        }
        s.flags = s.flags & !LOST | AGAIN;
        s.at = now;
        self.again = true;
        *s
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_balance_whatever_is_reported() {
        let mut x = 1u64;
        let mut dice = |n: u32| {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (x >> 33) as u32 % n
        };
        for round in 0..2000u32 {
            let mut f = Flight::default();
            let (mut una, mut next) = (Seq(round.wrapping_mul(0x1234_5678)), Seq(round.wrapping_mul(0x1234_5678)));
            for now in 0..60 {
                match dice(6) {
                    0 | 1 => {
                        let n = 1 + dice(3000);
                        f.push(next, n, now, 100);
                        next += n;
                    }
                    2 => {
                        una += dice(next - una + 1);
                        f.acknowledge(una, |_| {});
                    }
                    3 => {
                        let start = una + dice(next - una + 1);
                        f.sack(start, start + dice(next - start + 1), 100, |_| {});
                    }
                    4 => {
                        let at = u64::from(dice(60));
                        f.lose(|s| s.at < at);
                    }
                    _ => {
                        f.resend(100, now);
                    }
                }
                let sum = |flag| f.list.iter().filter(|s| s.is(flag)).map(|s| s.len).sum::<u32>();
                assert_eq!((f.sacked, f.lost), (sum(SACKED), sum(LOST)));
                let mut at = una;
                for s in &f.list {
                    assert_eq!(s.seq, at);
                    assert!(s.len > 0 && !s.is(SACKED) | !s.is(LOST));
                    at = s.end();
                }
                assert_eq!(at, next);
            }
        }
    }
}
