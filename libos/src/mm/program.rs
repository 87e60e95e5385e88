//! The program's mappings: what `mmap` and its family do.

use super::commit;
use super::fault::fault_in;
use super::rlimit::{self, STACK_GUARD};
use super::space::{self, Garbage, Space};
use super::vma::{Flags, Kind, Prot, Vma};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use libos_base::file::FileLike;
use libos_base::layout::{PAGE_SIZE, PROGRAM_END, PROGRAM_START, page_down, page_up};
use libos_base::{Errno, Result, random};

/// The most that the main stack may ever grow to, and its initial size (Linux's mmap_base() and setup_arg_pages()).
const STACK_MAX: usize = 128 << 20;
const STACK_FIRST: usize = 132 << 10;

/// Where a mapping should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere; at this address if it is free (0: no preference).
    Any(usize),
    /// Anywhere below 2 GiB.
    Low,
    /// Here, replacing what is there.
    Fixed(usize),
    /// Here, or EEXIST.
    FixedFree(usize),
}

/// Checked, page-aligned `addr .. addr + len` of program addresses. `wrong`: the error if it is not.
pub fn range(addr: usize, len: usize, wrong: Errno) -> Result<Range<usize>> {
    let len = len.checked_next_multiple_of(PAGE_SIZE).ok_or(wrong)?;
    let end = addr.checked_add(len).filter(|&e| e <= PROGRAM_END).ok_or(wrong)?;
    Ok(addr..end)
}

/// W^X: nothing is writable and executable at once.
pub fn check_prot(prot: Prot) -> Result<()> {
    if prot.contains(Prot::WRITE | Prot::EXEC) { Err(Errno::EACCES) } else { Ok(()) }
}

/// Registers a segment of the image, mapped by boot, as the program's. Parts of the kernel in it stay closed.
pub fn add_image_segment(range: Range<usize>, prot: Prot) {
    let mut s = space::lock();
    let flags = if prot.contains(Prot::WRITE) { Flags::empty() } else { Flags::AS_LINKED };
    replace(&mut s, range.clone(), prot, flags, Kind::Image);
    #[cfg(unibody_kernel)]
    for part in super::image::kernel_parts() {
        let inside = part.start.max(range.start)..part.end.min(range.end);
        replace(&mut s, inside, Prot::empty(), Flags::empty(), Kind::Kernel);
    }
}

fn replace(s: &mut Space, range: Range<usize>, prot: Prot, flags: Flags, kind: Kind) {
    let range = page_down(range.start)..page_up(range.end);
    if !range.is_empty() {
        while s.vmas.take(range.clone()).is_some() {}
        s.vmas.insert(range.start, Vma { end: range.end, prot, flags, kind });
    }
}

/// Makes the main stack at a random place near the end of program memory, with room to grow below; returns its top. New
/// mappings will go below that, at a random distance. Once, before the program runs.
pub fn make_stack() -> usize {
    // As on Linux (arch_randomize_brk, mmap_base): 22 bits of pages for the stack, 28 for the mappings.
    let top = PROGRAM_END - ((random::u64() as usize & 0x3f_ffff) + 1) * PAGE_SIZE;
    let bottom = top - STACK_FIRST;
    let guard = top - STACK_MAX - STACK_GUARD;
    let mut s = space::lock();
    s.stack_top = top;
    let (flags, none) = (Flags::empty(), Prot::empty());
    s.vmas.insert(bottom, Vma { end: top, prot: Prot::READ | Prot::WRITE, flags, kind: Kind::Stack });
    s.vmas.insert(guard, Vma { end: bottom, prot: none, flags, kind: Kind::StackGuard });
    s.vmas.set_base(guard - (random::u64() as usize & 0x0fff_ffff) * PAGE_SIZE);
    top
}

/// `mmap`. `file`: the file and the offset of the first page. `prot` is checked by the caller.
pub fn map(
    place: Place,
    len: usize,
    prot: Prot,
    mut flags: Flags,
    file: Option<(Arc<dyn FileLike>, u64)>,
    populate: bool,
) -> Result<usize> {
    let len = len.checked_next_multiple_of(PAGE_SIZE).filter(|&l| l <= PROGRAM_END).ok_or(Errno::ENOMEM)?;
    let promised = promised(prot, flags, file.is_none());
    if promised {
        commit::prepare(len / PAGE_SIZE);
    }
    let mut garbage = Garbage::default();
    let mut s = space::lock();
    s.check_room(2)?;
    let start = choose(&mut s, place, len)?;
    let range = start..start + len;
    s.check_not_kernel(range.clone())?;
    if file.is_some() && flags.contains(Flags::SHARED) {
        SHARES_FILES.store(true, Relaxed);
    }
    let kind = file.map_or(Kind::Anon, |(f, offset)| Kind::File(f, offset));
    if s.lock_future {
        flags |= Flags::LOCKED;
    }
    rlimit::check_map(&s, range.clone(), rlimit::is_data(prot, flags, &kind), flags.contains(Flags::LOCKED))?;
    if promised {
        // What is replaced is given up only once the new mapping is certain; so for a moment both are counted.
        commit::promise(len / PAGE_SIZE)?;
        flags |= Flags::PROMISED;
    }
    if matches!(place, Place::Fixed(_)) {
        s.unmap(range.clone(), &mut garbage);
    }
    s.vmas.insert(start, Vma { end: range.end, prot, flags, kind });
    drop(s);
    if (populate || flags.contains(Flags::LOCKED)) && !prot.is_empty() {
        let write = prot.contains(Prot::WRITE);
        // As on Linux: a page that is unavailable now is tried again when touched.
        let _ = fault_in(start, len, write);
    }
    Ok(start)
}

/// A file was mapped shared: one page may be at several addresses.
static SHARES_FILES: AtomicBool = AtomicBool::new(false);

/// See [`SHARES_FILES`].
#[inline(always)]
pub fn shares_files() -> bool {
    SHARES_FILES.load(Relaxed)
}

/// The file behind an address in a shared mapping, as a number that no other file has meanwhile, and the place in it.
pub fn shared_place(addr: usize) -> Option<(usize, u64)> {
    let s = space::lock();
    let (start, v) = s.vmas.find(addr).filter(|(_, v)| v.flags.contains(Flags::SHARED))?;
    let Kind::File(file, at) = &v.kind else { return None };
    Some((core::ptr::from_ref(file.mappings()?) as usize, at + (addr - start) as u64))
}

fn promised(prot: Prot, flags: Flags, anonymous: bool) -> bool {
    let private_write = prot.contains(Prot::WRITE) && !flags.contains(Flags::SHARED);
    let shared_memory = anonymous && flags.contains(Flags::SHARED);
    // Like Linux, which ignores MAP_NORESERVE in strict mode.
    (private_write || shared_memory) && (!flags.contains(Flags::NORESERVE) || commit::mode() == commit::STRICT)
}

/// Checks whether a mapping of `len` bytes may be at `at`. As on Linux, the length is checked first.
pub fn check_place(at: usize, len: usize) -> Result<Range<usize>> {
    let r = range(at, len, Errno::ENOMEM)?;
    if !at.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    if at < PROGRAM_START { Err(Errno::EPERM) } else { Ok(r) }
}

fn choose(s: &mut Space, place: Place, len: usize) -> Result<usize> {
    match place {
        Place::Fixed(at) | Place::FixedFree(at) => {
            let r = check_place(at, len)?;
            if matches!(place, Place::FixedFree(_)) && !s.vmas.is_free(r) {
                return Err(Errno::EEXIST);
            }
            Ok(at)
        }
        Place::Low => s.vmas.find_gap(len, 1 << 31).ok_or(Errno::ENOMEM),
        Place::Any(wish) => {
            let at = page_down(wish);
            if at >= PROGRAM_START && range(at, len, Errno::ENOMEM).is_ok_and(|r| s.vmas.is_free(r)) {
                return Ok(at);
            }
            s.vmas.find_gap(len, usize::MAX).ok_or(Errno::ENOMEM)
        }
    }
}

/// `munmap`.
pub fn unmap(addr: usize, len: usize) -> Result<()> {
    if len == 0 || !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let r = range(addr, len, Errno::EINVAL)?;
    let mut garbage = Garbage::default();
    let mut s = space::lock();
    s.check_not_kernel(r.clone())?;
    s.unmap(r, &mut garbage);
    Ok(())
}

/// `shmdt`: unmaps what is left of one mapping of a file that began at `addr`. `size`: how much of such a file was mapped;
/// `None`: it is no such file. EINVAL: nothing is left.
pub fn unmap_file(addr: usize, size: impl Fn(&dyn FileLike) -> Option<usize>) -> Result<()> {
    let mut garbage = Garbage::default();
    let mut s = space::lock();
    // A piece lies where it lay when all of it was there.
    let piece = |v: &Vma, start: usize| match &v.kind {
        Kind::File(f, at) if *at == (start - addr) as u64 => size(&**f).map(|size| (f.clone(), size)),
        _ => None,
    };
    let mut pieces = s.vmas.overlapping(addr..PROGRAM_END).filter(|(start, _)| *start >= addr);
    let (file, size) = pieces.find_map(|(start, v)| piece(v, start)).ok_or(Errno::EINVAL)?;
    drop(pieces);
    let end = page_up(addr + size);
    let mut at = addr;
    loop {
        let next = s.vmas.overlapping(at..end).find(|(start, v)| {
            let whole = *start >= addr && v.end <= end;
            whole && piece(v, *start).is_some_and(|(f, _)| Arc::ptr_eq(&f, &file))
        });
        let Some((start, v)) = next else { return Ok(()) };
        at = v.end;
        s.unmap(start..at, &mut garbage);
    }
}

/// `mprotect`.
pub fn protect(addr: usize, len: usize, prot: Prot) -> Result<()> {
    if !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    check_prot(prot)?;
    let all = range(addr, len, Errno::ENOMEM)?;
    if prot.contains(Prot::WRITE) {
        commit::prepare(all.len() / PAGE_SIZE);
    }
    let mut s = space::lock();
    s.check_room(2)?;
    s.check_not_kernel(all.clone())?;
    // Linux changes what comes before the first hole and then returns ENOMEM.
    let mut at = all.start;
    while at < all.end {
        let Some((_, v)) = s.vmas.find(at) else { return Err(Errno::ENOMEM) };
        let piece = at..v.end.min(all.end);
        at = piece.end;
        if v.prot == prot {
            continue;
        }
        let (flags, anonymous) = (v.flags, v.kind.is_zeroed());
        if matches!(v.kind, Kind::StackGuard) || flags.contains(Flags::READ_ONLY_FILE) && prot.contains(Prot::WRITE) {
            return Err(Errno::EACCES);
        }
        let data = rlimit::is_data(prot, flags, &v.kind) && !rlimit::is_data(v.prot, flags, &v.kind);
        let exempt = matches!(v.kind, Kind::Image | Kind::Stack) || flags.contains(Flags::PROMISED);
        let promise = !exempt && promised(prot, flags, anonymous);
        rlimit::check_size(&s, 0, if data { piece.len() } else { 0 })?;
        if promise {
            let own = s.count_own(piece.clone());
            commit::promise(piece.len() / PAGE_SIZE - own)?;
        }
        // Inaccessible memory needs no promise and asks for one later: malloc gives back this way (`libc-shim/malloc`).
        let released = anonymous && prot.is_empty() && flags & (Flags::PROMISED | Flags::SHARED) == Flags::PROMISED;
        if released {
            let own = s.count_own(piece.clone());
            commit::settle(piece.len() / PAGE_SIZE - own);
        }
        if let Some((r, mut v)) = s.vmas.take(piece) {
            v.prot = prot;
            if prot.contains(Prot::WRITE) {
                v.flags -= Flags::AS_LINKED;
            }
            v.flags.set(Flags::PROMISED, promise || !released && v.flags.contains(Flags::PROMISED));
            s.apply_prot(r.clone(), &v);
            s.vmas.insert(r.start, v);
        }
    }
    Ok(())
}

/// Where the mapping at `addr` starts, which must be one that grows `down` (none grows up): for PROT_GROWSDOWN.
pub fn grown_from(addr: usize, down: bool) -> Result<usize> {
    let s = space::lock();
    let (start, v) = s.vmas.find(addr).ok_or(Errno::ENOMEM)?;
    let grows = matches!(v.kind, Kind::Stack) || v.flags.contains(Flags::GROWS);
    if down && grows { Ok(start) } else { Err(Errno::EINVAL) }
}

/// Whether one of the files that are the `same` is mapped shared so that the program can write to it, or could after
/// `mprotect`.
pub fn is_mapped_writable(same: &dyn Fn(&dyn FileLike) -> bool) -> bool {
    space::lock().vmas.iter().any(|(_, v)| {
        let writable = v.flags & (Flags::SHARED | Flags::READ_ONLY_FILE) == Flags::SHARED;
        matches!(&v.kind, Kind::File(f, _) if writable && same(&**f))
    })
}

/// `brk`: moves the end of the heap and returns where it is; unchanged when that is not possible.
pub fn brk(to: usize) -> usize {
    let mut garbage = Garbage::default();
    let mut s = space::lock();
    if s.brk.start == 0 {
        let after =
            s.vmas.iter().filter(|(_, v)| matches!(v.kind, Kind::Image | Kind::Kernel)).map(|(_, v)| v.end).max();
        // 13 bits of pages, like Linux's arch_randomize_brk.
        let start = after.unwrap_or(PROGRAM_START) + ((random::u64() as usize & 0x1fff) + 1) * PAGE_SIZE;
        s.brk = start..start;
    }
    let (start, end) = (s.brk.start, s.brk.end);
    if to < start || to > PROGRAM_END {
        return end;
    }
    let (old, new) = (page_up(end), page_up(to));
    if new < old {
        s.unmap(new..old, &mut garbage);
    } else if new > old {
        // One page stays free above, so that the heap does not run into the next mapping.
        let free = s.vmas.is_free(old..new + PAGE_SIZE);
        let allowed = |s: &mut Space| {
            s.check_room(1)?;
            rlimit::check_size(s, new - old, new - old)?;
            if s.lock_future {
                rlimit::check_locked(s, new - old, Errno::EAGAIN)?;
            }
            commit::promise((new - old) / PAGE_SIZE)
        };
        if !free || allowed(&mut s).is_err() {
            return end;
        }
        let (prot, mut flags) = (Prot::READ | Prot::WRITE, Flags::PROMISED);
        flags.set(Flags::LOCKED, s.lock_future);
        s.vmas.insert(old, Vma { end: new, prot, flags, kind: Kind::Brk });
    }
    s.brk.end = to;
    to
}

/// All mappings, in order. Nothing in the guard of the stack or in the kernel is the program's.
pub fn mappings() -> Result<Vec<(usize, Vma)>> {
    let s = space::lock();
    let mut list = Vec::new();
    list.try_reserve_exact(s.vmas.count())?;
    let shown = s.vmas.iter().filter(|(_, v)| !matches!(v.kind, Kind::StackGuard | Kind::Kernel));
    list.extend(shown.map(|(start, v)| (start, v.clone())));
    Ok(list)
}

/// Where the heap of `brk` and the main stack start.
pub fn brk_and_stack() -> (usize, usize) {
    let s = space::lock();
    (s.brk.start, s.stack_top)
}

/// What the program uses, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Address space (VmSize).
    pub mapped: usize,
    /// Memory of its own (VmRSS).
    pub resident: usize,
    /// The part of the address space that commit accounting counts, touched or not (Committed_AS).
    pub committed: usize,
}

/// The most memory of its own that the program had at any time, in bytes.
pub fn most_resident() -> usize {
    space::lock().most_own() * PAGE_SIZE
}

/// What the program uses now.
pub fn usage() -> Usage {
    let mut s = space::lock();
    let mapped = s.vmas.bytes(&|v| !matches!(v.kind, Kind::Kernel | Kind::StackGuard));
    let committed = s.vmas.bytes(&|v| v.flags.contains(Flags::PROMISED));
    Usage { mapped, resident: s.count_own(PROGRAM_START..PROGRAM_END) * PAGE_SIZE, committed }
}
