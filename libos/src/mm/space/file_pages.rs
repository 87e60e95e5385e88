//! Pages of files in the program's space: mapped, write-protected, and unmapped when the file or memory wants it.

use super::{Space, Touched, follow, frame, index, level, regain, rights};
use crate::arch::page::*;
use crate::mm::vma::{Flags, Prot, Vma};
use crate::mm::{commit, cpu, tlb};
use alloc::sync::Arc;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;
use libos_base::layout::{PAGE_SIZE, phys_of, virt_of};
use libos_base::page::Page;
use libos_base::page_tree::new_leaf;
use libos_base::{Errno, Result};

impl Space {
    /// Maps a page of a file at `addr` of `vma`: the page itself, or for a private write a copy of it.
    pub fn fill_file(&mut self, addr: usize, vma: &Vma, page: Arc<Page>, write: bool) -> Result<()> {
        let shared = vma.flags.contains(Flags::SHARED);
        // A page of the file may be writable elsewhere, an executable one must not be: use a copy, which no other
        // mapping has.
        let copy = !shared && (write || vma.prot.contains(Prot::EXEC));
        let phys = phys_of(page.addr() as usize);
        if !copy {
            self.make_room(addr)?;
        }
        let e = self.tables().entry_or_make(addr).ok_or(Errno::ENOMEM)?;
        let old = e.load(Relaxed);
        if old & OWNED != 0 {
            return regain(e, addr, vma.prot);
        }
        if copy {
            let frame = frame(level(vma))?;
            // SAFETY: a fresh frame of ours, as long as the page.
            page.read(0, unsafe { core::slice::from_raw_parts_mut(virt_of(frame) as *mut u8, PAGE_SIZE) });
            let mut v = frame | OWNED;
            let sealed = follow(&mut v, vma.prot);
            e.store(v | if sealed { rights(vma.prot, true) } else { 0 }, Relaxed);
            if v & SEALED != 0 {
                cpu::pinned(|_| tlb::flush_soon());
            }
            self.own += 1;
            if vma.flags.contains(Flags::PROMISED) {
                commit::settle(1);
            }
        } else {
            e.store(phys | rights(vma.prot, write), Relaxed);
        }
        if old & PRESENT != 0 {
            tlb::flush(addr..addr + PAGE_SIZE);
        }
        // The old page, if any, is dropped after the flush.
        if copy {
            self.pages.take(index(addr));
        } else {
            self.pages.insert(index(addr), page);
        }
        Ok(())
    }

    /// The first address in `range` where a page of a file is mapped.
    pub(super) fn next_page(&self, range: &Range<usize>) -> Option<usize> {
        self.pages.next(index(range.start)).map(|i| i as usize * PAGE_SIZE).filter(|a| *a < range.end)
    }

    /// Makes sure that a page can be remembered at `addr`.
    pub(super) fn make_room(&mut self, addr: usize) -> Result<()> {
        if !self.pages.has_leaf(index(addr)) {
            self.pages.add_leaf(index(addr), new_leaf()?)?;
        }
        Ok(())
    }

    /// The number of mapped pages of files.
    pub fn file_pages(&self) -> usize {
        self.pages.len()
    }

    /// Unmaps pages of files that have not been touched since the last call and cannot be written through the mapping:
    /// about `want` of them, from address `from` on. Returns where to continue next time, 0 when it reached the end.
    pub fn unmap_untouched(&mut self, from: usize, want: usize, of_cache: impl Fn(&Vma) -> bool) -> usize {
        let mut list = [0; 64];
        let mut n = 0;
        let mut next = 0;
        let mut vma: Option<(usize, usize, bool)> = None;
        for addr in core::iter::successors(self.next_page(&(from..usize::MAX)), |a| {
            self.next_page(&(a + PAGE_SIZE..usize::MAX))
        }) {
            if n == list.len().min(want) {
                next = addr;
                break;
            }
            if !vma.as_ref().is_some_and(|(start, end, _)| (*start..*end).contains(&addr)) {
                vma = self.vmas.find(addr).map(|(start, v)| (start, v.end, of_cache(v)));
            }
            let Some(e) = self.tables.as_ref().and_then(|t| t.entry(addr)) else { continue };
            if vma.is_some_and(|(_, _, of_cache)| of_cache)
                && e.load(Relaxed) & (WRITE | OWNED) == 0
                // A stale translation may be used without setting the mark again: then a fault brings the page back.
                && e.fetch_and(!ACCESSED, Relaxed) & ACCESSED == 0
            {
                list[n] = addr;
                n += 1;
            }
        }
        self.unmap_list(&list[..n]);
        next
    }

    /// Unmaps the pages of files in the range, but not private copies of such pages.
    pub fn unmap_pages(&mut self, range: Range<usize>) {
        let mut list = [0; 64];
        loop {
            let mut n = 0;
            let mut from = range.start;
            while n < list.len()
                && let Some(addr) = self.next_page(&(from..range.end))
            {
                list[n] = addr;
                n += 1;
                from = addr + PAGE_SIZE;
            }
            if n == 0 {
                return;
            }
            self.unmap_list(&list[..n]);
        }
    }

    /// Unmaps pages of files, at ascending addresses.
    fn unmap_list(&mut self, list: &[usize]) {
        let mut touched = Touched::default();
        for &addr in list {
            if let Some(e) = self.tables().entry(addr) {
                e.store(0, Relaxed);
                touched.add(addr, PAGE_SIZE);
            }
        }
        touched.flush();
        for addr in list {
            self.pages.take(index(*addr));
        }
    }

    /// Removes write access from the pages of a shared mapping: the next write faults.
    pub fn protect_shared(&mut self, range: Range<usize>) {
        let mut touched = Touched::default();
        self.tables().for_each(range, &mut |addr, size, e| {
            if e.fetch_and(!(WRITE | DIRTY), Relaxed) & WRITE != 0 {
                touched.add(addr, size);
            }
        });
        touched.flush();
    }
}
