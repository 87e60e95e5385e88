//! The pages of one file: pure bookkeeping, used under the cache's spin lock.

use crate::util::try_box;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use libos_base::Result;
use libos_base::layout::PAGE_SIZE;
use libos_base::page::Page;

/// Pages in a leaf: one word of bits for each state.
pub const FAN: u64 = 64;
pub const PAGE: u64 = PAGE_SIZE as u64;

/// A block of adjacent pages.
pub struct Leaf {
    pages: [Option<Arc<Page>>; FAN as usize],
    /// Newer than the storage.
    dirty: u64,
    /// On their way from the storage: not usable yet.
    reading: u64,
    /// Used again since the clock last passed.
    used: u64,
}

/// What is at an index.
pub enum Found {
    Page(Arc<Page>),
    /// Somebody is reading it.
    Reading,
    Missing,
}

/// Which pages to drop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Which {
    All,
    /// Only those that are neither dirty nor being read.
    Clean,
    /// Clean ones that nobody else holds.
    Unused,
}

/// Pages that were removed, to be freed without the lock.
pub type Gone = [Option<Arc<Page>>; FAN as usize];

/// All pages of a file.
#[derive(Default)]
pub struct Tree {
    leaves: BTreeMap<u64, Box<Leaf>>,
    /// Numbers of the leaves with dirty pages, ascending. A leaf spans 256 KiB, so the list is short and mostly grows
    /// at its end: a vector costs less than a second kind of tree.
    dirty_leaves: Vec<u64>,
    /// Length of the file.
    pub size: u64,
    /// The end of a write being copied: bytes between `size` and this belong to it.
    pub writing_end: u64,
    /// Pages held, and how many of them are dirty.
    pub held: usize,
    pub dirty: usize,
    /// When the oldest dirty page became dirty.
    pub dirty_since: u64,
    /// The leaf where the clock continues.
    hand: u64,
}

fn bit(index: u64) -> u64 {
    1 << (index % FAN)
}

/// Bits of `leaf` for the indices in `range`.
fn mask(leaf: u64, range: &Range<u64>) -> u64 {
    let first = leaf * FAN;
    let from = range.start.saturating_sub(first).min(FAN);
    let to = range.end.saturating_sub(first).min(FAN);
    let below = |n: u64| if n == FAN { u64::MAX } else { (1 << n) - 1 };
    below(to) & !below(from)
}

/// First index after the file's last page.
pub fn pages_of(size: u64) -> u64 {
    size.div_ceil(PAGE)
}

impl Leaf {
    fn empty(&self) -> bool {
        self.pages.iter().all(Option::is_none)
    }
}

/// A leaf, allocated before the lock is taken.
pub fn new_leaf() -> Result<Box<Leaf>> {
    try_box(Leaf { pages: [const { None }; FAN as usize], dirty: 0, reading: 0, used: 0 })
}

impl Tree {
    /// An empty tree for a file of this length.
    pub fn new(size: u64) -> Self {
        Self { size, ..Self::default() }
    }

    fn leaf(&self, index: u64) -> Option<&Leaf> {
        self.leaves.get(&(index / FAN)).map(|l| &**l)
    }

    /// Looks up a page that will be used.
    pub fn find(&mut self, index: u64) -> Found {
        let Some(l) = self.leaves.get_mut(&(index / FAN)) else { return Found::Missing };
        match &l.pages[(index % FAN) as usize] {
            None => Found::Missing,
            Some(_) if l.reading & bit(index) != 0 => Found::Reading,
            Some(p) => {
                l.used |= bit(index);
                Found::Page(p.clone())
            }
        }
    }
    /// Whether something is at `index`.
    pub fn has(&self, index: u64) -> bool {
        self.leaf(index).is_some_and(|l| l.pages[(index % FAN) as usize].is_some())
    }
    /// Whether somebody is reading this page.
    pub fn is_reading(&self, index: u64) -> bool {
        self.leaf(index).is_some_and(|l| l.reading & bit(index) != 0)
    }
    /// Whether `page` is the one at `index`.
    pub fn is(&self, index: u64, page: &Arc<Page>) -> bool {
        self.leaf(index).and_then(|l| l.pages[(index % FAN) as usize].as_ref()).is_some_and(|p| Arc::ptr_eq(p, page))
    }
    /// Whether there is a leaf for `index`.
    pub fn has_leaf(&self, index: u64) -> bool {
        self.leaves.contains_key(&(index / FAN))
    }
    /// Adds a leaf for `index`, where there is none.
    pub fn add_leaf(&mut self, index: u64, leaf: Box<Leaf>) {
        self.leaves.insert(index / FAN, leaf);
    }

    /// Puts a page where there is none. The leaf must exist.
    pub fn put(&mut self, index: u64, page: Arc<Page>, reading: bool) -> bool {
        let Some(l) = self.leaves.get_mut(&(index / FAN)) else { return false };
        let slot = &mut l.pages[(index % FAN) as usize];
        if slot.is_some() {
            return false;
        }
        *slot = Some(page);
        if reading {
            l.reading |= bit(index);
        }
        self.held += 1;
        true
    }

    /// A read of `page` ended: the page is usable now, or it is removed and returned.
    pub fn read_done(&mut self, index: u64, page: &Arc<Page>, ok: bool) -> Option<Arc<Page>> {
        if !self.is(index, page) {
            return None;
        }
        let l = self.leaves.get_mut(&(index / FAN))?;
        l.reading &= !bit(index);
        if ok { None } else { self.take(index) }
    }

    fn take(&mut self, index: u64) -> Option<Arc<Page>> {
        let l = self.leaves.get_mut(&(index / FAN))?;
        let p = l.pages[(index % FAN) as usize].take()?;
        self.held -= 1;
        l.reading &= !bit(index);
        l.used &= !bit(index);
        if l.dirty & bit(index) != 0 {
            l.dirty &= !bit(index);
            self.dirty -= 1;
            if l.dirty == 0 {
                self.leaf_is_clean(index / FAN);
            }
        }
        Some(p)
    }

    /// Marks the page at `index` dirty if it is `page`. Returns whether it is, and whether it was clean.
    pub fn mark(&mut self, index: u64, page: &Arc<Page>, now: impl FnOnce() -> u64) -> (bool, bool) {
        if !self.is(index, page) {
            return (false, false);
        }
        let Some(l) = self.leaves.get_mut(&(index / FAN)) else { return (false, false) };
        if l.dirty & bit(index) != 0 {
            return (true, false);
        }
        let first = l.dirty == 0;
        l.dirty |= bit(index);
        if first {
            let at = self.dirty_leaves.partition_point(|&n| n < index / FAN);
            self.dirty_leaves.insert(at, index / FAN);
        }
        if self.dirty == 0 {
            self.dirty_since = now();
        }
        self.dirty += 1;
        (true, true)
    }

    fn leaf_is_clean(&mut self, leaf: u64) {
        if let Ok(at) = self.dirty_leaves.binary_search(&leaf) {
            self.dirty_leaves.remove(at);
        }
    }

    /// The first dirty page in `range`.
    fn first_dirty(&self, range: &Range<u64>) -> Option<u64> {
        if range.is_empty() {
            return None;
        }
        let from = self.dirty_leaves.partition_point(|&n| n < range.start / FAN);
        self.dirty_leaves[from..].iter().take_while(|&&n| n <= (range.end - 1) / FAN).find_map(|&n| {
            let bits = self.leaves.get(&n)?.dirty & mask(n, range);
            (bits != 0).then(|| n * FAN + u64::from(bits.trailing_zeros()))
        })
    }

    /// Takes the first dirty pages in `range`, as many as `pages` has room for: from now on they are clean.
    pub fn collect(&mut self, range: &Range<u64>, indices: &mut Vec<u64>, pages: &mut Vec<Arc<Page>>) {
        let max = pages.capacity().min(indices.capacity());
        let mut at = range.start;
        while pages.len() < max
            && let Some(index) = self.first_dirty(&(at..range.end))
        {
            let Some(l) = self.leaves.get_mut(&(index / FAN)) else { break };
            if let Some(p) = &l.pages[(index % FAN) as usize] {
                indices.push(index);
                pages.push(p.clone());
            }
            l.dirty &= !bit(index);
            self.dirty -= 1;
            if l.dirty == 0 {
                self.leaf_is_clean(index / FAN);
            }
            at = index + 1;
        }
    }

    /// Moves pages of `range` into `gone`. True if there may be more.
    pub fn drop_range(&mut self, range: &Range<u64>, what: Which, gone: &mut Gone) -> bool {
        let mut n = 0;
        let mut from = range.start;
        while from < range.end {
            let Some((&leaf, l)) = self.leaves.range(from / FAN..=(range.end - 1) / FAN).next() else { return false };
            let mut bits = mask(leaf, range);
            if what != Which::All {
                bits &= !(l.dirty | l.reading);
            }
            while bits != 0 {
                let i = bits.trailing_zeros();
                bits &= bits - 1;
                let index = leaf * FAN + u64::from(i);
                let shared = |p: &Arc<Page>| Arc::strong_count(p) > 1;
                let there = self.leaf(index).and_then(|l| l.pages[i as usize].as_ref()).map(shared);
                if there.is_none_or(|shared| shared && what == Which::Unused) {
                    continue;
                }
                if n == gone.len() {
                    return true;
                }
                gone[n] = self.take(index);
                n += 1;
            }
            if self.leaf(leaf * FAN).is_some_and(Leaf::empty) {
                self.leaves.remove(&leaf);
            }
            from = (leaf + 1) * FAN;
        }
        false
    }

    /// One step of the clock: looks at one leaf and takes its clean pages that were not used since the last time and
    /// that nobody else holds. `None`: it has gone round the file.
    pub fn clock(&mut self, gone: &mut Gone) -> Option<usize> {
        let (&n, l) = self.leaves.range_mut(self.hand..).next().or_else(|| {
            self.hand = 0;
            None
        })?;
        let mut taken = 0;
        let busy = l.dirty | l.reading | l.used;
        l.used = 0;
        for (i, slot) in l.pages.iter_mut().enumerate() {
            if busy & 1 << i == 0 && slot.as_ref().is_some_and(|p| Arc::strong_count(p) == 1) {
                gone[taken] = slot.take();
                taken += 1;
            }
        }
        self.held -= taken;
        self.hand = n + 1;
        if l.empty() {
            self.leaves.remove(&n);
        }
        Some(taken)
    }

    /// Whether all pages of `range` are present.
    pub fn covers(&self, mut range: Range<u64>) -> bool {
        range.all(|i| self.leaf(i).is_some_and(|l| l.pages[(i % FAN) as usize].is_some() && l.reading & bit(i) == 0))
    }
}
