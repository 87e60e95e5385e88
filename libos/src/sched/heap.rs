//! A binary heap whose entries know their place, so that a timer can be cancelled in O(log n) without a search.

use alloc::vec::Vec;
use libos_base::Result;

/// What sits in a [`Heap`].
pub trait Slot: Copy {
    /// Called on every move with the new place, which `remove` takes.
    fn moved_to(&self, at: usize);
}

/// Entries by deadline, the earliest first.
pub struct Heap<S> {
    entries: Vec<(u64, S)>,
}

impl<S: Slot> Heap<S> {
    /// Empty.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Makes room for `n` entries in all; ENOMEM.
    pub fn reserve(&mut self, n: usize) -> Result<()> {
        Ok(self.entries.try_reserve(n.saturating_sub(self.entries.len()))?)
    }

    /// The earliest deadline.
    pub fn first(&self) -> Option<u64> {
        self.entries.first().map(|e| e.0)
    }

    /// Adds an entry; returns whether it is now the earliest.
    pub fn insert(&mut self, deadline: u64, slot: S) -> bool {
        self.entries.push((deadline, slot));
        self.up(self.entries.len() - 1) == 0
    }

    /// Removes the entry at `at`.
    pub fn remove(&mut self, at: usize) -> S {
        let (_, slot) = self.entries.swap_remove(at);
        if at < self.entries.len() {
            let at = self.up(at);
            self.down(at);
        }
        slot
    }

    /// Removes the earliest entry if its deadline is `now` or before.
    pub fn pop_due(&mut self, now: u64) -> Option<S> {
        if self.first()? > now {
            return None;
        }
        Some(self.remove(0))
    }

    /// Moves an entry up as far as needed, and reports its new place; returns it.
    fn up(&mut self, mut i: usize) -> usize {
        while i > 0 {
            let parent = (i - 1) / 2;
            if self.entries[parent].0 <= self.entries[i].0 {
                break;
            }
            self.entries.swap(i, parent);
            self.entries[i].1.moved_to(i);
            i = parent;
        }
        self.entries[i].1.moved_to(i);
        i
    }

    fn down(&mut self, mut i: usize) {
        loop {
            let mut least = i;
            for child in [2 * i + 1, 2 * i + 2] {
                if child < self.entries.len() && self.entries[child].0 < self.entries[least].0 {
                    least = child;
                }
            }
            if least == i {
                return;
            }
            self.entries.swap(i, least);
            self.entries[i].1.moved_to(i);
            self.entries[least].1.moved_to(least);
            i = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    impl Slot for &Cell<usize> {
        fn moved_to(&self, at: usize) {
            self.set(at);
        }
    }

    #[test]
    fn pops_in_order_and_only_what_is_due() {
        let places: Vec<_> = (0..5).map(Cell::new).collect();
        let mut h = Heap::new();
        assert!(h.insert(50, &places[0]));
        assert!(h.insert(30, &places[1]));
        assert!(!h.insert(40, &places[2]));
        assert!(h.insert(10, &places[3]));
        assert!(h.pop_due(9).is_none());
        assert!(std::ptr::eq(h.pop_due(35).unwrap(), &places[3]));
        assert!(std::ptr::eq(h.pop_due(35).unwrap(), &places[1]));
        assert!(h.pop_due(35).is_none());
        assert_eq!(h.first(), Some(40));
    }

    #[test]
    fn places_stay_true_under_random_removal() {
        let places: Vec<_> = (0..300).map(Cell::new).collect();
        let mut due: Vec<u64> = (0..300u64).map(|i| i.wrapping_mul(2654435761) % 1000).collect();
        let mut h = Heap::new();
        for (p, d) in places.iter().zip(&due) {
            h.insert(*d, p);
        }
        for i in (0..300).step_by(3) {
            assert!(std::ptr::eq(h.remove(places[i].get()), &places[i]));
            due[i] = u64::MAX;
        }
        let mut last = 0;
        while let Some(p) = h.pop_due(u64::MAX - 1) {
            let i = places.iter().position(|x| std::ptr::eq(x, p)).unwrap();
            assert!(due[i] >= last && due[i] != u64::MAX);
            last = due[i];
        }
        assert!(h.first().is_none());
    }
}
