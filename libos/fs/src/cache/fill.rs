//! Reading: hits, misses, and readahead for sequential reads.

use super::level::{self, May};
use super::tree::{Found, PAGE, new_leaf, pages_of};
use super::{FileCache, global};
use crate::inode::Pattern;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;
use libos_base::io::Sink;
use libos_base::layout::PAGE_SIZE;
use libos_base::page::Page;
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result};

/// Most pages moved by one call to the storage.
pub const BATCH: usize = 256;
/// Most pages read ahead (128 KiB), and the initial window.
const WINDOW_MAX: u32 = 32;
const WINDOW_MIN: u32 = 4;

/// The sequential streams in this file: as many at once as there are entries.
#[derive(Default)]
pub struct Streams {
    list: [Stream; 4],
    ticks: u32,
}

#[derive(Clone, Copy, Default)]
struct Stream {
    /// The page that comes next.
    next: u64,
    /// Pages of the last read; 0: not known to be sequential yet.
    window: u32,
    /// When it was last used.
    tick: u32,
}

impl Streams {
    /// `wanted` pages from `index` on are missing and must be read. Returns how many to read.
    pub fn miss(&mut self, index: u64, wanted: u32, pattern: Pattern) -> u32 {
        if pattern == Pattern::Random {
            return wanted;
        }
        self.ticks = self.ticks.wrapping_add(1);
        let max = if pattern == Pattern::Sequential { 2 * WINDOW_MAX } else { WINDOW_MAX };
        let now = self.ticks;
        // Sequential, or a little further on: the pages between may have been cached.
        let known = self.list.iter_mut().find(|s| s.tick != 0 && (s.next..s.next + 16).contains(&index));
        let (s, in_order) = match known {
            Some(s) => (s, true),
            None => {
                let oldest = self.list.iter_mut().min_by_key(|s| s.tick).unwrap_or_else(|| unreachable!());
                *oldest = Stream::default();
                // A read that starts at the beginning, or wants a lot at once, is probably sequential.
                (oldest, index == 0 || wanted > WINDOW_MIN)
            }
        };
        s.window = match (in_order, s.window) {
            (false, _) => 0,
            (true, 0) => (2 * wanted).clamp(WINDOW_MIN, max),
            (true, w) => (2 * w).min(max),
        };
        s.tick = now.max(1);
        let n = wanted.max(s.window);
        s.next = index + u64::from(n);
        n
    }
}

impl FileCache {
    pub(super) fn pattern(&self) -> Pattern {
        match self.pattern.load(Relaxed) {
            1 => Pattern::Random,
            2 => Pattern::Sequential,
            _ => Pattern::Normal,
        }
    }

    /// Reads from `pos`, up to the end of the file.
    pub fn read(&self, mut pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        let may = &mut level::filling();
        dst.pieces(|dst| {
            let off = (pos % PAGE) as usize;
            let wanted = ((off + dst.left()).div_ceil(PAGE_SIZE)).min(BATCH);
            let (page, size) = self.get_sized(may, pos / PAGE, wanted as u32)?;
            let n = dst.left().min(PAGE_SIZE - off).min(size.saturating_sub(pos) as usize);
            let Some(page) = page.filter(|_| n > 0) else { return Ok(false) };
            let put = dst.put_page(&page, off, n)?;
            pos += put as u64;
            Ok(put == n)
        })
    }

    /// The page at `index`, read if necessary; `wanted` pages from there on will be needed. `None`: past the end.
    pub(super) fn get(&self, may: &mut May<'_>, index: u64, wanted: u32) -> Result<Option<Arc<Page>>> {
        self.get_sized(may, index, wanted).map(|(page, _)| page)
    }

    /// Like `get`, with the file's length at that moment.
    fn get_sized(&self, may: &mut May<'_>, index: u64, wanted: u32) -> Result<(Option<Arc<Page>>, u64)> {
        loop {
            let (found, size) = {
                let mut t = self.tree.lock();
                if index >= pages_of(t.size) {
                    return Ok((None, t.size));
                }
                (t.find(index), t.size)
            };
            match found {
                Found::Page(p) => return Ok((Some(p), size)),
                Found::Reading => {
                    let _ = self.filled.wait(FOREVER, false, || (!self.tree.lock().is_reading(index)).then_some(()));
                }
                Found::Missing => {
                    let n = self.streams.lock().miss(index, wanted, self.pattern());
                    match self.fill(may, index, n as usize) {
                        // A page read ahead may be unreadable, which is not the caller's problem yet.
                        Err(_) if n > 1 => self.fill(may, index, 1)?,
                        r => r?,
                    }
                }
            }
        }
    }

    /// Reads up to `n` pages from `index` on, as far as they are missing.
    fn fill(&self, may: &mut May<'_>, index: u64, n: usize) -> Result<()> {
        let backing = self.backing.upgrade().ok_or(Errno::EIO)?;
        let mut pages: Vec<Arc<Page>> = Vec::new();
        let n = n.clamp(1, BATCH);
        if pages.try_reserve_exact(n).is_err() {
            pages.try_reserve_exact(1)?;
        }
        let n = n.min(pages.capacity());
        for at in index..index + n as u64 {
            if !self.add_missing(may, at, &mut pages)? {
                break;
            }
        }
        if pages.is_empty() {
            return Ok(());
        }
        let result = backing.read_pages(index, &pages);
        global::read(pages.len());
        self.read_done(index, &pages, result.is_ok());
        result
    }

    /// Adds a page at `at` that is to be read. False: there is one already, or the file is shorter, or memory is short
    /// and the page would only be readahead.
    fn add_missing(&self, may: &mut May<'_>, at: u64, pages: &mut Vec<Arc<Page>>) -> Result<bool> {
        let wants = |t: &super::Tree| at < pages_of(t.size) && !t.has(at);
        if !wants(&self.tree.lock()) {
            return Ok(false);
        }
        // A thread that truncates this file or writes to it may be waiting for the pages added so far while holding the
        // write-back locks, so nothing may be written back to make room for the second page or later ones.
        let page = if pages.is_empty() {
            global::new_page(may)?
        } else {
            let Some(p) = global::spare_page() else { return Ok(false) };
            p
        };
        let added = self.put_page(at, &page, true, wants).inspect_err(|_| {
            if !pages.is_empty() {
                self.read_done(at - pages.len() as u64, pages, false);
            }
        })?;
        if added {
            pages.push(page);
        }
        Ok(added)
    }

    /// Pages have been read, or else are removed: their read failed or will not happen.
    fn read_done(&self, first: u64, pages: &[Arc<Page>], ok: bool) {
        for (i, p) in pages.iter().enumerate() {
            let gone = self.tree.lock().read_done(first + i as u64, p, ok);
            if gone.is_some() {
                global::count_held(-1);
            }
        }
        self.filled.wake_all();
    }

    /// Puts `page` at `index` if nothing is there and `wants` still holds.
    pub(super) fn put_page(
        &self,
        index: u64,
        page: &Arc<Page>,
        reading: bool,
        wants: impl Fn(&super::Tree) -> bool,
    ) -> Result<bool> {
        let mut spare = None;
        loop {
            let mut t = self.tree.lock();
            if !wants(&t) {
                return Ok(false);
            }
            if !t.has_leaf(index) {
                let Some(leaf) = spare.take() else {
                    drop(t);
                    spare = Some(new_leaf()?);
                    continue;
                };
                t.add_leaf(index, leaf);
            }
            let added = t.put(index, page.clone(), reading);
            drop(t);
            if added {
                global::count_held(1);
            }
            return Ok(added);
        }
    }

    /// Reads pages in ahead of use, at most 2 MiB (Linux has the same bound). Errors show up when the pages are used.
    pub fn will_need(&self, bytes: Range<u64>) {
        let end = pages_of(bytes.end.min(self.size()));
        let mut at = bytes.start / PAGE;
        // No more than memory can hold without dropping what was just read.
        let mut left = (global::available() / 2).min(2 * BATCH);
        while at < end && left > 0 {
            let n = (end - at).min(BATCH as u64).min(left as u64);
            let missing = !self.tree.lock().has(at);
            if !missing {
                at += 1;
                continue;
            }
            if self.fill(&mut level::filling(), at, n as usize).is_err() {
                return;
            }
            at += 1;
            left -= 1;
        }
    }
}
