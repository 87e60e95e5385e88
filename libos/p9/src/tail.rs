//! Small writes that immediately follow each other are collected and sent together.
//!
//! A lone write goes through, so its error is its own. A write that comes within [`MOMENT_NS`] of it and where it ended
//! waits here until the buffer is full, [`DELAY_NS`] have passed, or something requires it: `fsync`, `close`, `stat`,
//! `open`, a truncation, a write elsewhere. Close-to-open allows that. An error of a delayed write is reported by the
//! next `write`, `fsync` or `close`; until a write succeeds again, none is delayed.
//!
//! Appended data gets its position when it is sent, after whatever the host has added meanwhile. The cache has the
//! bytes at once: cached pages get them, and pages being read get them laid over. So a page may be newer than the
//! delayed data (a mapping wrote to it), never older. Such a page is dirty, and if it goes to the host before the
//! delayed data, that data takes over the page's bytes.
//!
//! All changes are made with `io` held; the spin lock `tail` is for those who only look.

use crate::content::take;
use crate::fs::P9Fs;
use crate::object::P9Inode;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;
use libos_base::io::Source;
use libos_base::layout::PAGE_SIZE;
use libos_base::memory::with_room;
use libos_base::page::Page;
use libos_base::{Errno, Result, thread, time};
use libos_fs::cache::{Backing, FileCache};
use libos_fs::inode::{At, Cached};

/// Writes further apart than this are not delayed.
pub const MOMENT_NS: u64 = 10_000_000;
/// No byte waits much longer than this.
pub const DELAY_NS: u64 = 50_000_000;
/// Longer writes are sent at once.
const SMALL: usize = 8 << 10;
/// Most pages that wait.
const PAGES: usize = 16;

/// The delayed data, and where the last write ended.
#[derive(Default)]
pub struct Tail {
    pages: Vec<Arc<Page>>,
    pos: u64,
    len: usize,
    /// It belongs at the end, wherever that is.
    append: bool,
    /// Until when the host need not be asked again about the position: a descriptor that only appends writes to the end
    /// anyway.
    known_until: u64,
    last_end: u64,
    last_append: bool,
    /// When the last write was; 0: there was none.
    last_at: u64,
    /// An error of delayed writes that has not been reported yet.
    error: Option<Errno>,
    /// The last delayed writes could not be delivered.
    failed: bool,
}

impl Tail {
    /// Calls `copy` for the pieces of the delayed data that lie in `pages`, the first of which is page `index` of the
    /// file: with page and offset of each piece there and here, and its length.
    fn common(&self, index: u64, pages: &[Arc<Page>], copy: impl Fn((&Page, usize), (&Page, usize), usize)) {
        let first = index * PAGE_SIZE as u64;
        let end = (self.pos + self.len as u64).min(first + (pages.len() * PAGE_SIZE) as u64);
        let mut at = self.pos.max(first);
        while at < end {
            let (from, to) = ((at - self.pos) as usize, (at - first) as usize);
            let (from_off, to_off) = (from % PAGE_SIZE, to % PAGE_SIZE);
            let n = (PAGE_SIZE - from_off.max(to_off)).min((end - at) as usize);
            copy((&pages[to / PAGE_SIZE], to_off), (&self.pages[from / PAGE_SIZE], from_off), n);
            at += n as u64;
        }
    }
}

impl P9Inode {
    /// A write went through.
    pub fn sent(&self, at: At, end: u64) {
        let mut t = self.tail.lock();
        (t.last_end, t.last_append, t.last_at, t.failed) = (end, at == At::End, time::monotonic_ns(), false);
    }

    /// Takes a write that immediately follows the last one; returns how much, and the position after it. `None`: it
    /// must go through. `io` is held.
    pub fn delay(&self, at: At, src: &mut Source<'_>, max: u64) -> Result<Option<(usize, u64)>> {
        let (n, now) = (src.left(), time::monotonic_ns());
        let size = self.pages()?.size();
        let fits = {
            let t = self.tail.lock();
            let follows = match at {
                // An `open` may have found that the host's file has grown since.
                At::End => t.last_append && t.last_end == size,
                At::Pos(p) => p == t.last_end,
            };
            if n == 0
                || n > SMALL
                || !follows
                || t.failed
                || t.last_at == 0
                || now.saturating_sub(t.last_at) > MOMENT_NS
                || t.len > 0 && t.append != (at == At::End)
                || max.saturating_sub(t.last_end) < n as u64
            {
                return Ok(None);
            }
            t.len + n <= PAGES * PAGE_SIZE
        };
        if !fits {
            self.send_tail()?;
        }
        let (pos, used) = {
            let t = self.tail.lock();
            (t.last_end, t.len)
        };
        let Some(pages) = self.room((used + n).div_ceil(PAGE_SIZE), used == 0) else { return Ok(None) };
        let done = match take(src, &pages, used, n) {
            (0, Some(e)) => return Err(e),
            (done, _) => done,
        };
        let end = pos + done as u64;
        let known = at == At::End && self.end_just_seen() == Some(pos);
        {
            let mut t = self.tail.lock();
            if t.len == 0 {
                (t.pos, t.append) = (pos, at == At::End);
                t.known_until = if known { now + MOMENT_NS } else { 0 };
            }
            t.len += done;
            (t.last_end, t.last_append, t.last_at) = (end, at == At::End, now);
        }
        self.state.lock().seen = None;
        self.pages()?.wrote_through(pos, &pages, used, done);
        Ok(Some((done, end)))
    }

    /// `n` pages for delayed data; `first`: there is none yet.
    fn room(&self, n: usize, first: bool) -> Option<Vec<Arc<Page>>> {
        if first {
            self.fs.send_later(self.weak())?;
        }
        let mut pages = core::mem::take(&mut self.tail.lock().pages);
        let enough = pages.try_reserve(n.saturating_sub(pages.len())).is_ok();
        while enough
            && pages.len() < n
            && let Ok(p) = Page::new()
        {
            pages.push(p);
        }
        let mut copy = Vec::new();
        let enough = pages.len() >= n && copy.try_reserve(pages.len()).is_ok();
        if enough {
            copy.extend(pages.iter().cloned());
        }
        self.tail.lock().pages = pages;
        enough.then_some(copy)
    }

    /// Sends the delayed data. The caller gets its error. `io` is held.
    pub fn send_tail(&self) -> Result<()> {
        if self.tail.lock().len == 0 {
            return Ok(());
        }
        // Without memory for the list it keeps waiting: nothing is lost.
        let mut pages = with_room(PAGES)?;
        let (mut pos, len, append, known) = {
            let t = self.tail.lock();
            pages.extend(t.pages.iter().take(t.len.div_ceil(PAGE_SIZE)).cloned());
            (t.pos, t.len, t.append, time::monotonic_ns() < t.known_until)
        };
        let cache = self.pages()?;
        let sent = self.place(cache, append && !known, &mut pos, len).and_then(|moved| {
            let fid = self.fid_for(append)?;
            let _wire = self.wire.lock();
            self.state.lock().seen = None;
            let sent = self.fs.client.write(&fid, pos, &pages, len);
            if moved {
                cache.wrote_through(pos, &pages, 0, *sent.as_ref().unwrap_or(&0));
            }
            // A reader may have been at the host before us, and must find the data here.
            cache.wait_for_readers(pos, len);
            let mut t = self.tail.lock();
            (t.len, t.last_end) = (0, pos + len as u64);
            drop(t);
            // Only a part was written: the host's disk is full.
            if sent? < len { Err(Errno::ENOSPC) } else { Ok(()) }
        });
        if let Err(e) = sent {
            let mut t = self.tail.lock();
            (t.len, t.failed) = (0, true);
            drop(t);
            cache.errors().set(e);
            if let Some(all) = self.fs_errors() {
                all.set(e);
            }
            // The cache has bytes that the host does not have.
            let _ = self.end(cache);
            cache.outdated();
        }
        sent
    }

    /// Determines the position: after what the host has by now, if the data belongs at the end. Returns whether that
    /// changed it.
    fn place(&self, cache: &FileCache, append: bool, pos: &mut u64, len: usize) -> Result<bool> {
        // Nobody else has a file without a name, and only the cache knows its length.
        if !append || self.state.lock().lost {
            return Ok(false);
        }
        let end = self.attr()?.0.size as u64;
        // The request may have found that the name is gone. Then this is the length including the delayed data.
        if end == *pos || self.state.lock().lost {
            return Ok(false);
        }
        *pos = end;
        cache.outdated();
        cache.set_size(end + len as u64)?;
        Ok(true)
    }

    /// The end of the file has changed: no write follows the last one.
    pub fn nothing_follows(&self) {
        self.tail.lock().last_at = 0;
    }

    /// Sends the delayed data on behalf of another operation: an error is kept.
    pub fn settle(&self) {
        if self.tail.lock().len == 0 {
            return;
        }
        let _io = self.io.lock();
        self.send_tail_for_others();
    }
    /// The same when `io` is held.
    pub fn send_tail_for_others(&self) {
        if let Err(e) = self.send_tail() {
            self.tail.lock().error = Some(e);
        }
    }
    /// Takes a kept error.
    pub fn kept_error(&self) -> Result<()> {
        self.tail.lock().error.take().map_or(Ok(()), Err)
    }
    /// Lays the delayed data over pages that were just read.
    pub fn lay_over(&self, index: u64, pages: &[Arc<Page>]) {
        let t = self.tail.lock();
        t.common(index, pages, |page, here, n| page.0.copy_from(page.1, here.0, here.1, n));
    }
    /// For pages that go to the host: from now on the delayed data has their bytes. `wire` is held.
    pub fn take_over(&self, index: u64, pages: &[Arc<Page>]) {
        let t = self.tail.lock();
        t.common(index, pages, |page, here, n| here.0.copy_from(here.1, page.0, page.1, n));
    }
}

impl P9Fs {
    /// Makes sure that this file's delayed data is sent in time. `None`: not possible.
    fn send_later(self: &Arc<Self>, file: Weak<P9Inode>) -> Option<()> {
        {
            let mut all = self.delayed.lock();
            all.try_reserve(1).ok()?;
            all.push(file);
        }
        self.in_a_while()
    }

    /// Makes sure that delayed data is sent, and kept fids are released, after [`DELAY_NS`]. `None`: not possible.
    pub fn in_a_while(self: &Arc<Self>) -> Option<()> {
        if !self.sender.swap(true, SeqCst) {
            let fs = self.clone();
            let job = move || {
                let until = time::after(DELAY_NS);
                while time::monotonic_ns() < until {
                    thread::park(until, false);
                }
                // Later callers start another thread.
                fs.sender.store(false, SeqCst);
                fs.send_all();
                fs.let_all_go();
            };
            if thread::spawn("9p", job).is_err() {
                self.sender.store(false, SeqCst);
                return None;
            }
        }
        Some(())
    }

    /// Sends all delayed data. Errors are kept for the writers.
    ///
    /// A file stays listed until its data is sent, so that other callers wait for that (the machine stops after the
    /// last one). It is checked with `io` held, since a writer lists it before adding any data.
    pub fn send_all(&self) {
        let listed = self.delayed.lock().len();
        for _ in 0..listed {
            let Some(first) = self.delayed.lock().first().cloned() else { return };
            let file = first.upgrade();
            let _io = file.as_ref().map(|file| {
                let io = file.io.lock();
                file.send_tail_for_others();
                io
            });
            self.delayed.lock().retain(|f| !f.ptr_eq(&first));
        }
    }
}
