//! File content: read through the page cache, written through to the host.

use crate::client::{Attrs, Fid, valid};
use crate::object::{BOTH, P9Inode, READ, WRITE};
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::abi::mode::S_IFREG;
use libos_base::io::{Sink, Source};
use libos_base::layout::PAGE_SIZE;
use libos_base::memory::with_room;
use libos_base::page::Page;
use libos_base::{Errno, Result};
use libos_fs::cache::{Backing, ErrorSeq, FileCache};
use libos_fs::inode::At;
use libos_fs::ramfs::data::MAX_SIZE;
use libos_fs::time::Times;

const PAGE: u64 = PAGE_SIZE as u64;
/// Most pages that hold a write on its way to the host.
const BOUNCE: usize = 32;

/// Fresh pages: `n`, or as many as memory allows.
fn bounce(n: usize) -> Result<Vec<Arc<Page>>> {
    let mut pages = with_room(n)?;
    for _ in 0..n {
        match Page::new() {
            Ok(p) => pages.push(p),
            Err(e) if pages.is_empty() => return Err(e),
            Err(_) => break,
        }
    }
    Ok(pages)
}

/// Copies at most `n` bytes from the program into pages, from byte `from` of them on. Returns how many, and the error
/// that ended it.
pub fn take(src: &mut Source<'_>, pages: &[Arc<Page>], from: usize, n: usize) -> (usize, Option<Errno>) {
    let mut done = 0;
    while done < n {
        let off = (from + done) % PAGE_SIZE;
        let asked = (n - done).min(PAGE_SIZE - off);
        match src.take_page(&pages[(from + done) / PAGE_SIZE], off, asked) {
            Ok(k) if k < asked => return (done + k, None),
            Ok(k) => done += k,
            Err(e) => return (done, Some(e)),
        }
    }
    (done, None)
}

impl P9Inode {
    /// Reads. Beyond the end as of `open`, the host is asked: a log may have grown, and some files have no length.
    pub fn read(&self, pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        let cache = self.pages()?;
        let n = cache.read(pos, dst)?;
        self.accessed(n);
        if n > 0 || dst.left() == 0 || pos < cache.size() || self.state.lock().lost {
            return Ok(n);
        }
        let page = bounce(1)?;
        let got = self.fs.client.read(&*self.fid(READ)?, pos, &page, dst.left().min(PAGE_SIZE))?;
        dst.put_page(&page[0], 0, got)
    }

    /// Content was read, perhaps from the cache: updates the time by the relatime rule, only here.
    fn accessed(&self, n: usize) {
        let mut s = self.state.lock();
        if n > 0 {
            let mut times = Times { atime: s.attr.atime, mtime: s.attr.mtime, ctime: s.attr.ctime };
            times.accessed();
            if times.atime != s.attr.atime {
                s.accessed = times.atime;
                s.attr.atime = times.atime;
            }
        }
    }

    /// The fid for a write, at the end or anywhere.
    pub fn fid_for(&self, append: bool) -> Result<Arc<Fid>> {
        if append && let Some(fid) = self.appending() { Ok(fid) } else { self.fid(WRITE) }
    }
    /// The fid that only appends. A file without a name may be shorter here than on the host (see `truncate`), in which
    /// case another fid is better.
    fn appending(&self) -> Option<Arc<Fid>> {
        let s = self.state.lock();
        if s.lost && (s.open[WRITE].is_some() || s.open[BOTH].is_some()) { None } else { s.append.clone() }
    }
    /// Where the host's file ended a moment ago, if nothing was written here since, and if a write now goes to the end
    /// wherever that is by then.
    pub fn end_just_seen(&self) -> Option<u64> {
        self.appending().and_then(|_| self.state.lock().end_just_seen())
    }

    /// Where the host's file ends.
    pub fn end(&self, cache: &FileCache) -> Result<u64> {
        let size = self.attr()?.0.size as u64;
        if size != cache.size() {
            cache.outdated();
            cache.set_size(size)?;
        }
        Ok(size)
    }

    /// Writes; returns how much, and the position after it.
    pub fn write(&self, at: At, src: &mut Source<'_>, limit: u64) -> Result<(usize, u64)> {
        let cache = self.pages()?;
        let _io = self.io.lock();
        self.kept_error()?;
        if let Some(done) = self.delay(at, src, limit.min(MAX_SIZE))? {
            return Ok(done);
        }
        self.send_tail()?;
        let append = at == At::End;
        let known = if append { self.end_just_seen() } else { None };
        let mut pos = match (at, known) {
            (At::Pos(p), _) => p,
            (At::End, Some(end)) => end,
            (At::End, None) => self.end(cache)?,
        };
        if src.left() == 0 {
            return Ok((0, pos));
        }
        let max = limit.min(MAX_SIZE);
        if pos >= max {
            return Err(Errno::EFBIG);
        }
        src.limit(usize::try_from(max - pos).unwrap_or(usize::MAX));
        let fid = self.fid_for(append)?;
        let pages = bounce(src.left().div_ceil(PAGE_SIZE).min(BOUNCE).min(self.fs.client.max_pages))?;
        let mut total = 0;
        while src.left() > 0 {
            let (n, fault) = take(src, &pages, 0, src.left().min(pages.len() * PAGE_SIZE));
            let sent = match fault {
                Some(e) if n == 0 => Err(e),
                _ => {
                    let _wire = self.wire.lock();
                    self.state.lock().seen = None;
                    let sent = self.fs.client.write(&fid, pos, &pages, n);
                    if let Ok(k) = sent {
                        cache.wrote_through(pos, &pages, 0, k);
                    }
                    sent
                }
            };
            match sent {
                Ok(k) => {
                    total += k;
                    pos += k as u64;
                    // The host's disk may be full: the next write will tell.
                    if k < n || fault.is_some() {
                        break;
                    }
                }
                Err(e) if total == 0 => return Err(e),
                Err(_) => break,
            }
        }
        if src.left() == 0 {
            self.sent(at, pos);
        }
        Ok((total, pos))
    }

    /// `ftruncate`.
    pub fn truncate(&self, len: u64) -> Result<()> {
        if self.kind != S_IFREG {
            return Err(Errno::EINVAL);
        }
        if len > MAX_SIZE {
            return Err(Errno::EFBIG);
        }
        let _io = self.io.lock();
        self.send_tail()?;
        self.nothing_follows();
        // The server must not truncate another file that has the name by now.
        let old = self.attr()?.0.size as u64;
        let base = {
            let mut s = self.state.lock();
            s.seen = None;
            if s.lost { None } else { Some(s.base.clone()) }
        };
        let cache = self.cache.get();
        let to = |c: Option<&Arc<FileCache>>, len| c.map_or(Ok(()), |c| c.set_size(len));
        match base {
            Some(base) => {
                // Shrinking here comes first, so that no page beyond the new end is on its way; growing comes last.
                if len < old {
                    to(cache, len)?;
                }
                let attrs = Attrs { valid: valid::SIZE, size: len, ..Attrs::default() };
                let r = self.fs.client.setattr(&base, &attrs);
                if r.is_err() {
                    to(cache, old)?;
                    return r;
                }
                to(cache, len)
            }
            None => {
                // Only we can see the file. What is cut off is zeroed on the host, so that it reads as zeros if the
                // file grows again.
                let (c, fid) = (self.pages()?, self.fid(WRITE)?);
                let size = c.size();
                c.set_size(len)?;
                self.zero(&fid, len, size)
            }
        }
    }

    /// Writes zeros from `pos` to `end` on the host.
    fn zero(&self, fid: &Fid, mut pos: u64, end: u64) -> Result<()> {
        if pos >= end {
            return Ok(());
        }
        let pages = bounce(BOUNCE.min(self.fs.client.max_pages))?;
        let _wire = self.wire.lock();
        while pos < end {
            let n = (end - pos).min((pages.len() * PAGE_SIZE) as u64) as usize;
            pos += self.fs.client.write(fid, pos, &pages, n)? as u64;
        }
        Ok(())
    }
}

impl Backing for P9Inode {
    fn read_pages(&self, index: u64, pages: &[Arc<Page>]) -> Result<()> {
        let fid = self.fid(READ)?;
        let mut done = 0;
        while done < pages.len() {
            let batch = &pages[done..(done + self.fs.client.max_pages).min(pages.len())];
            let pos = (index + done as u64) * PAGE;
            let got = self.fs.client.read(&fid, pos, batch, batch.len() * PAGE_SIZE)?;
            done += got / PAGE_SIZE;
            if got == 0 || !got.is_multiple_of(PAGE_SIZE) {
                break;
            }
        }
        self.lay_over(index, pages);
        Ok(())
    }

    fn write_pages(&self, index: u64, pages: &[Arc<Page>]) -> Result<()> {
        let cache = self.pages()?;
        let fid = self.fid(WRITE)?;
        let mut result = Ok(());
        {
            let _wire = self.wire.lock();
            self.state.lock().seen = None;
            self.take_over(index, pages);
            let mut done = 0;
            while done < pages.len() {
                let batch = &pages[done..(done + self.fs.client.max_pages).min(pages.len())];
                let pos = (index + done as u64) * PAGE;
                let len = cache.size().saturating_sub(pos).min((batch.len() * PAGE_SIZE) as u64) as usize;
                if len == 0 {
                    break;
                }
                match self.fs.client.write(&fid, pos, batch, len) {
                    Ok(n) if n == len => done += batch.len(),
                    // Only a part was written: the host's disk is full.
                    Ok(_) => result = Err(Errno::ENOSPC),
                    Err(e) => result = Err(e),
                }
                if result.is_err() {
                    break;
                }
            }
        }
        drop(fid);
        self.written_back();
        result
    }

    fn sparse(&self) -> bool {
        true
    }
    fn fs_errors(&self) -> Option<&ErrorSeq> {
        Some(&self.fs.errors)
    }
}
