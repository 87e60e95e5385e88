//! mmap and its family.

use super::support::only;
use crate::mm::advice::Discard;
use crate::mm::program::{self, Place};
use crate::mm::vma::Flags;
use crate::mm::{Prot, advice, remap};
use alloc::sync::Arc;
use libos_base::abi::{
    Address, Fd, LockAllFlags, LockFlags, MapFlags, MemoryAdvice, MsyncFlags, Offset, Out, Protection, RemapFlags,
};
use libos_base::file::FileLike;
use libos_base::layout::PAGE_SIZE;
use libos_base::sync::Provider;
use libos_base::{Errno, Result, user};
use libos_fs::openfile::{ON_SHRINK, OnShrink};

/// MAP_UNINITIALIZED, MAP_HUGE_2MB, MAP_HUGE_1GB.
const HUGE_SIZES: MapFlags = MapFlags::from_bits_retain(0x7c00_0000);
/// All flags that MapFlags::SHARED_VALIDATE may be combined with (Linux's LEGACY_MAP_MASK: nothing newer than it).
const KNOWN: MapFlags = MapFlags::TYPE
    .union(MapFlags::FIXED)
    .union(MapFlags::ANONYMOUS)
    .union(MapFlags::_32BIT)
    .union(MapFlags::GROWSDOWN)
    .union(MapFlags::DENYWRITE)
    .union(MapFlags::EXECUTABLE)
    .union(MapFlags::LOCKED)
    .union(MapFlags::NORESERVE)
    .union(MapFlags::POPULATE)
    .union(MapFlags::NONBLOCK)
    .union(MapFlags::STACK)
    .union(MapFlags::HUGETLB)
    .union(MapFlags::ABOVE4G)
    .union(HUGE_SIZES);

/// PROT_* as the program passes them. As on Linux, unknown bits are EINVAL for mprotect and ignored by mmap.
fn prot_of(bits: u32) -> Prot {
    Prot::from_bits_truncate(bits as u8)
}

pub fn mmap(addr: Address, len: usize, prot: Protection, flags: MapFlags, fd: Fd, offset: Offset) -> Result<usize> {
    // The order of the checks is Linux's (ksys_mmap_pgoff, do_mmap).
    let kind = flags & MapFlags::TYPE;
    if offset.0 as usize & (PAGE_SIZE - 1) != 0 {
        return Err(Errno::EINVAL);
    }
    let file = if flags.contains(MapFlags::ANONYMOUS) { None } else { Some(libos_fs::files().fds.get(fd)?) };
    if len == 0 || file.is_some() && flags.contains(MapFlags::HUGETLB) {
        return Err(Errno::EINVAL);
    }
    if flags.contains(MapFlags::HUGETLB) {
        // Linux's error when its pool is empty.
        return Err(Errno::ENOMEM);
    }
    let place = if flags.contains(MapFlags::FIXED_NOREPLACE) {
        Place::FixedFree(addr.0)
    } else if flags.contains(MapFlags::FIXED) {
        Place::Fixed(addr.0)
    } else if flags.contains(MapFlags::_32BIT) {
        Place::Low
    } else {
        Place::Any(addr.0)
    };
    if let Place::Fixed(at) | Place::FixedFree(at) = place {
        program::check_place(at, len)?;
    }
    let prot = prot_of(prot.bits());
    let shared = kind != MapFlags::PRIVATE;
    let mut f = Flags::empty();
    f.set(Flags::SHARED, shared);
    f.set(Flags::NORESERVE, flags.contains(MapFlags::NORESERVE));
    f.set(Flags::LOCKED, flags.contains(MapFlags::LOCKED));
    let file = match file {
        Some(file) => Some(checked(file, len, prot, flags, offset.0, &mut f)?),
        None if !matches!(kind, MapFlags::SHARED | MapFlags::PRIVATE) => return Err(Errno::EINVAL),
        None => None,
    };
    if flags.contains(MapFlags::GROWSDOWN) {
        if shared || file.is_some() {
            return Err(Errno::EINVAL);
        }
        f |= Flags::GROWS;
    }
    program::check_prot(prot)?;
    let populate = flags.contains(MapFlags::POPULATE) && !flags.contains(MapFlags::NONBLOCK);
    program::map(place, len, prot, f, file, populate)
}

/// Whether a file has a seal against writing, from the first `memfd_create` on.
pub(super) static SEALED: Provider<Sealed> = Provider::new();
/// See [`SEALED`].
pub(super) type Sealed = fn(&dyn FileLike) -> bool;

/// Checks that a file can be mapped in this way.
fn checked(
    file: Arc<dyn FileLike>,
    len: usize,
    prot: Prot,
    map: MapFlags,
    offset: i64,
    flags: &mut Flags,
) -> Result<(Arc<dyn FileLike>, u64)> {
    ON_SHRINK.provide(&(crate::mm::rmap::file_shrunk as OnShrink));
    let access = file.flags();
    // A negative offset is a huge unsigned one.
    (offset as u64).checked_add(len as u64).filter(|&e| e <= i64::MAX as u64).ok_or(Errno::EOVERFLOW)?;
    match map & MapFlags::TYPE {
        MapFlags::SHARED | MapFlags::PRIVATE => {}
        MapFlags::SHARED_VALIDATE if KNOWN.contains(map) => {}
        MapFlags::SHARED_VALIDATE => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EINVAL),
    }
    let shared = flags.contains(Flags::SHARED);
    if !access.readable() || shared && prot.contains(Prot::WRITE) && !access.writable() {
        return Err(Errno::EACCES);
    }
    let sealed = shared && SEALED.get().is_some_and(|sealed| sealed(&*file));
    if sealed && prot.contains(Prot::WRITE) {
        return Err(Errno::EPERM);
    }
    flags.set(Flags::READ_ONLY_FILE, sealed || shared && !access.writable());
    // ENODEV if it cannot be mapped at all; any other error is left to the fault.
    if let Err(Errno::ENODEV) = file.map_page(offset as u64 / PAGE_SIZE as u64, false) {
        return Err(Errno::ENODEV);
    }
    Ok((file, offset as u64))
}

pub fn munmap(addr: Address, len: usize) -> Result<()> {
    program::unmap(addr.0, len)
}

pub fn mprotect(addr: Address, len: usize, prot: Protection) -> Result<()> {
    if addr.0.is_multiple_of(PAGE_SIZE) && len == 0 {
        return Ok(());
    }
    // PROT_SEM means nothing here.
    let (known, grows) = (Protection::from_bits_retain(0xf), Protection::GROWSDOWN | Protection::GROWSUP);
    let (mut start, mut len) = (addr.0, len);
    if prot.intersects(grows) {
        if prot.contains(grows) || !start.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let end = program::range(start, len, Errno::ENOMEM)?.end;
        start = program::grown_from(start, prot.contains(Protection::GROWSDOWN))?;
        len = end - start;
    }
    if !(known | grows).contains(prot) {
        return Err(Errno::EINVAL);
    }
    program::protect(start, len, prot_of(prot.bits()))
}

pub fn brk(to: Address) -> Result<usize> {
    Ok(program::brk(to.0))
}

pub fn mremap(old: Address, old_len: usize, new_len: usize, flags: RemapFlags, to: Address) -> Result<usize> {
    only(flags, RemapFlags::MAYMOVE | RemapFlags::FIXED | RemapFlags::DONTUNMAP)?;
    let (may_move, fixed) = (flags.contains(RemapFlags::MAYMOVE), flags.contains(RemapFlags::FIXED));
    if flags.contains(RemapFlags::DONTUNMAP) {
        if !may_move || old_len != new_len {
            return Err(Errno::EINVAL);
        }
        return remap::move_pages(old.0, advice::page_up_wrapping(old_len), to.0, fixed);
    }
    let (old_len, new_len) = (advice::page_up_wrapping(old_len), advice::page_up_wrapping(new_len));
    remap::remap(old.0, old_len, new_len, may_move, fixed.then_some(to.0))
}

pub fn msync(addr: Address, len: usize, flags: MsyncFlags) -> Result<()> {
    let both = flags.contains(MsyncFlags::ASYNC | MsyncFlags::SYNC);
    if !MsyncFlags::all().contains(flags) || both || !addr.0.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    // Mappings are the page cache's own pages, so reads of the file see them already; write-back starts by itself
    // (MS_ASYNC), and waiting means syncing the file, as on Linux.
    advice::sync(addr.0, len, flags.contains(MsyncFlags::SYNC), flags.contains(MsyncFlags::INVALIDATE))
}

pub fn mincore(addr: Address, len: usize, vec: Out<u8>) -> Result<()> {
    if !addr.0.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    advice::check_mapped(addr.0, len)?;
    let pages = len.div_ceil(PAGE_SIZE);
    let mut chunk = [0u8; 256];
    let mut done = 0;
    while done < pages {
        let n = (pages - done).min(chunk.len());
        advice::residency(addr.0 + done * PAGE_SIZE, &mut chunk[..n]);
        user::copy_out(vec.nth(done).address(), &chunk[..n])?;
        done += n;
    }
    Ok(())
}

pub fn madvise(addr: Address, len: usize, advice: MemoryAdvice) -> Result<()> {
    let end = len.checked_next_multiple_of(PAGE_SIZE).and_then(|len| addr.0.checked_add(len));
    if !addr.0.is_multiple_of(PAGE_SIZE) || end.is_none() {
        return Err(Errno::EINVAL);
    }
    match advice {
        // Hints that need no action; those about forking hold because nothing forks, and merging behaves as on a Linux
        // that has it switched off.
        MemoryAdvice::NORMAL
        | MemoryAdvice::RANDOM
        | MemoryAdvice::SEQUENTIAL
        | MemoryAdvice::DONTFORK
        | MemoryAdvice::DOFORK
        | MemoryAdvice::MERGEABLE
        | MemoryAdvice::UNMERGEABLE
        | MemoryAdvice::HUGEPAGE
        | MemoryAdvice::NOHUGEPAGE
        | MemoryAdvice::DONTDUMP
        | MemoryAdvice::DODUMP
        | MemoryAdvice::KEEPONFORK => advice::check_mapped(addr.0, len),
        // The same, for private anonymous memory.
        MemoryAdvice::WIPEONFORK => {
            advice::check_each(addr.0, len, |v| v.kind.is_zeroed() && !v.flags.contains(Flags::SHARED))
        }
        // Hints.
        MemoryAdvice::COLD | MemoryAdvice::PAGEOUT => {
            advice::check_each(addr.0, len, |v| !v.flags.contains(Flags::LOCKED))
        }
        MemoryAdvice::WILLNEED => advice::will_need(addr.0, len),
        MemoryAdvice::DONTNEED => advice::discard(addr.0, len, Discard::All),
        MemoryAdvice::FREE => advice::discard(addr.0, len, Discard::PrivateAnonymous),
        MemoryAdvice::REMOVE => advice::remove(addr.0, len),
        MemoryAdvice::POPULATE_READ => advice::populate(addr.0, len, false),
        MemoryAdvice::POPULATE_WRITE => advice::populate(addr.0, len, true),
        MemoryAdvice::DONTNEED_LOCKED => advice::discard(addr.0, len, Discard::AlsoLocked),
        // COLLAPSE, HWPOISON and SOFT_OFFLINE, and unknown advice.
        _ => Err(Errno::EINVAL),
    }
}

pub fn mlock(addr: Address, len: usize) -> Result<()> {
    advice::set_locked(addr.0, len, true, true)
}

pub fn mlock2(addr: Address, len: usize, flags: LockFlags) -> Result<()> {
    only(flags, LockFlags::all())?;
    advice::set_locked(addr.0, len, true, !flags.contains(LockFlags::ONFAULT))
}

pub fn munlock(addr: Address, len: usize) -> Result<()> {
    advice::set_locked(addr.0, len, false, false)
}

pub fn mlockall(flags: LockAllFlags) -> Result<()> {
    let (current, future) = (flags.contains(LockAllFlags::CURRENT), flags.contains(LockAllFlags::FUTURE));
    if !LockAllFlags::all().contains(flags) || !current && !future {
        return Err(Errno::EINVAL);
    }
    // With ONFAULT nothing has to be made present; and present pages stay, because there is no swap.
    let now = !flags.contains(LockAllFlags::ONFAULT);
    advice::lock_all(now && current, now && future)
}

pub fn munlockall() -> Result<()> {
    advice::unlock_all()
}
