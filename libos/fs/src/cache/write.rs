//! Writing and truncation.

use super::level::{self, Free};
use super::tree::{Found, Gone, PAGE, Which, pages_of};
use super::{FileCache, global};
use alloc::sync::Arc;
use core::ops::Range;
use libos_base::io::Source;
use libos_base::layout::PAGE_SIZE;
use libos_base::page::Page;
use libos_base::sync::May;
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result};

impl FileCache {
    /// Writes at `pos`; returns how much. The file grows as bytes arrive, and skipped bytes read as zeros; the caller
    /// has made sure that there is space.
    pub fn write(&self, mut pos: u64, src: &mut Source<'_>) -> Result<usize> {
        let mut may = May::<Free>::begin();
        let (_w, mut may) = self.writer.lock(&mut may);
        let may = &mut may.to();
        if src.left() > 0 && pos > self.size() {
            self.extend(may, pos)?;
        }
        src.pieces(|src| {
            let n = src.left().min(PAGE_SIZE - (pos % PAGE) as usize);
            let k = self.write_piece(may, pos, n, src)?;
            pos += k as u64;
            self.throttle(may);
            Ok(k == n)
        })
    }

    /// Writes `n` bytes within one page.
    fn write_piece(&self, may: &mut level::May<'_>, pos: u64, n: usize, src: &mut Source<'_>) -> Result<usize> {
        let (index, off) = (pos / PAGE, (pos % PAGE) as usize);
        let (there, size) = {
            let mut t = self.tree.lock();
            if pos + n as u64 > t.size {
                t.writing_end = pos + n as u64;
            }
            (t.has(index), t.size)
        };
        let behind = index >= pages_of(size);
        // Nothing of the storage's content would remain, so it need not be read.
        let whole = off == 0 && (n == PAGE_SIZE || pos + n as u64 >= size);
        let r = if !there && (behind || whole) {
            self.write_fresh(may, pos, n, src, behind)
        } else {
            match self.get(may, index, 1) {
                Ok(Some(page)) => {
                    let r = src.take_page(&page, off, n);
                    if let Ok(k) = r { self.settle(may, pos, k, page).map(|()| k) } else { r }
                }
                // Only truncation shortens a file, and that waits for us.
                Ok(None) => Err(Errno::EIO),
                Err(e) => Err(e),
            }
        };
        self.tree.lock().writing_end = 0;
        r
    }

    /// Writes to a page that is not in memory and need not be read.
    fn write_fresh(
        &self,
        may: &mut level::May<'_>,
        pos: u64,
        n: usize,
        src: &mut Source<'_>,
        behind: bool,
    ) -> Result<usize> {
        let (index, off) = (pos / PAGE, (pos % PAGE) as usize);
        let page = global::new_page(may)?;
        let k = src.take_page(&page, off, n)?;
        if k == n || behind && k > 0 {
            let end = pos + k as u64;
            // It is dirty, and the file reaches it, from the moment it becomes visible.
            let wants = |t: &super::Tree| !t.has(index);
            if self.put_dirty(index, &page, end, wants)? {
                return Ok(k);
            }
        }
        if k > 0 {
            // Somebody read the page meanwhile, or the source ended early and the rest of the page matters.
            self.copy_over(may, pos, k, &page)?;
        }
        Ok(k)
    }

    /// Puts a fresh dirty page and extends the file to at least `end`.
    fn put_dirty(&self, index: u64, page: &Arc<Page>, end: u64, wants: impl Fn(&super::Tree) -> bool) -> Result<bool> {
        // Not usable until it is dirty and the file reaches it.
        if !self.put_page(index, page, true, wants)? {
            return Ok(false);
        }
        let fresh = {
            let mut t = self.tree.lock();
            t.size = t.size.max(end);
            let (_, fresh) = t.mark(index, page, libos_base::time::monotonic_ns);
            t.read_done(index, page, true);
            fresh
        };
        if fresh {
            global::dirtied(self);
        }
        self.filled.wake_all();
        Ok(true)
    }

    /// Bytes were copied into `page`: marks it dirty and extends the file to them.
    fn settle(&self, may: &mut level::May<'_>, pos: u64, n: usize, page: Arc<Page>) -> Result<()> {
        if n == 0 {
            return Ok(());
        }
        let (is, fresh) = {
            let mut t = self.tree.lock();
            let r = t.mark(pos / PAGE, &page, libos_base::time::monotonic_ns);
            if r.0 {
                t.size = t.size.max(pos + n as u64);
            }
            r
        };
        if fresh {
            global::dirtied(self);
        }
        // Otherwise it was dropped as a clean page while the bytes arrived.
        if is { Ok(()) } else { self.copy_over(may, pos, n, &page) }
    }

    /// Copies bytes that were written to `from`, which is no longer the file's page, to the one that is.
    fn copy_over(&self, may: &mut level::May<'_>, pos: u64, n: usize, from: &Page) -> Result<()> {
        let (index, off) = (pos / PAGE, (pos % PAGE) as usize);
        loop {
            let page = match self.get(may, index, 1)? {
                Some(p) => p,
                None => {
                    let page = global::new_page(may)?;
                    page.copy_from(off, from, off, n);
                    if self.put_dirty(index, &page, pos + n as u64, |t| !t.has(index))? {
                        return Ok(());
                    }
                    continue;
                }
            };
            page.copy_from(off, from, off, n);
            if self.mark(index, &page) {
                let mut t = self.tree.lock();
                t.size = t.size.max(pos + n as u64);
                return Ok(());
            }
        }
    }

    /// Extends the file to `to` with zeros. `writer` is held.
    fn extend(&self, may: &mut level::May<'_>, to: u64) -> Result<()> {
        let old = self.size();
        let sparse = self.backing.upgrade().ok_or(Errno::EIO)?.sparse();
        let tail = (old % PAGE) as usize;
        if tail != 0 {
            // Neither what a mapping wrote beyond the old end nor what the storage has there may show.
            let index = old / PAGE;
            let cached = self.wait_read(index);
            if cached || !sparse {
                let Some(p) = self.get(may, index, 1)? else { return Err(Errno::EIO) };
                p.zero(tail, PAGE_SIZE);
                if !sparse {
                    let end = to.min((index + 1) * PAGE);
                    self.settle(may, old, (end - old) as usize, p)?;
                }
            }
        }
        if !sparse {
            let mut at = pages_of(old);
            while at < pages_of(to) && at * PAGE < to {
                let page = global::new_page(may)?;
                self.put_dirty(at, &page, to.min((at + 1) * PAGE), |t| !t.has(at))?;
                self.throttle(may);
                at += 1;
            }
        }
        let mut t = self.tree.lock();
        t.size = t.size.max(to);
        Ok(())
    }

    /// Waits until nobody is reading the page at `index`. Returns whether there is one.
    pub(super) fn wait_read(&self, index: u64) -> bool {
        let _ = self.filled.wait(FOREVER, false, || (!self.tree.lock().is_reading(index)).then_some(()));
        self.tree.lock().has(index)
    }

    /// Changes the file's length: pages beyond it are dropped, and added bytes read as zeros. When this returns, no
    /// dropped page is on its way to the storage, so the space beyond may be given up. Only growing can fail.
    pub fn set_size(&self, len: u64) -> Result<()> {
        let mut may = May::<Free>::begin();
        let (_w, mut may) = self.writer.lock(&mut may);
        let may = &mut may.to();
        if len > self.size() {
            return self.extend(may, len);
        }
        let (storing, _) = self.storing.lock(may);
        self.tree.lock().size = len;
        self.drop_pages(&(pages_of(len)..u64::MAX), Which::All);
        let tail = (len % PAGE) as usize;
        if tail != 0
            && self.wait_read(len / PAGE)
            && let Found::Page(p) = self.tree.lock().find(len / PAGE)
        {
            p.zero(tail, PAGE_SIZE);
        }
        drop(storing);
        global::settled(self);
        Ok(())
    }

    /// Drops pages.
    pub(super) fn drop_pages(&self, range: &Range<u64>, what: Which) {
        loop {
            let mut gone: Gone = [const { None }; _];
            let (more, clean) = {
                let mut t = self.tree.lock();
                let (held, dirty) = (t.held, t.dirty);
                let more = t.drop_range(range, what, &mut gone);
                global::count_held(t.held as isize - held as isize);
                (more, dirty - t.dirty)
            };
            global::cleaned(clean);
            if !more {
                break;
            }
        }
        if what == Which::All {
            // For those waiting for one of them to be read.
            self.filled.wake_all();
        }
    }

    /// Drops clean pages of these bytes that nobody maps, so that the next read goes to the storage.
    pub fn invalidate(&self, bytes: Range<u64>) {
        // A page on its way to the storage is clean, but the storage does not have it yet.
        let mut may = level::filling();
        let _s = self.storing.lock(&mut may);
        self.drop_pages(&(bytes.start / PAGE..pages_of(bytes.end)), Which::Unused);
    }

    /// The storage's content has changed: drops all clean pages, including those that are mapped or in use.
    pub fn outdated(&self) {
        {
            let mut may = level::filling();
            let _s = self.storing.lock(&mut may);
            self.drop_pages(&(0..u64::MAX), Which::Clean);
        }
        self.mappings.unmap();
    }
}
