//! mmap and its family.

use crate::mm::advice::Discard;
use crate::mm::program::{self, Place};
use crate::mm::vma::Flags;
use crate::mm::{Prot, advice, remap};
use alloc::sync::Arc;
use libos_base::file::FileLike;
use libos_base::layout::PAGE_SIZE;
use libos_base::{Errno, Result, user};
use libos_fs::openfile::{ON_SHRINK, OnShrink};

// MAP_* (asm-generic/mman-common.h, mman.h).
const MAP_TYPE: u32 = 0x0f;
const MAP_SHARED: u32 = 1;
const MAP_PRIVATE: u32 = 2;
const MAP_SHARED_VALIDATE: u32 = 3;
const MAP_FIXED: u32 = 0x10;
const MAP_ANONYMOUS: u32 = 0x20;
const MAP_32BIT: u32 = 0x40;
const MAP_ABOVE4G: u32 = 0x80;
const MAP_GROWSDOWN: u32 = 0x100;
const MAP_DENYWRITE: u32 = 0x800;
const MAP_EXECUTABLE: u32 = 0x1000;
const MAP_LOCKED: u32 = 0x2000;
const MAP_NORESERVE: u32 = 0x4000;
const MAP_POPULATE: u32 = 0x8000;
const MAP_NONBLOCK: u32 = 0x1_0000;
const MAP_STACK: u32 = 0x2_0000;
const MAP_HUGETLB: u32 = 0x4_0000;
const MAP_FIXED_NOREPLACE: u32 = 0x10_0000;
/// MAP_UNINITIALIZED, MAP_HUGE_2MB, MAP_HUGE_1GB.
const MAP_HUGE_SIZES: u32 = 0x7c00_0000;
/// All that MAP_SHARED_VALIDATE may be combined with (Linux's LEGACY_MAP_MASK: nothing that is newer than it).
const MAP_KNOWN: u32 = MAP_TYPE
    | MAP_FIXED
    | MAP_ANONYMOUS
    | MAP_32BIT
    | MAP_GROWSDOWN
    | MAP_DENYWRITE
    | MAP_EXECUTABLE
    | MAP_LOCKED
    | MAP_NORESERVE
    | MAP_POPULATE
    | MAP_NONBLOCK
    | MAP_STACK
    | MAP_HUGETLB
    | MAP_ABOVE4G
    | MAP_HUGE_SIZES;

/// PROT_* as the program passes them. As on Linux, unknown bits are EINVAL for mprotect and ignored by mmap.
fn prot_of(bits: u32) -> Prot {
    Prot::from_bits_truncate(bits as u8)
}

/// `mmap`.
pub fn mmap(addr: usize, len: usize, prot: u32, flags: u32, fd: i32, offset: i64) -> Result<usize> {
    // The order of the checks is Linux's (ksys_mmap_pgoff, do_mmap).
    let kind = flags & MAP_TYPE;
    if offset as usize & (PAGE_SIZE - 1) != 0 {
        return Err(Errno::EINVAL);
    }
    let file = if flags & MAP_ANONYMOUS != 0 { None } else { Some(libos_fs::process().fds.get(fd)?) };
    if len == 0 || file.is_some() && flags & MAP_HUGETLB != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & MAP_HUGETLB != 0 {
        // What Linux says when its pool is empty.
        return Err(Errno::ENOMEM);
    }
    let place = if flags & MAP_FIXED_NOREPLACE != 0 {
        Place::FixedFree(addr)
    } else if flags & MAP_FIXED != 0 {
        Place::Fixed(addr)
    } else if flags & MAP_32BIT != 0 {
        Place::Low
    } else {
        Place::Any(addr)
    };
    if let Place::Fixed(at) | Place::FixedFree(at) = place {
        program::check_place(at, len)?;
    }
    let prot = prot_of(prot);
    let shared = kind != MAP_PRIVATE;
    let mut f = Flags::empty();
    f.set(Flags::SHARED, shared);
    f.set(Flags::NORESERVE, flags & MAP_NORESERVE != 0);
    f.set(Flags::LOCKED, flags & MAP_LOCKED != 0);
    let file = match file {
        Some(file) => Some(checked(file, len, prot, flags, offset, &mut f)?),
        None if !matches!(kind, MAP_SHARED | MAP_PRIVATE) => return Err(Errno::EINVAL),
        None => None,
    };
    if flags & MAP_GROWSDOWN != 0 {
        return Err(Errno::EINVAL);
    }
    program::check_prot(prot)?;
    let populate = flags & MAP_POPULATE != 0 && flags & MAP_NONBLOCK == 0;
    program::map(place, len, prot, f, file, populate)
}

/// What a mapping of a file needs of it.
fn checked(
    file: Arc<dyn FileLike>,
    len: usize,
    prot: Prot,
    map: u32,
    offset: i64,
    flags: &mut Flags,
) -> Result<(Arc<dyn FileLike>, u64)> {
    ON_SHRINK.provide(&(crate::mm::shrink::file_shrunk as OnShrink));
    let access = file.flags();
    // A negative offset is a huge unsigned one.
    (offset as u64).checked_add(len as u64).filter(|&e| e <= i64::MAX as u64).ok_or(Errno::EOVERFLOW)?;
    match map & MAP_TYPE {
        MAP_SHARED | MAP_PRIVATE => {}
        MAP_SHARED_VALIDATE if map & !MAP_KNOWN == 0 => {}
        MAP_SHARED_VALIDATE => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EINVAL),
    }
    let shared = flags.contains(Flags::SHARED);
    if !access.readable() || shared && prot.contains(Prot::WRITE) && !access.writable() {
        return Err(Errno::EACCES);
    }
    flags.set(Flags::READ_ONLY_FILE, shared && !access.writable());
    // Says ENODEV for what cannot be mapped at all; everything else is for the fault.
    if let Err(Errno::ENODEV) = file.map_page(offset as u64 / PAGE_SIZE as u64, false) {
        return Err(Errno::ENODEV);
    }
    Ok((file, offset as u64))
}

/// `munmap`.
pub fn munmap(addr: usize, len: usize) -> Result<usize> {
    program::unmap(addr, len).map(|()| 0)
}

/// `mprotect`.
pub fn mprotect(addr: usize, len: usize, prot: u32) -> Result<usize> {
    if addr.is_multiple_of(PAGE_SIZE) && len == 0 {
        return Ok(0);
    }
    // PROT_SEM (8) means nothing here; PROT_GROWSDOWN and PROT_GROWSUP need mappings that grow.
    if prot & !0xf != 0 {
        return Err(Errno::EINVAL);
    }
    program::protect(addr, len, prot_of(prot)).map(|()| 0)
}

/// `brk`.
pub fn brk(to: usize) -> Result<usize> {
    Ok(program::brk(to))
}

/// `mremap`.
pub fn mremap(old: usize, old_len: usize, new_len: usize, flags: u32, to: usize) -> Result<usize> {
    const MAYMOVE: u32 = 1;
    const FIXED: u32 = 2;
    if flags & !(MAYMOVE | FIXED) != 0 {
        return Err(Errno::EINVAL);
    }
    let (old_len, new_len) = (advice::page_up_wrapping(old_len), advice::page_up_wrapping(new_len));
    remap::remap(old, old_len, new_len, flags & MAYMOVE != 0, (flags & FIXED != 0).then_some(to))
}

/// `msync`.
pub fn msync(addr: usize, len: usize, flags: u32) -> Result<usize> {
    const ASYNC: u32 = 1;
    const INVALIDATE: u32 = 2;
    const SYNC: u32 = 4;
    let both = flags & (ASYNC | SYNC) == ASYNC | SYNC;
    if flags & !(ASYNC | INVALIDATE | SYNC) != 0 || both || !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    // Mappings are the page cache's own pages, so reads of the file see them already; write-back begins by itself
    // (MS_ASYNC), and waiting is syncing the file, as on Linux.
    advice::sync(addr, len, flags & SYNC != 0, flags & INVALIDATE != 0).map(|()| 0)
}

/// `mincore`.
pub fn mincore(addr: usize, len: usize, vec: usize) -> Result<usize> {
    if !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    advice::check_mapped(addr, len)?;
    let pages = len.div_ceil(PAGE_SIZE);
    let mut chunk = [0u8; 256];
    let mut done = 0;
    while done < pages {
        let n = (pages - done).min(chunk.len());
        advice::residency(addr + done * PAGE_SIZE, &mut chunk[..n]);
        user::copy_out(vec + done, &chunk[..n])?;
        done += n;
    }
    Ok(0)
}

/// `madvise`.
pub fn madvise(addr: usize, len: usize, advice: i32) -> Result<usize> {
    let end = len.checked_next_multiple_of(PAGE_SIZE).and_then(|len| addr.checked_add(len));
    if !addr.is_multiple_of(PAGE_SIZE) || end.is_none() {
        return Err(Errno::EINVAL);
    }
    match advice {
        // NORMAL, RANDOM, SEQUENTIAL; HUGEPAGE, NOHUGEPAGE, DONTDUMP, DODUMP: hints that need no action. DONTFORK, DOFORK,
        // KEEPONFORK: kept by never forking.
        // MERGEABLE, UNMERGEABLE: as on a Linux whose merging is not switched on.
        0..=2 | 10..=17 | 19 => advice::check_mapped(addr, len),
        // WIPEONFORK: the same, for private anonymous memory.
        18 => advice::check_each(addr, len, |v| v.kind.is_zeroed() && !v.flags.contains(Flags::SHARED)),
        // COLD, PAGEOUT: hints.
        20 | 21 => advice::check_each(addr, len, |v| !v.flags.contains(Flags::LOCKED)),
        3 => advice::will_need(addr, len),
        4 => advice::discard(addr, len, Discard::All),
        8 => advice::discard(addr, len, Discard::PrivateAnonymous),
        9 => advice::remove(addr, len),
        22 => advice::populate(addr, len, false),
        23 => advice::populate(addr, len, true),
        24 => advice::discard(addr, len, Discard::AlsoLocked),
        // COLLAPSE (there are no huge pages), HWPOISON and SOFT_OFFLINE, and what is not known.
        _ => Err(Errno::EINVAL),
    }
    .map(|()| 0)
}

/// `mlock`.
pub fn mlock(addr: usize, len: usize) -> Result<usize> {
    advice::set_locked(addr, len, true, true).map(|()| 0)
}

/// `mlock2`.
pub fn mlock2(addr: usize, len: usize, flags: u32) -> Result<usize> {
    const ONFAULT: u32 = 1;
    if flags & !ONFAULT != 0 {
        return Err(Errno::EINVAL);
    }
    advice::set_locked(addr, len, true, flags & ONFAULT == 0).map(|()| 0)
}

/// `munlock`.
pub fn munlock(addr: usize, len: usize) -> Result<usize> {
    advice::set_locked(addr, len, false, false).map(|()| 0)
}

/// `mlockall`.
pub fn mlockall(flags: u32) -> Result<usize> {
    const CURRENT: u32 = 1;
    const FUTURE: u32 = 2;
    const ONFAULT: u32 = 4;
    if flags & !(CURRENT | FUTURE | ONFAULT) != 0 || flags & (CURRENT | FUTURE) == 0 {
        return Err(Errno::EINVAL);
    }
    // With ONFAULT nothing is to be made present; and what is present stays, because there is no swap.
    let now = flags & ONFAULT == 0;
    advice::lock_all(now && flags & CURRENT != 0, now && flags & FUTURE != 0).map(|()| 0)
}

/// `munlockall`.
pub fn munlockall() -> Result<usize> {
    advice::unlock_all().map(|()| 0)
}
