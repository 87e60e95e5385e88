//! Where a read puts bytes and where a write takes them from: one or more program ranges, or a kernel buffer.

use crate::abi::{In, IoVec, Out};
use crate::layout::PAGE_SIZE;
use crate::page::Page;
use crate::user::{self, in_half};
use crate::{Errno, Result};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Most iovecs in one call (UIO_MAXIOV).
pub const IOV_MAX: usize = 1024;
/// Most bytes one read or write moves (MAX_RW_COUNT).
pub const RW_MAX: usize = 0x7fff_f000;

enum Mem<'a> {
    User(Vec<IoVec>),
    One {
        addr: usize,
    },
    KernelMut(&'a mut [u8]),
    Kernel(&'a [u8]),
    /// Consecutive pages, and the offset of the first byte within the first page.
    Pages(&'a [Arc<Page>], usize),
}

/// A cursor over the caller's memory.
struct Cursor<'a> {
    mem: Mem<'a>,
    place: Place,
}

/// The cursor's position: `done` bytes moved, `left` remaining; with several ranges, which one and how far into it.
#[derive(Clone, Copy, Default)]
struct Place {
    left: usize,
    done: usize,
    range: usize,
    behind: usize,
}

/// Destination of a read.
pub struct Sink<'a>(Cursor<'a>);
/// Source of a write.
pub struct Source<'a>(Cursor<'a>);

#[inline(always)]
fn user_range(addr: usize, len: usize) -> Cursor<'static> {
    Cursor::new(Mem::One { addr }, len.min(RW_MAX))
}

fn user_vecs(iov: In<IoVec>, n: usize) -> Result<Cursor<'static>> {
    if n > IOV_MAX {
        return Err(Errno::EINVAL);
    }
    let check = |v: &IoVec| {
        if v.len > isize::MAX as usize {
            return Err(Errno::EINVAL);
        }
        if in_half(v.base, v.len) { Ok(v.len) } else { Err(Errno::EFAULT) }
    };
    if n == 1 {
        let only = user::read(iov)?;
        return Ok(user_range(only.base, check(&only)?));
    }
    let vecs: Vec<IoVec> = user::read_vec(iov, n)?;
    let mut left = 0usize;
    for v in &vecs {
        left = left.saturating_add(check(v)?);
    }
    Ok(Cursor::new(Mem::User(vecs), left.min(RW_MAX)))
}

impl<'a> Cursor<'a> {
    #[inline(always)]
    fn new(mem: Mem<'a>, left: usize) -> Self {
        Self { mem, place: Place { left, ..Place::default() } }
    }
    /// The next contiguous program range, at most `max` long. Only for user memory.
    fn next_user(&mut self, max: usize) -> (usize, usize) {
        let p = &mut self.place;
        match &self.mem {
            Mem::One { addr } => (addr + p.done, p.left.min(max)),
            Mem::User(vecs) => {
                while vecs[p.range].len == p.behind {
                    (p.range, p.behind) = (p.range + 1, 0);
                }
                let v = vecs[p.range];
                (v.base + p.behind, (v.len - p.behind).min(p.left).min(max))
            }
            _ => unreachable!("kernel memory has no program range"),
        }
    }
    /// The common case: all of `max` bytes, or what is left, in one program range. `None`: something else.
    #[inline(always)]
    fn one_range(&self, max: usize) -> Option<(usize, usize)> {
        match self.mem {
            Mem::One { addr } => Some((addr + self.place.done, self.place.left.min(max))),
            _ => None,
        }
    }
    fn alignment(&self) -> usize {
        let p = &self.place;
        match &self.mem {
            Mem::One { addr } => (addr + p.done) | p.left,
            Mem::User(vecs) => vecs[p.range..].iter().fold(p.behind, |bits, v| bits | v.base | v.len),
            _ => p.left,
        }
    }
    fn advance(&mut self, n: usize) {
        self.place.left -= n;
        self.place.done += n;
        self.place.behind += n;
    }
    /// Takes back what `moves` did unless it returns true.
    fn whole(&mut self, moves: impl FnOnce(&mut Self) -> bool) -> bool {
        let before = self.place;
        let whole = moves(self);
        if !whole {
            self.place = before;
        }
        whole
    }
    /// Puts as much as fits, or until `copy` copies less than asked.
    fn put(&mut self, mut src: &[u8], copy: impl Fn(usize, &[u8]) -> usize) -> usize {
        let mut total = 0;
        while !src.is_empty() && self.place.left > 0 {
            let n = if let Mem::KernelMut(buf) = &mut self.mem {
                let n = src.len().min(self.place.left);
                buf[self.place.done..self.place.done + n].copy_from_slice(&src[..n]);
                n
            } else {
                let (addr, n) = self.next_user(src.len());
                let copied = copy(addr, &src[..n]);
                if copied < n {
                    self.advance(copied);
                    return total + copied;
                }
                n
            };
            self.advance(n);
            total += n;
            src = &src[n..];
        }
        total
    }
    /// Takes as much as there is, or until `copy` copies less than asked.
    fn take(&mut self, dst: &mut [u8], copy: impl Fn(&mut [u8], usize) -> usize) -> usize {
        let mut total = 0;
        while total < dst.len() && self.place.left > 0 {
            let room = &mut dst[total..];
            let n = if let Mem::Kernel(buf) = &self.mem {
                let n = room.len().min(self.place.left);
                room[..n].copy_from_slice(&buf[self.place.done..self.place.done + n]);
                n
            } else if let Mem::Pages(pages, off) = &self.mem {
                let at = off + self.place.done;
                let n = room.len().min(self.place.left).min(PAGE_SIZE - at % PAGE_SIZE);
                pages[at / PAGE_SIZE].read(at % PAGE_SIZE, &mut room[..n]);
                n
            } else {
                let (addr, n) = self.next_user(room.len());
                let copied = copy(&mut room[..n], addr);
                if copied < n {
                    self.advance(copied);
                    return total + copied;
                }
                n
            };
            self.advance(n);
            total += n;
        }
        total
    }
}

macro_rules! both {
    ($($name:ident),*) => { $(impl $name<'_> {
        /// The OR of the addresses and lengths of the program's ranges (O_DIRECT requires multiples of 512).
        pub fn alignment(&self) -> usize {
            self.0.alignment()
        }
        /// Bytes still to be moved.
        pub fn left(&self) -> usize {
            self.0.place.left
        }
        /// Bytes moved so far.
        pub fn done(&self) -> usize {
            self.0.place.done
        }
        /// Limits what is still to be moved to at most `n` bytes.
        pub fn limit(&mut self, n: usize) {
            self.0.place.left = self.0.place.left.min(n);
        }
        /// Moves piece after piece, until nothing is left or `piece` returns false; returns how much in all. An error
        /// counts only if it comes before the first byte.
        #[inline]
        pub fn pieces(&mut self, mut piece: impl FnMut(&mut Self) -> Result<bool>) -> Result<usize> {
            let start = self.done();
            while self.left() > 0 {
                match piece(self) {
                    Ok(true) => {}
                    Err(e) if self.done() == start => return Err(e),
                    _ => break,
                }
            }
            Ok(self.done() - start)
        }
    })* };
}
both!(Sink, Source);

impl<'a> Sink<'a> {
    /// One program range; EFAULT when it cannot be program memory.
    #[inline(always)]
    pub fn user(buf: Out<u8>, len: usize) -> Result<Sink<'static>> {
        let addr = buf.address();
        if in_half(addr, len) { Ok(Sink(user_range(addr, len))) } else { Err(Errno::EFAULT) }
    }
    /// An array of `n` iovecs in program memory.
    pub fn user_vecs(iov: Out<IoVec>, n: usize) -> Result<Sink<'static>> {
        user_vecs(In::new(iov.address()), n).map(Sink)
    }
    /// A kernel buffer.
    pub fn kernel(buf: &'a mut [u8]) -> Self {
        let left = buf.len();
        Sink(Cursor::new(Mem::KernelMut(buf), left))
    }
    /// Puts as much of `src` as fits and returns how much. EFAULT only if not a single byte could be put.
    #[inline]
    pub fn put(&mut self, src: &[u8]) -> Result<usize> {
        if let Some((addr, n @ 1..)) = self.0.one_range(src.len()) {
            let copied = user::copy_out_partial(addr, &src[..n]);
            self.0.advance(copied);
            return if copied > 0 { Ok(copied) } else { Err(Errno::EFAULT) };
        }
        self.put_pieces(src)
    }
    fn put_pieces(&mut self, src: &[u8]) -> Result<usize> {
        let wanted = src.len().min(self.left());
        match self.0.put(src, user::copy_out_partial) {
            0 if wanted > 0 => Err(Errno::EFAULT),
            n => Ok(n),
        }
    }
    /// Puts all of `src`, for which there must be room. On EFAULT nothing was put.
    #[inline(always)]
    pub fn put_whole(&mut self, src: &[u8]) -> Result<()> {
        if let Some((addr, n)) = self.0.one_range(src.len())
            && n == src.len()
        {
            if user::copy_out_partial(addr, src) < n {
                return Err(Errno::EFAULT);
            }
            self.0.advance(n);
            return Ok(());
        }
        self.put_whole_pieces(src)
    }
    /// Puts as much of `src` as there is room for: all of that, or nothing and EFAULT.
    #[inline(always)]
    pub fn put_fitting(&mut self, src: &[u8]) -> Result<usize> {
        if let Some((addr, n)) = self.0.one_range(src.len()) {
            if user::copy_out_partial(addr, &src[..n]) < n {
                return Err(Errno::EFAULT);
            }
            self.0.advance(n);
            return Ok(n);
        }
        let n = src.len().min(self.left());
        self.put_whole_pieces(&src[..n]).map(|()| n)
    }
    fn put_whole_pieces(&mut self, src: &[u8]) -> Result<()> {
        let whole = self.0.whole(|c| c.put(src, user::copy_out_partial) == src.len());
        if whole { Ok(()) } else { Err(Errno::EFAULT) }
    }
    /// Like [`Sink::put_whole`], but does not fault ([`user::copy_out_present`]). Returns whether all pages were
    /// present.
    pub fn put_present(&mut self, src: &[u8]) -> bool {
        if let Some((addr, n)) = self.0.one_range(src.len())
            && n == src.len()
        {
            let all = user::copy_out_present(addr, src) == n;
            self.0.advance(if all { n } else { 0 });
            return all;
        }
        self.0.whole(|c| c.put(src, user::copy_out_present) == src.len())
    }
    /// Puts `len` bytes of a page, from `off`, or as many as fit: [`Sink::put`] without a bounce buffer.
    #[inline]
    pub fn put_page(&mut self, page: &Page, off: usize, len: usize) -> Result<usize> {
        if let Some((addr, n @ 1..)) = self.0.one_range(len.min(PAGE_SIZE - off)) {
            let copied = user::copy_out_page(addr, page, off, n);
            self.0.advance(copied);
            return if copied > 0 { Ok(copied) } else { Err(Errno::EFAULT) };
        }
        self.put_page_in_pieces(page, off, len)
    }
    fn put_page_in_pieces(&mut self, page: &Page, mut off: usize, len: usize) -> Result<usize> {
        let mut len = len.min(PAGE_SIZE - off).min(self.0.place.left);
        let c = &mut self.0;
        let mut total = 0;
        while len > 0 {
            let n = if let Mem::KernelMut(buf) = &mut c.mem {
                page.read(off, &mut buf[c.place.done..c.place.done + len]);
                len
            } else {
                let (addr, n) = c.next_user(len);
                let copied = user::copy_out_page(addr, page, off, n);
                if copied < n {
                    c.advance(copied);
                    total += copied;
                    return if total == 0 { Err(Errno::EFAULT) } else { Ok(total) };
                }
                n
            };
            c.advance(n);
            total += n;
            off += n;
            len -= n;
        }
        Ok(total)
    }
    /// Puts `n` zero bytes or as many as fit. EFAULT only if not a single one could be put.
    pub fn put_zeros(&mut self, n: usize) -> Result<usize> {
        let zeros = [0u8; 512];
        let mut left = n;
        self.pieces(|dst| {
            let asked = left.min(zeros.len());
            let put = if asked > 0 { dst.put(&zeros[..asked])? } else { 0 };
            left -= put;
            Ok(put == zeros.len())
        })
    }
}

impl<'a> Source<'a> {
    /// One program range; EFAULT when it cannot be program memory.
    #[inline(always)]
    pub fn user(buf: In<u8>, len: usize) -> Result<Source<'static>> {
        let addr = buf.address();
        if in_half(addr, len) { Ok(Source(user_range(addr, len))) } else { Err(Errno::EFAULT) }
    }
    /// An array of `n` iovecs in program memory.
    pub fn user_vecs(iov: In<IoVec>, n: usize) -> Result<Source<'static>> {
        user_vecs(iov, n).map(Source)
    }
    /// A kernel buffer.
    pub fn kernel(buf: &'a [u8]) -> Self {
        Source(Cursor::new(Mem::Kernel(buf), buf.len()))
    }
    /// Consecutive pages, from byte `off` of the first, `len` bytes in all (file data on its way to a socket).
    pub fn pages(pages: &'a [Arc<Page>], off: usize, len: usize) -> Self {
        assert!(off <= PAGE_SIZE && off + len <= pages.len() * PAGE_SIZE);
        Source(Cursor::new(Mem::Pages(pages, off), len))
    }
    /// Takes bytes until `dst` is full, the source is empty or its memory ends; returns how many. EFAULT only if not a
    /// single byte could be taken.
    #[inline]
    pub fn take(&mut self, dst: &mut [u8]) -> Result<usize> {
        if let Some((addr, n @ 1..)) = self.0.one_range(dst.len()) {
            let copied = user::copy_in_partial(&mut dst[..n], addr);
            self.0.advance(copied);
            return if copied > 0 { Ok(copied) } else { Err(Errno::EFAULT) };
        }
        self.take_pieces(dst)
    }
    fn take_pieces(&mut self, dst: &mut [u8]) -> Result<usize> {
        let wanted = dst.len().min(self.left());
        match self.0.take(dst, user::copy_in_partial) {
            0 if wanted > 0 => Err(Errno::EFAULT),
            n => Ok(n),
        }
    }
    /// Fills all of `dst`, for which there must be enough bytes. On EFAULT nothing was taken.
    #[inline(always)]
    pub fn take_whole(&mut self, dst: &mut [u8]) -> Result<()> {
        if let Some((addr, n)) = self.0.one_range(dst.len())
            && n == dst.len()
        {
            user::copy_in_quickly(dst, addr)?;
            self.0.advance(n);
            return Ok(());
        }
        self.take_whole_pieces(dst)
    }
    fn take_whole_pieces(&mut self, dst: &mut [u8]) -> Result<()> {
        let whole = self.0.whole(|c| c.take(dst, user::copy_in_partial) == dst.len());
        if whole { Ok(()) } else { Err(Errno::EFAULT) }
    }
    /// Like [`Source::take_whole`], but does not fault ([`user::copy_in_present`]). Returns whether all pages were
    /// present.
    pub fn take_present(&mut self, dst: &mut [u8]) -> bool {
        let Place { left, done, .. } = self.0.place;
        let n = dst.len();
        let all = match self.0.mem {
            _ if n > left => return false,
            Mem::One { addr } => user::copy_in_present(dst, addr + done) == n,
            Mem::Kernel(buf) => {
                dst.copy_from_slice(&buf[done..done + n]);
                true
            }
            _ => return self.take_present_pieces(dst),
        };
        self.0.advance(if all { n } else { 0 });
        all
    }
    fn take_present_pieces(&mut self, dst: &mut [u8]) -> bool {
        self.0.whole(|c| c.take(dst, user::copy_in_present) == dst.len())
    }
    /// Takes up to `len` bytes into a page, at `off`: [`Source::take`] without a bounce buffer.
    #[inline]
    pub fn take_page(&mut self, page: &Page, off: usize, len: usize) -> Result<usize> {
        if let Some((addr, n @ 1..)) = self.0.one_range(len.min(PAGE_SIZE - off)) {
            let copied = user::copy_in_page(page, off, addr, n);
            self.0.advance(copied);
            return if copied > 0 { Ok(copied) } else { Err(Errno::EFAULT) };
        }
        self.take_page_in_pieces(page, off, len)
    }
    fn take_page_in_pieces(&mut self, page: &Page, mut off: usize, len: usize) -> Result<usize> {
        let mut len = len.min(PAGE_SIZE - off).min(self.0.place.left);
        let mut total = 0;
        while len > 0 {
            let c = &mut self.0;
            let n = match &c.mem {
                Mem::Kernel(buf) => {
                    page.write(off, &buf[c.place.done..c.place.done + len]);
                    len
                }
                Mem::Pages(pages, first) => {
                    let at = first + c.place.done;
                    let n = len.min(PAGE_SIZE - at % PAGE_SIZE);
                    page.copy_from(off, &pages[at / PAGE_SIZE], at % PAGE_SIZE, n);
                    n
                }
                _ => {
                    let (addr, n) = c.next_user(len);
                    let copied = user::copy_in_page(page, off, addr, n);
                    if copied < n {
                        c.advance(copied);
                        total += copied;
                        return if total == 0 { Err(Errno::EFAULT) } else { Ok(total) };
                    }
                    n
                }
            };
            c.advance(n);
            total += n;
            off += n;
            len -= n;
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_walked_in_order_and_empty_ones_skipped() {
        let (mut a, mut b) = ([0u8; 3], [0u8; 4]);
        let v = [
            IoVec { base: a.as_mut_ptr() as usize, len: 3 },
            IoVec { base: 0, len: 0 },
            IoVec { base: b.as_mut_ptr() as usize, len: 4 },
        ];
        let mut s = Sink::user_vecs(Out::new(v.as_ptr() as usize), 3).unwrap();
        assert_eq!(s.put(b"hello").unwrap(), 5);
        assert_eq!(s.put(b"world").unwrap(), 2);
        assert_eq!((s.left(), s.done()), (0, 7));
        assert_eq!((&a, &b), (b"hel", b"lowo"));
        let mut out = [0; 16];
        let mut t = Source::user_vecs(In::new(v.as_ptr() as usize), 3).unwrap();
        t.limit(6);
        assert_eq!(t.take(&mut out).unwrap(), 6);
        assert_eq!(&out[..6], b"hellow");
    }

    #[test]
    fn the_whole_or_nothing() {
        let mut a = [0u8; 3];
        let v = [IoVec { base: a.as_mut_ptr() as usize, len: 3 }, IoVec { base: 4096, len: 3 }];
        let mut s = Sink::user_vecs(Out::new(v.as_ptr() as usize), 2).unwrap();
        assert_eq!((s.put_whole(b"abcd"), s.put_present(b"abcd")), (Err(Errno::EFAULT), false));
        assert_eq!((s.left(), s.done()), (6, 0));
        assert!(s.put_present(b"ab"));
        assert_eq!((s.put_whole(b"cd"), s.put_whole(b"c"), s.done()), (Err(Errno::EFAULT), Ok(()), 3));
        let mut t = Source::user_vecs(In::new(v.as_ptr() as usize), 2).unwrap();
        let mut out = [0; 4];
        assert_eq!((t.take_whole(&mut out), t.take_present(&mut out)), (Err(Errno::EFAULT), false));
        assert!(t.take_present(&mut out[..2]) && t.take_whole(&mut out[2..3]).is_ok());
        assert_eq!((&out[..3], t.left()), (&b"abc"[..], 3));
    }

    #[test]
    fn pages_are_sources_and_targets() {
        let pages = [Page::new().unwrap(), Page::new().unwrap()];
        let data: Vec<u8> = (0..5000).map(|i| (i % 251) as u8).collect();
        let mut s = Source::user(In::new(data.as_ptr() as usize), 5000).unwrap();
        assert_eq!(s.take_page(&pages[0], 100, PAGE_SIZE).unwrap(), PAGE_SIZE - 100);
        assert_eq!(s.take_page(&pages[1], 0, PAGE_SIZE).unwrap(), 5000 - (PAGE_SIZE - 100));
        let mut out = vec![0; 5000];
        assert_eq!(Source::pages(&pages, 100, 5000).take(&mut out).unwrap(), 5000);
        assert_eq!(out, data);
        let copy = Page::new().unwrap();
        assert_eq!(Source::pages(&pages, 4000, 200).take_page(&copy, 8, 300).unwrap(), 200);
        let mut back = vec![0; 200];
        let mut sink = Sink::user(Out::new(back.as_mut_ptr() as usize), 200).unwrap();
        assert_eq!(sink.put_page(&copy, 8, 300).unwrap(), 200);
        assert_eq!(back, data[3900..4100]);
    }
}
