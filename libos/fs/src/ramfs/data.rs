//! Content of a ramfs file: bytes in the image, overlaid by pages.
//!
//! The spin lock guards the page tree only for a lookup or an insertion; copies run without it, so a copy may fault on
//! a mapping of the same page. A blocking lock keeps writers and truncation apart.

use super::RamFs;
use crate::inode::{At, Extent};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use libos_base::abi::FallocateMode;
use libos_base::io::{Sink, Source};
use libos_base::layout::PAGE_SIZE;
use libos_base::page::Page;
use libos_base::page_tree::{PageTree, new_leaf};
use libos_base::rmap::Mappings;
use libos_base::sync::{Mutex, SpinLock, class};
use libos_base::{Errno, Result};

const PAGE: u64 = PAGE_SIZE as u64;
/// Longest file: the largest `off_t`, less a page so that rounding cannot overflow (MAX_LFS_FILESIZE).
pub const MAX_SIZE: u64 = i64::MAX as u64 & !(PAGE - 1);

struct Inner {
    len: u64,
    /// The first bytes, where no page overrides them.
    base: &'static [u8],
    pages: PageTree,
}

/// File content.
pub struct Data {
    fs: Arc<RamFs>,
    inner: SpinLock<Inner>,
    writer: Mutex<()>,
    pub mappings: Mappings,
    /// Seals (fcntl(2)), and how far they let a write go. Both change under `writer`.
    seals: AtomicU32,
    reach: AtomicU64,
}

/// F_SEAL_*.
pub mod seal {
    pub const SEAL: u32 = 1;
    pub const SHRINK: u32 = 2;
    pub const GROW: u32 = 4;
    pub const WRITE: u32 = 8;
    pub const FUTURE_WRITE: u32 = 16;
    pub const EXEC: u32 = 32;
    /// Either of these forbids every write but those through mappings that there are.
    pub const ANY_WRITE: u32 = WRITE | FUTURE_WRITE;
}

impl Inner {
    /// Removes a page that nobody else refers to, unless the base would show in its place.
    fn take_unshared(&mut self, index: u64) -> Option<Arc<Page>> {
        if index * PAGE < self.base.len() as u64 {
            return None;
        }
        self.pages.take_if(index, |p| Arc::strong_count(p) == 1)
    }
    /// At most `max` bytes of the base from `pos` on.
    fn base_from(&self, pos: u64, max: usize) -> &'static [u8] {
        match self.base.get(pos as usize..) {
            Some(b) if pos < self.base.len() as u64 => &b[..b.len().min(max)],
            _ => &[],
        }
    }
    /// The same, as far as no page overrides it; there is none at `pos`.
    fn base_here(&self, pos: u64, max: usize) -> &'static [u8] {
        // Without pages a whole file in the image is one run.
        let room = if self.pages.is_empty() { max } else { max.min((PAGE - pos % PAGE) as usize) };
        self.base_from(pos, room)
    }
}

/// Puts bytes of the base or, if there are none, as many zeros as said. Returns how many were to be put, and how many were.
#[inline(never)]
fn put_base(base: &[u8], zeros: usize, dst: &mut Sink<'_>) -> Result<(usize, usize)> {
    Ok(if base.is_empty() { (zeros, dst.put_zeros(zeros)?) } else { (base.len(), dst.put(base)?) })
}

impl Data {
    /// Empty content.
    pub fn new(fs: Arc<RamFs>) -> Self {
        let inner = Inner { len: 0, base: &[], pages: PageTree::new() };
        let (inner, writer) = (SpinLock::new(class::RAMFS_PAGES, inner), Mutex::new(class::RAMFS_WRITER, ()));
        let (seals, reach) = (AtomicU32::new(seal::SEAL), AtomicU64::new(MAX_SIZE));
        Self { fs, inner, writer, mappings: Mappings::new(), seals, reach }
    }
    /// Replaces the content by these bytes, which are read in place.
    pub fn set_base(&self, base: &'static [u8]) {
        let _w = self.writer.lock();
        self.cut(0);
        let mut i = self.inner.lock();
        i.len = base.len() as u64;
        i.base = base;
    }
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.inner.lock().len
    }
    /// Length in bytes, and pages of memory in use.
    pub fn size_and_pages(&self) -> (u64, usize) {
        let i = self.inner.lock();
        let pages = i.pages.len() + if i.pages.is_empty() { i.base.len().div_ceil(PAGE_SIZE) } else { 0 };
        (i.len, pages)
    }

    /// Reads from `pos`.
    pub fn read(&self, mut pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        dst.pieces(|dst| {
            let i = self.inner.lock();
            let n = (dst.left() as u64).min(i.len.saturating_sub(pos)) as usize;
            if n == 0 {
                return Ok(false);
            }
            let in_page = (pos % PAGE) as usize;
            let (asked, put) = match i.pages.get(pos / PAGE).cloned() {
                Some(page) => {
                    drop(i);
                    let asked = n.min(PAGE_SIZE - in_page);
                    (asked, dst.put_page(&page, in_page, asked)?)
                }
                None => {
                    let base = i.base_here(pos, n);
                    drop(i);
                    put_base(base, n.min(PAGE_SIZE - in_page), dst)?
                }
            };
            pos += put as u64;
            Ok(put == asked)
        })
    }

    /// Content in memory.
    pub fn extent(&self, pos: u64, max: usize) -> Option<Extent> {
        let i = self.inner.lock();
        let n = (max as u64).min(i.len.saturating_sub(pos)) as usize;
        if n == 0 {
            return None;
        }
        if let Some(p) = i.pages.get(pos / PAGE) {
            let off = (pos % PAGE) as usize;
            return Some(Extent::Page(p.clone(), off, n.min(PAGE_SIZE - off)));
        }
        match i.base_here(pos, n) {
            [] => None,
            b => Some(Extent::Static(b)),
        }
    }

    /// The page at `index`, created if there is none. Accounts for it.
    fn page(&self, index: u64) -> Result<Arc<Page>> {
        if let Some(p) = self.inner.lock().pages.get(index) {
            return Ok(p.clone());
        }
        self.new_page(index)
    }
    #[cold]
    fn new_page(&self, index: u64) -> Result<Arc<Page>> {
        self.fs.charge(1)?;
        match self.insert_page(index) {
            Ok((page, true)) => Ok(page),
            other => {
                self.fs.uncharge(1);
                other.map(|(page, _)| page)
            }
        }
    }
    /// Returns the page, and whether it is new.
    fn insert_page(&self, index: u64) -> Result<(Arc<Page>, bool)> {
        let page = Page::new()?;
        let base = self.inner.lock().base_from(index * PAGE, PAGE_SIZE);
        page.write(0, base);
        let mut leaf = None;
        loop {
            let mut i = self.inner.lock();
            if let Some(p) = i.pages.get(index) {
                return Ok((p.clone(), false));
            }
            if let Some(leaf) = leaf {
                i.pages.add_leaf(index, leaf)?;
            }
            if i.pages.has_leaf(index) {
                i.pages.insert(index, page.clone());
                return Ok((page, true));
            }
            drop(i);
            leaf = Some(new_leaf()?);
        }
    }

    /// Writes; returns how much, and the position after it.
    pub fn write(&self, at: At, src: &mut Source<'_>, limit: u64) -> Result<(usize, u64)> {
        let _w = self.writer.lock();
        let mut pos = match at {
            At::Pos(p) => p,
            At::End => self.size(),
        };
        if src.left() == 0 {
            return Ok((0, pos));
        }
        if src.left() as u64 > limit.min(self.reach.load(Relaxed)).saturating_sub(pos) {
            src.limit(self.room(pos, src.left() as u64, limit)?);
        }
        let done = src.pieces(|src| {
            let off = (pos % PAGE) as usize;
            // Nobody else changes the length meanwhile, since that makes a writer.
            let (page, len) = {
                let i = self.inner.lock();
                (i.pages.get(pos / PAGE).cloned(), i.len)
            };
            let page = match page {
                Some(page) => page,
                // To a writer, lack of memory is a full file system.
                None => self.new_page(pos / PAGE).map_err(|e| if e == Errno::ENOMEM { Errno::ENOSPC } else { e })?,
            };
            let asked = src.left().min(PAGE_SIZE - off);
            let took = src.take_page(&page, off, asked)?;
            pos += took as u64;
            if pos > len {
                self.inner.lock().len = pos;
            }
            Ok(took == asked)
        })?;
        Ok((done, pos))
    }

    /// How much of a write of `left` bytes that meets a limit is done. EFBIG, or EPERM where a seal is the limit: as on
    /// Linux, the piece within a page that would go beyond it is not begun.
    #[cold]
    fn room(&self, pos: u64, left: u64, limit: u64) -> Result<usize> {
        let left = left.min(limit.min(MAX_SIZE).saturating_sub(pos));
        if left == 0 {
            return Err(Errno::EFBIG);
        }
        let reach = self.reach.load(Relaxed);
        let left = if pos + left <= reach { left } else { (reach & !(PAGE - 1)).saturating_sub(pos) };
        if left == 0 { Err(Errno::EPERM) } else { Ok(left as usize) }
    }

    /// Truncates or extends with a hole.
    pub fn resize(&self, len: u64) -> Result<()> {
        if len > MAX_SIZE {
            return Err(Errno::EFBIG);
        }
        let _w = self.writer.lock();
        let seals = self.seals();
        let size = self.size();
        if len < size && seals & seal::SHRINK != 0 || len > size && seals & seal::GROW != 0 {
            return Err(Errno::EPERM);
        }
        self.cut(len);
        self.inner.lock().len = len;
        self.set_seals(seals);
        Ok(())
    }

    /// The seals.
    pub fn seals(&self) -> u32 {
        self.seals.load(Relaxed)
    }
    /// Sets the seals of a file that nobody else knows yet, or that are sure not to change.
    pub fn set_seals(&self, seals: u32) {
        let reach = match seals {
            s if s & seal::ANY_WRITE != 0 => 0,
            s if s & seal::GROW != 0 => self.size(),
            _ => MAX_SIZE,
        };
        self.seals.store(seals, Relaxed);
        self.reach.store(reach, Relaxed);
    }
    /// Adds seals. EPERM: that is sealed, too; EBUSY: it is still mapped writable, as `mapped` finds out.
    pub fn add_seals(&self, add: u32, mapped: impl FnOnce() -> bool) -> Result<()> {
        let _w = self.writer.lock();
        let seals = self.seals();
        if seals & seal::SEAL != 0 {
            return Err(Errno::EPERM);
        }
        if add & !seals & seal::WRITE != 0 && mapped() {
            return Err(Errno::EBUSY);
        }
        self.set_seals(seals | add);
        Ok(())
    }
    /// Drops content from `len` on: it reads as zeros afterwards.
    fn cut(&self, len: u64) {
        {
            let mut i = self.inner.lock();
            if len >= i.len {
                return;
            }
            i.len = len;
            i.base = i.base_from(0, len as usize);
        }
        // There may be very many: a batch at a time, freed outside the spin lock. Nobody sees them beyond the new end,
        // and anyone who would move it waits for us as a writer.
        loop {
            let Some(gone) = self.inner.lock().pages.take_from(len.div_ceil(PAGE)) else { break };
            self.fs.uncharge(gone.iter().flatten().count());
        }
        let tail = self.inner.lock().pages.get(len / PAGE).cloned();
        if let Some(p) = tail {
            p.zero((len % PAGE) as usize, PAGE_SIZE);
        }
    }

    /// `fallocate`: mode 0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE [| KEEP_SIZE].
    pub fn allocate(&self, mode: FallocateMode, pos: u64, len: u64) -> Result<()> {
        let keep = mode.contains(FallocateMode::KEEP_SIZE);
        let end = pos.checked_add(len).filter(|&e| e <= MAX_SIZE).ok_or(Errno::EFBIG)?;
        let _w = self.writer.lock();
        let writes = mode.intersects(FallocateMode::PUNCH_HOLE | FallocateMode::ZERO_RANGE);
        let sealed = if writes { seal::ANY_WRITE } else { 0 };
        let grows = !mode.contains(FallocateMode::PUNCH_HOLE) && end > self.size();
        if self.seals() & (sealed | if grows { seal::GROW } else { 0 }) != 0 {
            return Err(Errno::EPERM);
        }
        match mode - FallocateMode::KEEP_SIZE {
            m if m.is_empty() => {}
            FallocateMode::PUNCH_HOLE if keep => return self.zero(pos, end.min(self.size()), true),
            FallocateMode::ZERO_RANGE => self.zero(pos, end.min(self.size()), false)?,
            _ => return Err(Errno::EOPNOTSUPP),
        }
        // Pages are charged now, so that a later write cannot run out of space.
        for index in pos / PAGE..end.div_ceil(PAGE) {
            self.page(index).map_err(|_| Errno::ENOSPC)?;
        }
        if !keep {
            let mut i = self.inner.lock();
            i.len = i.len.max(end);
        }
        Ok(())
    }
    /// Zeroes a range within the file, and frees whole pages there if `free`. Pages that are mapped or in use stay, so
    /// that mappings stay coherent.
    fn zero(&self, mut pos: u64, end: u64, free: bool) -> Result<()> {
        while pos < end {
            let off = (pos % PAGE) as usize;
            let n = (end - pos).min(PAGE - off as u64);
            let gone = if free && n == PAGE { self.inner.lock().take_unshared(pos / PAGE) } else { None };
            if gone.is_some() {
                self.fs.uncharge(1);
            }
            let present = {
                let i = self.inner.lock();
                i.pages.get(pos / PAGE).cloned().ok_or(i.base_from(pos, n as usize).is_empty())
            };
            match present {
                Ok(p) => p.zero(off, off + n as usize),
                Err(true) => {
                    // Already a hole; continue with the next leaf if this one does not exist at all.
                    let i = self.inner.lock();
                    if i.pages.next(pos / PAGE).is_none() && pos >= i.base.len() as u64 {
                        break;
                    }
                }
                Err(false) => self.page(pos / PAGE)?.zero(off, off + n as usize),
            }
            pos += n;
        }
        Ok(())
    }

    /// Next data or hole from `pos` on, in whole pages.
    pub fn seek_data(&self, pos: u64, data: bool) -> u64 {
        let i = self.inner.lock();
        let in_base = |p: u64| p < i.base.len() as u64;
        let mut at = pos;
        while at < i.len {
            let index = at / PAGE;
            if (in_base(at) || i.pages.get(index).is_some()) == data {
                return at;
            }
            let next = match i.pages.next(index) {
                // Skip a hole that the image does not fill either.
                Some(there) if !in_base(at) && there > index => there,
                None if !in_base(at) => break,
                _ => index + 1,
            };
            at = next * PAGE;
        }
        i.len
    }

    /// The page for a mapping. A hole gets a page of its own, so that later writes are seen.
    pub fn map(&self, index: u64) -> Result<Option<Arc<Page>>> {
        match index.checked_mul(PAGE) {
            Some(pos) if pos < self.size() => self.page(index).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether `page` is the one at `index`.
    pub fn holds(&self, index: u64, page: &Arc<Page>) -> bool {
        self.inner.lock().pages.get(index).is_some_and(|p| Arc::ptr_eq(p, page))
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        self.fs.uncharge(self.inner.lock().pages.len());
    }
}
