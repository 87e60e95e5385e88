//! Pages by index, with holes: the content of a file in memory, or what is mapped at each page of the address space.
//!
//! A radix tree, as high as its greatest index asks for. One type serves both uses, not generic, so that an image carries its
//! code once; B-trees of the standard library cost 5 KB for each type they are of.

use crate::Result;
use crate::memory::try_box;
use crate::page::Page;
use alloc::boxed::Box;
use alloc::sync::Arc;

/// What a node has room for, and how many bits of an index that is.
const FAN: usize = 1 << BITS;
const BITS: u32 = 6;

/// A block of adjacent pages.
pub struct Leaf {
    pages: [Option<Arc<Page>>; FAN],
    held: usize,
}

enum Node {
    Inner(Box<[Option<Node>; FAN]>),
    Leaf(Box<Leaf>),
}

/// Pages that were taken out together.
pub type Gone = [Option<Arc<Page>>; FAN];

/// A sparse array of pages.
///
/// Invariant: a node that lost the last thing in it is gone; one without anything was added for an [`PageTree::insert`] to come.
pub struct PageTree {
    root: Option<Node>,
    /// Levels of inner nodes above the leaves.
    height: u32,
    held: usize,
}

/// A leaf, to be allocated before a spin lock is taken. ENOMEM when memory is short.
pub fn new_leaf() -> Result<Box<Leaf>> {
    try_box(Leaf { pages: [const { None }; FAN], held: 0 })
}

/// The place of `index` in a node that has `level` levels below it.
fn place(index: u64, level: u32) -> usize {
    (index >> (BITS * level)) as usize % FAN
}

impl PageTree {
    /// An empty tree.
    pub const fn new() -> Self {
        Self { root: None, height: 0, held: 0 }
    }

    /// How many pages there are.
    pub fn len(&self) -> usize {
        self.held
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Whether an index is beyond what the tree is high enough for.
    #[inline]
    fn beyond(&self, index: u64) -> bool {
        index.checked_shr(BITS * (self.height + 1)).is_some_and(|rest| rest != 0)
    }

    #[inline]
    fn leaf(&self, index: u64) -> Option<&Leaf> {
        if self.beyond(index) {
            return None;
        }
        let (mut node, mut level) = (self.root.as_ref()?, self.height);
        loop {
            match node {
                Node::Leaf(leaf) => return Some(leaf),
                Node::Inner(below) => node = below[place(index, level)].as_ref()?,
            }
            level -= 1;
        }
    }

    /// The page at `index`.
    #[inline]
    pub fn get(&self, index: u64) -> Option<&Arc<Page>> {
        self.leaf(index)?.pages[place(index, 0)].as_ref()
    }

    /// The first index at or after `from` that has a page.
    pub fn next(&self, from: u64) -> Option<u64> {
        if self.beyond(from) { None } else { next_in(self.root.as_ref()?, self.height, from) }
    }

    /// Whether a page can be put at `index` without another leaf.
    pub fn has_leaf(&self, index: u64) -> bool {
        self.leaf(index).is_some()
    }
    /// Makes room at `index`; a leaf that is there already stays. ENOMEM when memory is short.
    pub fn add_leaf(&mut self, index: u64, leaf: Box<Leaf>) -> Result<()> {
        while self.beyond(index) {
            if self.root.is_some() {
                let mut below = try_box([const { None }; FAN])?;
                below[0] = self.root.take();
                self.root = Some(Node::Inner(below));
            }
            self.height += 1;
        }
        let (mut slot, mut level) = (&mut self.root, self.height);
        while level > 0 {
            if slot.is_none() {
                *slot = Some(Node::Inner(try_box([const { None }; FAN])?));
            }
            let Some(Node::Inner(below)) = slot else { unreachable!("a leaf above the leaves") };
            slot = &mut below[place(index, level)];
            level -= 1;
        }
        slot.get_or_insert(Node::Leaf(leaf));
        Ok(())
    }

    /// Puts a page at `index`, where [`PageTree::add_leaf`] made room; returns what was there.
    pub fn insert(&mut self, index: u64, page: Arc<Page>) -> Option<Arc<Page>> {
        let (mut slot, mut level) = (&mut self.root, self.height);
        let leaf = loop {
            match slot {
                Some(Node::Leaf(leaf)) => break leaf,
                Some(Node::Inner(below)) => slot = &mut below[place(index, level)],
                None => unreachable!("no leaf"),
            }
            level -= 1;
        };
        let old = leaf.pages[place(index, 0)].replace(page);
        if old.is_none() {
            leaf.held += 1;
            self.held += 1;
        }
        old
    }

    /// Takes the page at `index` out, if `which` agrees.
    pub fn take_if(&mut self, index: u64, which: fn(&Arc<Page>) -> bool) -> Option<Arc<Page>> {
        if self.beyond(index) {
            return None;
        }
        let page = take_in(&mut self.root, self.height, index, which)?;
        self.held -= 1;
        Some(page)
    }
    /// Removes the page at `index`.
    pub fn take(&mut self, index: u64) -> Option<Arc<Page>> {
        self.take_if(index, |_| true)
    }

    /// Removes the pages at or after `from` that are in the first leaf with any. `None`: there are no more.
    pub fn take_from(&mut self, from: u64) -> Option<Gone> {
        let first = self.next(from)?;
        let mut gone = [const { None }; FAN];
        for (i, slot) in gone.iter_mut().enumerate().skip(place(first, 0)) {
            *slot = self.take(first - first % FAN as u64 + i as u64);
        }
        Some(gone)
    }
}

/// The first index from `from` on that has a page, counted from the node's first.
fn next_in(node: &Node, level: u32, from: u64) -> Option<u64> {
    let first = place(from, level);
    match node {
        Node::Leaf(leaf) => leaf.pages[first..].iter().position(Option::is_some).map(|i| (first + i) as u64),
        Node::Inner(below) => (first..FAN).find_map(|i| {
            let begins = (i as u64) << (BITS * level);
            let from = from.saturating_sub(begins) * u64::from(i == first);
            next_in(below[i].as_ref()?, level - 1, from).map(|rest| begins + rest)
        }),
    }
}

fn take_in(slot: &mut Option<Node>, level: u32, index: u64, which: fn(&Arc<Page>) -> bool) -> Option<Arc<Page>> {
    let (page, empty) = match slot.as_mut()? {
        Node::Leaf(leaf) => {
            let page = leaf.pages[place(index, 0)].take_if(|p| which(p))?;
            leaf.held -= 1;
            (page, leaf.held == 0)
        }
        Node::Inner(below) => {
            let child = &mut below[place(index, level)];
            let page = take_in(child, level - 1, index, which)?;
            (page, child.is_none() && below.iter().all(Option::is_none))
        }
    };
    if empty {
        *slot = None;
    }
    Some(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn tree(indices: &[u64]) -> PageTree {
        let mut t = PageTree::new();
        for &i in indices {
            t.add_leaf(i, new_leaf().unwrap()).unwrap();
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
        assert!(t.take_if(5, |p| Arc::strong_count(p) > 1).is_none());
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

    #[test]
    fn it_does_what_an_ordered_map_does() {
        let (mut t, mut model) = (PageTree::new(), std::collections::BTreeMap::new());
        let mut x = 88_172_645_463_325_252u64;
        for round in 0..20_000 {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            // Some lie close together, some anywhere.
            let index = if x & 64 == 0 { x >> 52 } else { x >> (x >> 58) };
            if x & 1 == 0 {
                let page = Page::new().unwrap();
                t.add_leaf(index, new_leaf().unwrap()).unwrap();
                t.insert(index, page.clone());
                model.insert(index, page);
            } else {
                let from = model.range(index..).next().map_or(index, |m| *m.0);
                assert_eq!(t.take(from).is_some(), model.remove(&from).is_some());
            }
            assert_eq!(t.next(index), model.range(index..).next().map(|m| *m.0), "round {round}");
            assert_eq!((t.len(), t.get(index).is_some()), (model.len(), model.contains_key(&index)));
        }
        while let Some(gone) = t.take_from(1 << 20) {
            gone.iter().flatten().for_each(|_| assert!(model.pop_last().is_some()));
        }
        assert!(model.range(1 << 20..).next().is_none() && all(&t).iter().eq(model.keys()));
        while t.take_from(0).is_some() {}
        assert!(t.root.is_none() && t.is_empty());
    }
}
