//! The order of a run queue: least virtual runtime first, first come first served among equals.
//!
//! Virtual runtime is time run, scaled by the nice weight. A thread that slept gets a lead of at most [`SLEEP_CREDIT`]
//! over those that ran, so that I/O threads run promptly and cannot starve the others by having slept long.

use alloc::vec::Vec;
use libos_base::Result;

/// How long a thread runs while others wait.
pub const SLICE_NS: u64 = 5_000_000;
/// Lead of a woken thread.
pub const SLEEP_CREDIT: u64 = 3_000_000;
/// A woken thread preempts a thread that is ahead of it by this much.
pub const WAKE_GRANULARITY: u64 = 1_000_000;

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

/// A binary heap whose capacity is reserved when threads are made, so that a wake-up never allocates.
pub struct RunQueue<T> {
    heap: Vec<Entry<T>>,
    seq: u64,
    min: u64,
}

impl<T> RunQueue<T> {
    /// Empty.
    pub const fn new() -> Self {
        Self { heap: Vec::new(), seq: 0, min: 0 }
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
        let floor = self.min.wrapping_sub(SLEEP_CREDIT);
        // Also bounded above: a thread from a CPU whose clock was ahead is not punished for it.
        let lead = vruntime.wrapping_sub(floor) as i64;
        if lead < 0 || lead as u64 > SLEEP_CREDIT + 4 * SLICE_NS { floor } else { vruntime }
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
        let at = self.heap.len();
        self.heap.push(Entry { vruntime, seq, item });
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
    fn sleepers_get_a_bounded_lead_and_strangers_no_penalty() {
        let mut q: RunQueue<()> = RunQueue::new();
        q.advance(Some(1_000_000_000));
        assert_eq!(q.placed(5), 1_000_000_000 - SLEEP_CREDIT);
        assert_eq!(q.placed(1_000_000_100), 1_000_000_100);
        assert_eq!(q.placed(u64::MAX / 4), 1_000_000_000 - SLEEP_CREDIT);
    }
}
