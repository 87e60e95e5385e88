//! Pages by index, with holes: what a file in memory holds, and what is mapped at which page of the address space.
//!
//! One type for both, not generic, so that an image carries its code once.

use crate::page::Page;
use crate::{Errno, Result};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Pages a leaf holds.
const FAN: u64 = 64;

/// Neighbouring pages.
pub struct Leaf {
    pages: [Option<Arc<Page>>; FAN as usize],
    held: usize,
}

/// Pages that were taken out together.
pub type Gone = [Option<Arc<Page>>; FAN as usize];

/// A sparse array of pages.
///
/// Invariant: a leaf that lost its last page is gone; an empty one was added for an [`PageTree::insert`] to come.
pub struct PageTree {
    leaves: BTreeMap<u64, Box<Leaf>>,
    held: usize,
}

/// A leaf, to be allocated before a spin lock is taken. ENOMEM when memory is short.
pub fn new_leaf() -> Result<Box<Leaf>> {
    // `Box::new` aborts without memory: asking first leaves only a race that the heap's reserve covers.
    Vec::<u8>::new().try_reserve_exact(size_of::<Leaf>()).map_err(|_| Errno::ENOMEM)?;
    Ok(Box::new(Leaf { pages: [const { None }; FAN as usize], held: 0 }))
}

impl PageTree {
    /// Without pages.
    pub const fn new() -> Self {
        Self { leaves: BTreeMap::new(), held: 0 }
    }

    /// How many pages there are.
    pub fn len(&self) -> usize {
        self.held
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// The page at `index`.
    pub fn get(&self, index: u64) -> Option<&Arc<Page>> {
        self.leaves.get(&(index / FAN))?.pages[(index % FAN) as usize].as_ref()
    }

    /// The first index from `from` on that has a page.
    pub fn next(&self, from: u64) -> Option<u64> {
        let mut skip = (from % FAN) as usize;
        for (leaf, l) in self.leaves.range(from / FAN..) {
            if *leaf != from / FAN {
                skip = 0;
            }
            if let Some(i) = l.pages.iter().skip(skip).position(Option::is_some) {
                return Some(leaf * FAN + (skip + i) as u64);
            }
        }
        None
    }

    /// Whether a page can be put at `index` without another leaf.
    pub fn has_leaf(&self, index: u64) -> bool {
        self.leaves.contains_key(&(index / FAN))
    }
    /// Makes room at `index`; a leaf that is there already stays.
    pub fn add_leaf(&mut self, index: u64, leaf: Box<Leaf>) {
        self.leaves.entry(index / FAN).or_insert(leaf);
    }

    /// Puts a page at `index`, where [`PageTree::add_leaf`] made room; what was there comes back.
    pub fn insert(&mut self, index: u64, page: Arc<Page>) -> Option<Arc<Page>> {
        let Some(l) = self.leaves.get_mut(&(index / FAN)) else { unreachable!("no leaf") };
        let old = l.pages[(index % FAN) as usize].replace(page);
        if old.is_none() {
            l.held += 1;
            self.held += 1;
        }
        old
    }

    /// Takes the page at `index` out, if `which` agrees.
    pub fn take_if(&mut self, index: u64, which: impl FnOnce(&Arc<Page>) -> bool) -> Option<Arc<Page>> {
        let l = self.leaves.get_mut(&(index / FAN))?;
        let page = l.pages[(index % FAN) as usize].take_if(|p| which(p))?;
        l.held -= 1;
        self.held -= 1;
        if l.held == 0 {
            self.leaves.remove(&(index / FAN));
        }
        Some(page)
    }
    /// Takes the page at `index` out.
    pub fn take(&mut self, index: u64) -> Option<Arc<Page>> {
        self.take_if(index, |_| true)
    }

    /// Takes pages out that lie at `from` or behind it, those of one leaf. `None`: there are no more.
    pub fn take_from(&mut self, from: u64) -> Option<Gone> {
        let first = self.next(from)?;
        let l = self.leaves.get_mut(&(first / FAN))?;
        let mut gone = [const { None }; FAN as usize];
        for (slot, to) in l.pages.iter_mut().zip(&mut gone).skip((first % FAN) as usize) {
            *to = slot.take();
            l.held -= usize::from(to.is_some());
            self.held -= usize::from(to.is_some());
        }
        if l.held == 0 {
            self.leaves.remove(&(first / FAN));
        }
        Some(gone)
    }
}

impl Default for PageTree {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(indices: &[u64]) -> PageTree {
        let mut t = PageTree::new();
        for &i in indices {
            t.add_leaf(i, new_leaf().unwrap());
            assert!(t.insert(i, Page::new().unwrap()).is_none());
        }
        t
    }
    fn all(t: &PageTree) -> Vec<u64> {
        core::iter::successors(t.next(0), |&i| t.next(i + 1)).collect()
    }

    #[test]
    fn pages_are_found_in_order() {
        let t = tree(&[1000, 3, 64, 63, u64::MAX / 2]);
        assert_eq!(all(&t), [3, 63, 64, 1000, u64::MAX / 2]);
        assert_eq!(t.len(), 5);
        assert!(t.get(63).is_some() && t.get(62).is_none() && t.get(128).is_none());
    }

    #[test]
    fn a_page_can_be_replaced_and_taken() {
        let mut t = tree(&[5, 6]);
        let old = t.get(5).unwrap().clone();
        assert!(Arc::ptr_eq(&t.insert(5, Page::new().unwrap()).unwrap(), &old));
        assert_eq!(t.len(), 2);
        assert!(t.take_if(5, |p| Arc::ptr_eq(p, &old)).is_none());
        assert!(t.take(5).is_some() && t.take(5).is_none());
        assert!(t.has_leaf(0));
        assert!(t.take(6).is_some() && t.is_empty() && !t.has_leaf(0));
    }

    #[test]
    fn a_cut_takes_what_lies_behind() {
        let mut t = tree(&[1, 60, 62, 70, 300]);
        let mut gone = 0;
        while let Some(g) = t.take_from(61) {
            gone += g.iter().flatten().count();
        }
        assert_eq!((gone, t.len()), (3, 2));
        assert_eq!(all(&t), [1, 60]);
    }
}
