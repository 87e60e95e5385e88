//! mmap and its family.

use crate::mm::program::{self, Place};
use crate::mm::vma::Flags;
use crate::mm::{Prot, advice, remap};
use alloc::sync::Arc;
use libos_base::file::FileLike;
use libos_base::layout::PAGE_SIZE;
use libos_base::{Errno, Result, user};

// MAP_* (asm-generic/mman-common.h, mman.h).
const MAP_TYPE: u32 = 0x0f;
const MAP_SHARED: u32 = 1;
const MAP_PRIVATE: u32 = 2;
const MAP_SHARED_VALIDATE: u32 = 3;
const MAP_FIXED: u32 = 0x10;
const MAP_ANONYMOUS: u32 = 0x20;
const MAP_32BIT: u32 = 0x40;
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
/// All that MAP_SHARED_VALIDATE may be combined with; of these, MAP_SYNC is missing (no persistent memory).
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
    | MAP_FIXED_NOREPLACE;

/// PROT_* as the program passes them. As on Linux, unknown bits are EINVAL for mprotect and ignored by mmap.
fn prot_of(bits: u32) -> Prot {
    Prot::from_bits_truncate(bits as u8)
}

/// `mmap`.
pub fn mmap(addr: usize, len: usize, prot: u32, flags: u32, fd: i32, offset: i64) -> Result<usize> {
    let kind = flags & MAP_TYPE;
    if len == 0 || offset as usize & (PAGE_SIZE - 1) != 0 {
        return Err(Errno::EINVAL);
    }
    if !matches!(kind, MAP_SHARED | MAP_PRIVATE | MAP_SHARED_VALIDATE) || flags & MAP_GROWSDOWN != 0 {
        return Err(Errno::EINVAL);
    }
    if kind == MAP_SHARED_VALIDATE && flags & !MAP_KNOWN != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if flags & MAP_HUGETLB != 0 {
        // What Linux says when its pool is empty.
        return Err(Errno::ENOMEM);
    }
    let prot = prot_of(prot);
    program::check_prot(prot)?;
    let shared = kind != MAP_PRIVATE;
    let mut f = Flags::empty();
    f.set(Flags::SHARED, shared);
    f.set(Flags::NORESERVE, flags & MAP_NORESERVE != 0);
    f.set(Flags::LOCKED, flags & MAP_LOCKED != 0);
    let file = if flags & MAP_ANONYMOUS != 0 { None } else { Some(file(fd, len, prot, shared, offset, &mut f)?) };
    let place = if flags & MAP_FIXED_NOREPLACE != 0 {
        Place::FixedFree(addr)
    } else if flags & MAP_FIXED != 0 {
        Place::Fixed(addr)
    } else if flags & MAP_32BIT != 0 {
        Place::Low
    } else {
        Place::Any(addr)
    };
    let populate = flags & MAP_POPULATE != 0 && flags & MAP_NONBLOCK == 0;
    program::map(place, len, prot, f, file, populate)
}

fn file(
    fd: i32,
    len: usize,
    prot: Prot,
    shared: bool,
    offset: i64,
    flags: &mut Flags,
) -> Result<(Arc<dyn FileLike>, u64)> {
    let file = libos_fs::process().fds.get(fd)?;
    libos_fs::openfile::on_shrink(crate::mm::shrink::file_shrunk);
    let access = file.flags();
    // A negative offset is a huge unsigned one.
    (offset as u64).checked_add(len as u64).filter(|&e| e <= i64::MAX as u64).ok_or(Errno::EOVERFLOW)?;
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
    if !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    match advice {
        // NORMAL, RANDOM, SEQUENTIAL; HUGEPAGE, NOHUGEPAGE, DONTDUMP, DODUMP, COLD, PAGEOUT: hints that need no
        // action. DONTFORK, DOFORK, WIPEONFORK, KEEPONFORK: kept by never forking.
        0..=2 | 10 | 11 | 14..=21 => advice::check_mapped(addr, len),
        3 => advice::will_need(addr, len),
        4 => advice::discard(addr, len, false),
        8 => advice::discard(addr, len, true),
        22 => advice::populate(addr, len, false),
        23 => advice::populate(addr, len, true),
        // REMOVE (punching holes), MERGEABLE (no page merging here) and what is not known.
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
