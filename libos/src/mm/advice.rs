//! `madvise`, `mincore`, `mlock`.

use super::fault::fault_in;
use super::program::range;
use super::rlimit;
use super::space;
use super::vma::{Flags, Kind, Prot, Vma};
use alloc::vec::Vec;
use core::ops::Range;
use libos_base::abi::FallocateMode;
use libos_base::layout::{PAGE_SIZE, PROGRAM_END, PROGRAM_START, page_down};
use libos_base::{Errno, Result};
use libos_fs::openfile::OpenFile;

/// The results of `f` for each mapped piece of `range`; its last argument is how far into the mapping the piece begins.
fn pieces<T>(range: Range<usize>, mut f: impl FnMut(Range<usize>, &Vma, usize) -> T) -> Result<Vec<T>> {
    let s = space::lock();
    let n = s.vmas.overlapping(range.clone()).count();
    let mut list = Vec::new();
    list.try_reserve_exact(n)?;
    let overlapping = s.vmas.overlapping(range.clone());
    list.extend(overlapping.map(|(start, v)| {
        let piece = start.max(range.start)..v.end.min(range.end);
        let skipped = piece.start - start;
        f(piece, v, skipped)
    }));
    Ok(list)
}

/// Which pages to drop: those that the advice covers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// MADV_DONTNEED: afterwards private anonymous memory reads as zeroes, mapped files as the file.
    All,
    /// MADV_DONTNEED_LOCKED: also pages that mlock made present. They stay locked.
    AlsoLocked,
    /// MADV_FREE.
    PrivateAnonymous,
}

/// Drops the pages.
pub fn discard(addr: usize, len: usize, which: Discard) -> Result<()> {
    let all = range(addr, len, Errno::ENOMEM)?;
    let mut s = space::lock();
    s.check_not_kernel(all.clone())?;
    let mut at = all.start;
    let mut hole = false;
    while at < all.end {
        let Some((start, v)) = s.vmas.overlapping(at..all.end).next() else { break };
        hole |= start > at;
        let piece = start.max(at)..v.end.min(all.end);
        at = piece.end;
        let private_anonymous = v.kind.is_zeroed() && !v.flags.contains(Flags::SHARED);
        let image = matches!(v.kind, Kind::Image);
        let refused = which != Discard::AlsoLocked && v.flags.contains(Flags::LOCKED)
            || which == Discard::PrivateAnonymous && !private_anonymous
            // Pages that may have been written to have no other copy.
            || image && !v.flags.contains(Flags::AS_LINKED);
        if refused {
            return Err(Errno::EINVAL);
        }
        // Shared anonymous pages are the object itself, not a copy: they stay.
        let stays = image || v.kind.is_zeroed() && !private_anonymous;
        let flags = v.flags;
        if !stays {
            s.discard(piece, flags);
        }
    }
    if hole || at < all.end { Err(Errno::ENOMEM) } else { Ok(()) }
}

/// MADV_REMOVE: the pages leave the shared memory or file itself, for everyone who maps it.
pub fn remove(addr: usize, len: usize) -> Result<()> {
    const PUNCH: FallocateMode = FallocateMode::PUNCH_HOLE.union(FallocateMode::KEEP_SIZE);
    let all = range(addr, len, Errno::ENOMEM)?;
    let mut at = all.start;
    let mut hole = false;
    while at < all.end {
        let mut s = space::lock();
        let Some((start, v)) = s.vmas.overlapping(at..all.end).next() else { break };
        hole |= start > at;
        let piece = start.max(at)..v.end.min(all.end);
        at = piece.end;
        let flags = v.flags;
        let file = match &v.kind {
            Kind::File(f, offset) => Some((f.clone(), offset + (piece.start - start) as u64)),
            Kind::Anon if flags.contains(Flags::SHARED) => None,
            Kind::Image => return Err(Errno::EACCES),
            _ => return Err(Errno::EINVAL),
        };
        if flags.contains(Flags::LOCKED) {
            return Err(Errno::EINVAL);
        }
        // As in newer versions of Linux: a mapping that could be made writable will do.
        if !flags.contains(Flags::SHARED) || flags.contains(Flags::READ_ONLY_FILE) {
            return Err(Errno::EACCES);
        }
        let Some((file, offset)) = file else {
            s.discard(piece, flags);
            continue;
        };
        // The file's pages may have to leave mappings, which takes the lock.
        drop(s);
        let file = file.downcast::<OpenFile>().ok_or(Errno::EINVAL)?;
        file.path.inode().allocate(PUNCH, offset, piece.len() as u64)?;
    }
    if hole || at < all.end { Err(Errno::ENOMEM) } else { Ok(()) }
}

/// ENOMEM unless the whole range is mapped.
pub fn check_mapped(addr: usize, len: usize) -> Result<()> {
    let all = range(addr, len, Errno::ENOMEM)?;
    if space::lock().vmas.covers(all) { Ok(()) } else { Err(Errno::ENOMEM) }
}

/// `msync`: files that are mapped shared are durable afterwards, if `wait`. EBUSY: locked pages cannot be invalidated.
/// Holes in the range are reported at the end.
pub fn sync(addr: usize, len: usize, wait: bool, invalidate: bool) -> Result<()> {
    let len = page_up_wrapping(len);
    if len == 0 {
        return Ok(());
    }
    let all = range(addr, len, Errno::ENOMEM)?;
    let list = pieces(all.clone(), |_, v, _| {
        let busy = invalidate && v.flags.contains(Flags::LOCKED);
        let file = match &v.kind {
            Kind::File(f, _) if wait && v.flags.contains(Flags::SHARED) => Some(f.clone()),
            _ => None,
        };
        (busy, file)
    })?;
    for (busy, file) in list {
        if busy {
            return Err(Errno::EBUSY);
        }
        if let Some(f) = file {
            f.sync(true)?;
        }
    }
    if wait {
        protect_memory_files(all);
    }
    check_mapped(addr, len)
}

/// Where the page cache is the storage, no write-back ever removes write access, and without that the next write would
/// not update the file's times again (POSIX mmap(): between a write and the `msync` after it).
fn protect_memory_files(all: Range<usize>) {
    let mut s = space::lock();
    let mut at = all.start;
    while at < all.end {
        let next = s.vmas.overlapping(at..all.end).find_map(|(start, v)| match &v.kind {
            Kind::File(f, _) if v.flags.contains(Flags::SHARED) => {
                let in_memory = f.downcast::<OpenFile>().is_some_and(|o| o.path.inode().cache().is_none());
                in_memory.then(|| start.max(at)..v.end.min(all.end))
            }
            _ => None,
        });
        let Some(piece) = next else { return };
        at = piece.end;
        s.protect_shared(piece);
    }
}

/// MADV_WILLNEED: starts to read what files have there. Anonymous memory has nothing to read ahead.
pub fn will_need(addr: usize, len: usize) -> Result<()> {
    check_mapped(addr, len)?;
    let list = pieces(range(addr, len, Errno::ENOMEM)?, |r, v, skipped| match &v.kind {
        Kind::File(f, offset) => Some((f.clone(), offset + skipped as u64, r.len() as u64)),
        _ => None,
    })?;
    for (file, offset, len) in list.into_iter().flatten() {
        if let Some(pages) = file.downcast::<OpenFile>().and_then(|f| f.path.inode().cache()) {
            pages.will_need(offset..offset.saturating_add(len));
        }
    }
    Ok(())
}

/// MADV_POPULATE_*: makes the pages present. EINVAL where the program may not touch them in this way.
pub fn populate(addr: usize, len: usize, write: bool) -> Result<()> {
    check_each(addr, len, |v| v.prot.contains(if write { Prot::WRITE } else { Prot::READ }))?;
    fault_in(addr, range(addr, len, Errno::ENOMEM)?.len(), write)
}

/// Writes one byte per page for `mincore`, for at most `out.len()` pages from `addr`.
pub fn residency(addr: usize, out: &mut [u8]) {
    let mut s = space::lock();
    for (i, o) in out.iter_mut().enumerate() {
        *o = (s.tables().last(addr + i * PAGE_SIZE) != 0) as u8;
    }
}

/// Rounds up to whole pages, as Linux does: a length too large for that wraps to 0.
pub fn page_up_wrapping(len: usize) -> usize {
    len.wrapping_add(PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

/// EINVAL when `f` rejects a mapping in the range, ENOMEM when the range is not all mapped.
pub fn check_each(addr: usize, len: usize, f: impl Fn(&Vma) -> bool) -> Result<()> {
    let all = range(addr, len, Errno::ENOMEM)?;
    if !space::lock().vmas.overlapping(all).all(|(_, v)| f(v)) {
        return Err(Errno::EINVAL);
    }
    check_mapped(addr, len)
}

/// `mlock` and `munlock`. There is no swap: a page that is present stays, so locking means making it present.
pub fn set_locked(addr: usize, len: usize, locked: bool, populate: bool) -> Result<()> {
    let start = page_down(addr);
    let len = page_up_wrapping(len.wrapping_add(addr - start));
    start.checked_add(len).ok_or(Errno::EINVAL)?;
    if len == 0 {
        return Ok(());
    }
    let all = range(start, len, Errno::ENOMEM)?;
    {
        let mut s = space::lock();
        s.check_room(2)?;
        if locked {
            let more = s.vmas.bytes_in(all.clone(), &|v| !v.flags.contains(Flags::LOCKED));
            rlimit::check_locked(&s, more, Errno::ENOMEM)?;
        }
        s.check_not_kernel(all.clone()).map_err(|_| Errno::ENOMEM)?;
        if !s.vmas.covers(all.clone()) {
            return Err(Errno::ENOMEM);
        }
        let mut at = all.start;
        while at < all.end {
            let Some((r, mut v)) = s.vmas.take(at..all.end) else { break };
            at = r.end;
            v.flags.set(Flags::LOCKED, locked);
            s.vmas.insert(r.start, v);
        }
    }
    if locked && populate { make_present(all) } else { Ok(()) }
}

/// Makes every page of the range present; ENOMEM where one may not be touched, EAGAIN without memory.
fn make_present(all: Range<usize>) -> Result<()> {
    let list = pieces(all, |r, v, _| (r, v.prot))?;
    for (r, prot) in list {
        fault_in(r.start, r.len(), prot.contains(Prot::WRITE))
            .map_err(|e| if e == Errno::EFAULT { Errno::ENOMEM } else { Errno::EAGAIN })?;
    }
    Ok(())
}

/// `mlockall`.
pub fn lock_all(current: bool, future: bool) -> Result<()> {
    {
        let mut s = space::lock();
        let all = s.vmas.bytes(&|v| current && lockable(v) && !v.flags.contains(Flags::LOCKED));
        rlimit::check_locked(&s, all, Errno::ENOMEM)?;
        s.lock_future = future;
    }
    if current { change_all(true) } else { Ok(()) }
}

/// `munlockall`.
pub fn unlock_all() -> Result<()> {
    space::lock().lock_future = false;
    change_all(false)
}

/// The image is present from the start, and stays.
fn lockable(v: &Vma) -> bool {
    !matches!(v.kind, Kind::StackGuard | Kind::Kernel | Kind::Image)
}

/// Like Linux, ignores what cannot be made present: pages beyond the end of a file, or without memory.
fn change_all(locked: bool) -> Result<()> {
    let list = pieces(PROGRAM_START..PROGRAM_END, |r, v, _| lockable(v).then_some(r))?;
    for r in list.into_iter().flatten() {
        match set_locked(r.start, r.len(), locked, false) {
            // Unmapped in the meantime.
            Err(Errno::ENOMEM) if check_mapped(r.start, r.len()).is_err() => {}
            other => other?,
        }
        if locked {
            let _ = make_present(r);
        }
    }
    Ok(())
}
