//! What has arrived out of order, and which of it to report first (RFC 2018).

use crate::Seq;
use crate::options::BLOCKS;
use alloc::vec::Vec;

/// Most ranges; what would need one more is not taken.
const MOST: usize = 256;

#[derive(Clone, Copy)]
struct Range {
    start: Seq,
    end: Seq,
    /// The higher, the later something arrived in it.
    stamp: u32,
}

/// Ranges in order, none touching another.
#[derive(Default)]
pub struct Ranges {
    list: Vec<Range>,
    stamp: u32,
}

impl Ranges {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether anything from `end` on has arrived.
    pub fn reach_beyond(&self, end: Seq) -> bool {
        self.list.last().is_some_and(|r| r.end.after(end))
    }

    /// Whether all of it is here.
    pub fn contains(&self, start: Seq, end: Seq) -> bool {
        self.list.iter().any(|r| !r.start.after(start) && !end.after(r.end))
    }

    /// Adds a range. False: there is no room.
    pub fn add(&mut self, mut start: Seq, mut end: Seq) -> bool {
        let first = self.list.iter().position(|r| !r.end.before(start)).unwrap_or(self.list.len());
        let last = self.list[first..].iter().position(|r| r.start.after(end)).map_or(self.list.len(), |n| first + n);
        self.stamp += 1;
        let stamp = self.stamp;
        if first == last {
            if self.list.len() >= MOST || self.list.try_reserve(1).is_err() {
                return false;
            }
            self.list.insert(first, Range { start, end, stamp });
        } else {
            start = start.min(self.list[first].start);
            end = end.max(self.list[last - 1].end);
            self.list[first] = Range { start, end, stamp };
            self.list.drain(first + 1..last);
        }
        true
    }

    /// Everything before `next` has arrived. Returns how far it reaches without a hole.
    pub fn join(&mut self, mut next: Seq) -> Seq {
        let mut n = 0;
        while let Some(r) = self.list.get(n).filter(|r| !r.start.after(next)) {
            next = next.max(r.end);
            n += 1;
        }
        if n == self.list.len() {
            self.list = Vec::new();
        } else {
            self.list.drain(..n);
        }
        next
    }

    pub fn clear(&mut self) {
        self.list = Vec::new();
    }

    /// Fills in the blocks to report, the latest first. Returns how many.
    pub fn blocks(&self, to: &mut [(Seq, Seq)]) -> usize {
        let mut below = u32::MAX;
        for (n, slot) in to.iter_mut().enumerate() {
            let Some(r) = self.list.iter().filter(|r| r.stamp < below).max_by_key(|r| r.stamp) else { return n };
            *slot = (r.start, r.end);
            below = r.stamp;
        }
        to.len().min(BLOCKS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_together_and_the_latest_is_reported_first() {
        let mut r = Ranges::default();
        let seq = |n: u32| Seq(n.wrapping_sub(20));
        for (a, b) in [(10, 20), (30, 40), (50, 60), (20, 25)] {
            assert!(r.add(seq(a), seq(b)));
        }
        let mut b = [(Seq(0), Seq(0)); 3];
        assert_eq!(r.blocks(&mut b), 3);
        assert_eq!(b, [(seq(10), seq(25)), (seq(50), seq(60)), (seq(30), seq(40))]);
        assert!(r.contains(seq(30), seq(40)) && r.contains(seq(12), seq(25)));
        assert!(!r.contains(seq(20), seq(30)) && !r.contains(seq(40), seq(41)));
        assert!(r.add(seq(24), seq(55)));
        assert_eq!((r.blocks(&mut b), b[0]), (1, (seq(10), seq(60))));
        assert_eq!((r.join(seq(5)), r.join(seq(10))), (seq(5), seq(60)));
        assert!(r.is_empty());
    }
}
