//! The order of a run queue: least virtual runtime first, first come first served among equals.
//!
//! Virtual runtime is time run, scaled by the nice weight. A thread that slept gets a lead of at most [`SLEEP_CREDIT`]
//! over those that ran, so that I/O threads run promptly and cannot starve the others by having slept long.
//!
//! Real-time threads wait in the same order: the virtual runtime that they stand at does not move and is so far back
//! that no other thread gets there ([`stands_at`]). So they cost the others nothing.

use alloc::vec::Vec;
use libos_base::Result;

/// How long a thread runs while others wait.
pub const SLICE_NS: u64 = 5_000_000;
/// Lead of a woken thread.
pub const SLEEP_CREDIT: u64 = 3_000_000;
/// A woken thread preempts a thread that is ahead of it by this much.
pub const WAKE_GRANULARITY: u64 = 1_000_000;

/// How far back real-time threads stand, and how far from one priority to the next: farther than anything is moved for a
/// sleep or a slice.
const AHEAD: u64 = 1 << 62;
const STEP: u64 = 1 << 32;
/// The place of real-time threads follows the queue's "now" in steps of this size. Ordinary threads are never apart by
/// as much, so that all differences fit into 63 bits.
const FOLLOWS: u64 = 1 << 60;
/// The number of the first entry: later ones count up from it, those that go before their equals count down.
const FIRST: u64 = 1 << 63;

struct Entry<T> {
    vruntime: u64,
    seq: u64,
    item: T,
}

impl<T> Entry<T> {
    /// Virtual times are compared by their difference: they may wrap.
    fn before(&self, other: &Self) -> bool {
        match self.vruntime.wrapping_sub(other.vruntime) as i64 {
            0 => self.seq < other.seq,
            d => d < 0,
        }
    }
}

/// Where a real-time thread of this rank stands in a queue that has come to `now`: before all that have less, or none; or
/// behind everybody else.
pub fn stands_at(now: u64, rank: u8, behind: bool) -> u64 {
    let at = (now & !(FOLLOWS - 1)).wrapping_sub(u64::from(rank) * STEP);
    if behind { at.wrapping_add(2 * FOLLOWS) } else { at.wrapping_sub(AHEAD) }
}

/// A binary heap whose capacity is reserved when threads are made, so that a wake-up never allocates.
pub struct RunQueue<T> {
    heap: Vec<Entry<T>>,
    seq: u64,
    /// The number of the last entry that went before its equals.
    front: u64,
    min: u64,
}

impl<T> RunQueue<T> {
    /// Empty.
    pub const fn new() -> Self {
        Self { heap: Vec::new(), seq: FIRST, front: FIRST, min: 0 }
    }

    /// Makes room for `n` threads; ENOMEM.
    pub fn reserve(&mut self, n: usize) -> Result<()> {
        Ok(self.heap.try_reserve(n.saturating_sub(self.heap.len()))?)
    }

    /// How many threads wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// The queue's notion of "now": never goes back.
    pub fn min_vruntime(&self) -> u64 {
        self.min
    }

    /// Moves the queue's "now" up to what the running thread and the first waiter have reached.
    pub fn advance(&mut self, running: Option<u64>) {
        let first = self.first();
        let least = match (running, first) {
            (Some(a), Some(b)) => {
                if (a.wrapping_sub(b) as i64) < 0 {
                    a
                } else {
                    b
                }
            }
            (Some(v), None) | (None, Some(v)) => v,
            (None, None) => return,
        };
        if (least.wrapping_sub(self.min) as i64) > 0 {
            self.min = least;
        }
    }

    /// The virtual runtime to start with after a sleep.
    pub fn placed(&self, vruntime: u64) -> u64 {
        self.placed_within(vruntime, SLEEP_CREDIT, 4 * SLICE_NS)
    }

    /// The same with another lead.
    #[inline(always)]
    pub fn placed_within(&self, vruntime: u64, credit: u64, ahead: u64) -> u64 {
        let floor = self.min.wrapping_sub(credit);
        // Also bounded above: a thread from a CPU whose clock was ahead is not punished for it.
        let lead = vruntime.wrapping_sub(floor) as i64;
        if lead < 0 || lead as u64 > credit + ahead { floor } else { vruntime }
    }

    /// Virtual runtime of the first waiter.
    pub fn first(&self) -> Option<u64> {
        self.heap.first().map(|e| e.vruntime)
    }

    /// Adds a thread.
    #[inline]
    pub fn push(&mut self, vruntime: u64, item: T) {
        let seq = self.seq;
        self.seq += 1;
        self.insert(Entry { vruntime, seq, item });
    }

    /// Adds a thread before those with the same virtual runtime.
    pub fn push_front(&mut self, vruntime: u64, item: T) {
        self.front -= 1;
        self.insert(Entry { vruntime, seq: self.front, item });
    }

    #[inline]
    fn insert(&mut self, e: Entry<T>) {
        let at = self.heap.len();
        self.heap.push(e);
        if at > 0 {
            self.up(at);
        }
    }

    /// Takes the first thread.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.heap.len() > 1 { Some(self.remove(0)) } else { self.heap.pop().map(|e| e.item) }
    }

    /// Takes a thread that `may` accepts, for another CPU: preferably one that would wait long here.
    pub fn steal(&mut self, may: impl Fn(&T) -> bool) -> Option<T> {
        let at = self.heap.iter().rposition(|e| may(&e.item))?;
        Some(self.remove(at))
    }

    /// Takes the first of the threads that `may` accepts.
    pub fn take(&mut self, may: impl Fn(&T) -> bool) -> Option<T> {
        let mut best: Option<usize> = None;
        for (at, e) in self.heap.iter().enumerate() {
            if best.is_none_or(|best| e.before(&self.heap[best])) && may(&e.item) {
                best = Some(at);
            }
        }
        best.map(|at| self.remove(at))
    }

    /// The threads, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.heap.iter().map(|e| &e.item)
    }

    /// Moves every thread for which `place` has a new virtual runtime; those that were equals stay in their order.
    pub fn place_anew(&mut self, place: impl Fn(&T) -> Option<u64>) {
        for e in &mut self.heap {
            e.vruntime = place(&e.item).unwrap_or(e.vruntime);
        }
        for at in (0..self.heap.len() / 2).rev() {
            self.down(at);
        }
    }

    fn remove(&mut self, at: usize) -> T {
        let e = self.heap.swap_remove(at);
        if at < self.heap.len() {
            self.up(at);
            self.down(at);
        }
        e.item
    }

    fn up(&mut self, mut i: usize) {
        while i > 0 {
            let parent = (i - 1) / 2;
            if !self.heap[i].before(&self.heap[parent]) {
                return;
            }
            self.heap.swap(i, parent);
            i = parent;
        }
    }

    fn down(&mut self, mut i: usize) {
        loop {
            let mut least = i;
            for child in [2 * i + 1, 2 * i + 2] {
                if child < self.heap.len() && self.heap[child].before(&self.heap[least]) {
                    least = child;
                }
            }
            if least == i {
                return;
            }
            self.heap.swap(i, least);
            i = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_runtime_first_and_fifo_among_equals() {
        let mut q = RunQueue::new();
        for (v, name) in [(30, 'c'), (10, 'a'), (30, 'd'), (20, 'b')] {
            q.push(v, name);
        }
        let order: String = std::iter::from_fn(|| q.pop()).collect();
        assert_eq!(order, "abcd");
    }

    #[test]
    fn order_survives_wrapping_and_random_removal() {
        let mut q = RunQueue::new();
        let base = u64::MAX - 50;
        let mut x = 12345u64;
        for _ in 0..200 {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1);
            q.push(base.wrapping_add(x >> 57), base.wrapping_add(x >> 57));
        }
        for i in 0..50 {
            assert!(q.steal(|v| v % 3 == i % 3).is_some());
        }
        let mut last = 0;
        for _ in 0..150 {
            let d = q.pop().unwrap().wrapping_sub(base);
            assert!(d >= last);
            last = d;
        }
        assert!(q.pop().is_none());
    }

    #[test]
    fn real_time_threads_come_first_by_priority_however_late_it_is() {
        for now in [0, 5, FOLLOWS - 1, u64::MAX - 7, i64::MAX as u64 - 3] {
            let mut q = RunQueue::new();
            q.min = now;
            for (lead, name) in [(0, 'x'), (SLEEP_CREDIT, 'w')] {
                q.push(now.wrapping_sub(lead), name);
            }
            q.push(now.wrapping_add(FOLLOWS / 2), 'y');
            for (rank, name) in [(10, 'c'), (99, 'b'), (10, 'd'), (100, 'a')] {
                q.push(stands_at(now, rank, false), name);
            }
            q.push_front(stands_at(now, 10, false), 'C');
            q.push(stands_at(now, 99, true), 'z');
            q.push(stands_at(now, 1, true), 'Z');
            let order: String = std::iter::from_fn(|| q.pop()).collect();
            assert_eq!(order, "abCcdwxyzZ");
        }
    }

    #[test]
    fn threads_are_found_and_placed_anew() {
        let mut q = RunQueue::new();
        for (v, name) in [(30, 'c'), (10, 'a'), (30, 'd'), (20, 'b'), (40, 'e')] {
            q.push(v, name);
        }
        assert_eq!(q.take(|&name| name > 'b'), Some('c'));
        assert_eq!(q.take(|&name| name > 'z'), None);
        q.place_anew(|&name| (name < 'c').then_some(50));
        q.push_front(30, 'c');
        let order: String = std::iter::from_fn(|| q.pop()).collect();
        assert_eq!(order, "cdeab");
    }

    #[test]
    fn sleepers_get_a_bounded_lead_and_strangers_no_penalty() {
        let mut q: RunQueue<()> = RunQueue::new();
        q.advance(Some(1_000_000_000));
        assert_eq!(q.placed(5), 1_000_000_000 - SLEEP_CREDIT);
        assert_eq!(q.placed(1_000_000_100), 1_000_000_100);
        assert_eq!(q.placed(u64::MAX / 4), 1_000_000_000 - SLEEP_CREDIT);
    }
}
