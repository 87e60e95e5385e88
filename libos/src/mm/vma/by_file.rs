//! The mappings of each file, as a list: what the reverse map leads to ([`libos_base::rmap`]).
//!
//! Mappings come and go only through [`VmaMap::put`] and [`VmaMap::pull`], also where they are split and merged. List
//! links are addresses, as a neighbour's node may be replaced at any time.

use super::{Kind, Vma, VmaMap};
use alloc::boxed::Box;
use core::ops::Range;
use libos_base::layout::PAGE_SIZE;
use libos_base::rmap::Mappings;

/// A mapping, and where its neighbours among those of the same file begin; 0 at the ends.
pub(super) struct Node {
    pub vma: Vma,
    before: usize,
    next: usize,
}

impl Vma {
    fn mappings(&self) -> Option<&Mappings> {
        if let Kind::File(f, _) = &self.kind { f.mappings() } else { None }
    }

    /// Where the mapping, which begins at `start`, shows these pages of its file.
    pub fn shows(&self, start: usize, pages: &Range<u64>) -> Range<usize> {
        let Kind::File(_, offset) = &self.kind else { return start..start };
        let first = offset / PAGE_SIZE as u64;
        let place = |page: u64| {
            let skipped = page.saturating_sub(first).min(((self.end - start) / PAGE_SIZE) as u64);
            start + skipped as usize * PAGE_SIZE
        };
        place(pages.start)..place(pages.end)
    }
}

impl VmaMap {
    fn node(&mut self, addr: usize) -> Option<&mut Node> {
        if addr == 0 { None } else { self.map.get_mut(&addr).map(|n| &mut **n) }
    }

    /// Puts a mapping in its place.
    pub(super) fn put(&mut self, start: usize, vma: Vma) {
        let mut node = Box::new(Node { vma, before: 0, next: 0 });
        if let Some(file) = node.vma.mappings() {
            node.next = file.first();
            file.set_first(start);
            if let Some(next) = self.node(node.next) {
                next.before = start;
            }
        }
        self.map.insert(start, node);
    }

    /// Removes the mapping that begins at `start`.
    pub(super) fn pull(&mut self, start: usize) -> Option<Vma> {
        let Node { vma, before, next } = *self.map.remove(&start)?;
        if let Some(file) = vma.mappings() {
            match self.node(before) {
                Some(node) => node.next = next,
                None => file.set_first(next),
            }
            if let Some(node) = self.node(next) {
                node.before = before;
            }
        }
        Some(vma)
    }

    /// A mapping of the file: the first, or the one after that at `after`.
    pub fn next_of(&self, file: &Mappings, after: Option<usize>) -> Option<(usize, &Vma)> {
        let at = after.map_or_else(|| file.first(), |a| self.map.get(&a).map_or(0, |n| n.next));
        self.map.get(&at).map(|n| (at, &n.vma))
    }
}

#[cfg(test)]
mod tests;
