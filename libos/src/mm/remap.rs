//! `mremap`.

use super::commit;
use super::fault::fault_in;
use super::program::range;
use super::rlimit;
use super::space::{self, Garbage, Space};
use super::vma::{Flags, Kind, Prot, Vma};
use core::ops::Range;
use libos_base::layout::{PAGE_SIZE, PROGRAM_END, PROGRAM_START};
use libos_base::{Errno, Result};

/// Resizes, and moves if `may_move` (or must, to `to`). Lengths are whole pages; any old length will do, and it is
/// checked only where something grows or moves: a shrunk part is unmapped as by `munmap`, holes and all. The order of
/// the checks is Linux's (mm/mremap.c).
pub fn remap(old: usize, old_len: usize, new_len: usize, may_move: bool, to: Option<usize>) -> Result<usize> {
    if !old.is_multiple_of(PAGE_SIZE) || new_len == 0 || new_len > PROGRAM_END || to.is_some() && !may_move {
        return Err(Errno::EINVAL);
    }
    if let Some(to) = to {
        let overlap = old.wrapping_add(old_len) > to && to.wrapping_add(new_len) > old;
        if !to.is_multiple_of(PAGE_SIZE) || to > PROGRAM_END - new_len || overlap {
            return Err(Errno::EINVAL);
        }
    }
    commit::prepare(new_len.saturating_sub(old_len) / PAGE_SIZE);
    let mut garbage = Garbage::default();
    let mut s = space::lock();
    s.check_room(4)?;
    let kind = s.vmas.find(old).map(|(_, v)| v.kind.clone()).ok_or(Errno::EFAULT)?;
    match kind {
        Kind::Kernel => return Err(Errno::EPERM),
        Kind::StackGuard => return Err(Errno::EFAULT),
        Kind::Image | Kind::Stack | Kind::Brk => {
            // A program that probes how far the stack goes tries to extend pages of it.
            return Err(if may_move || new_len <= old_len { Errno::EFAULT } else { Errno::ENOMEM });
        }
        Kind::Anon | Kind::File(..) => {}
    }
    if old_len == 0 {
        return duplicate(&mut s, old, new_len, may_move, to, &mut garbage);
    }
    if to.is_none() && new_len == old_len {
        return Ok(old);
    }
    if let Some(to) = to {
        clear(&mut s, to, new_len, &mut garbage)?;
    }
    if new_len < old_len {
        let tail = range(old + new_len, old_len - new_len, Errno::EINVAL)?;
        s.check_not_kernel(tail.clone())?;
        s.unmap(tail, &mut garbage);
        if to.is_none() {
            return Ok(old);
        }
    }
    let from = range(old, old_len.min(new_len), Errno::EFAULT)?;
    let (start, vma) = s.vmas.find(old).map(|(s, v)| (s, v.clone())).ok_or(Errno::EFAULT)?;
    if vma.end < from.end {
        return Err(Errno::EFAULT);
    }
    let grow = new_len - from.len();
    let locked = check_growth(&s, &vma, grow)?;
    if vma.flags.contains(Flags::PROMISED) {
        commit::promise(grow / PAGE_SIZE)?;
    }
    let in_place = range(old, new_len, Errno::ENOMEM);
    let at_end = from.end == vma.end && in_place.as_ref().is_ok_and(|r| s.vmas.is_free(from.end..r.end));
    let result = if to.is_none() && at_end {
        let mut tail = Vma { end: old + new_len, ..vma.clone() };
        if let Kind::File(_, offset) = &mut tail.kind {
            *offset += (from.end - start) as u64;
        }
        s.vmas.insert(from.end, tail);
        Ok(old)
    } else if may_move {
        move_to(&mut s, from.clone(), to, new_len)
    } else {
        Err(Errno::ENOMEM)
    };
    drop(s);
    match result {
        Ok(at) if locked => {
            let _ = fault_in(at + from.len(), grow, vma.prot.contains(Prot::WRITE));
        }
        Err(_) if vma.flags.contains(Flags::PROMISED) => commit::settle(grow / PAGE_SIZE),
        _ => {}
    }
    result
}

/// Moves the pages of `len` bytes and leaves the mapping without them (MREMAP_DONTUNMAP): to `to` if it must be there
/// (`fixed`) or is free, else anywhere.
pub fn move_pages(old: usize, len: usize, to: usize, fixed: bool) -> Result<usize> {
    let overlap = old.wrapping_add(len) > to && to.wrapping_add(len) > old;
    let misplaced = !old.is_multiple_of(PAGE_SIZE) || !to.is_multiple_of(PAGE_SIZE);
    if misplaced || len == 0 || len > PROGRAM_END || to > PROGRAM_END - len || overlap {
        return Err(Errno::EINVAL);
    }
    commit::prepare(len / PAGE_SIZE);
    let mut garbage = Garbage::default();
    let mut s = space::lock();
    s.check_room(4)?;
    let from = range(old, len, Errno::EFAULT)?;
    s.check_not_kernel(from.clone())?;
    if fixed {
        clear(&mut s, to, len, &mut garbage)?;
    }
    let (start, vma) = s.vmas.find(old).map(|(s, v)| (s, v.clone())).ok_or(Errno::EFAULT)?;
    if vma.end < from.end || !matches!(vma.kind, Kind::Anon | Kind::File(..)) {
        return Err(Errno::EFAULT);
    }
    check_growth(&s, &vma, len)?;
    let wished = fixed || to >= PROGRAM_START && s.vmas.is_free(to..to + len);
    let to = place(&mut s, wished.then_some(to), len)?;
    if vma.flags.contains(Flags::PROMISED) {
        commit::promise(len / PAGE_SIZE)?;
    }
    if let Err(e) = s.move_pages(old, to, len) {
        if vma.flags.contains(Flags::PROMISED) {
            commit::settle(len / PAGE_SIZE);
        }
        return Err(e);
    }
    let mut moved = Vma { end: to + len, ..vma };
    if let Kind::File(_, offset) = &mut moved.kind {
        *offset += (old - start) as u64;
    }
    if moved.flags.contains(Flags::LOCKED)
        && let Some((piece, mut left)) = s.vmas.take(from)
    {
        left.flags -= Flags::LOCKED;
        s.vmas.insert(piece.start, left);
    }
    s.vmas.insert(to, moved);
    Ok(to)
}

/// Checks that `grow` more bytes like `vma` are allowed; returns whether to make them present.
fn check_growth(s: &Space, vma: &Vma, grow: usize) -> Result<bool> {
    rlimit::check_size(s, grow, if rlimit::is_data(vma.prot, vma.flags, &vma.kind) { grow } else { 0 })?;
    let locked = grow > 0 && vma.flags.contains(Flags::LOCKED);
    if locked {
        rlimit::check_locked(s, grow, Errno::EAGAIN)?;
    }
    Ok(locked)
}

/// Frees the place that was asked for.
fn clear(s: &mut Space, to: usize, len: usize, garbage: &mut Garbage) -> Result<()> {
    if to < PROGRAM_START {
        return Err(Errno::EPERM);
    }
    s.check_not_kernel(to..to + len)?;
    s.unmap(to..to + len, garbage);
    Ok(())
}

/// For old length 0: maps the same shared file once more. Pages of anonymous shared memory belong to one mapping here.
fn duplicate(
    s: &mut Space,
    old: usize,
    len: usize,
    may_move: bool,
    to: Option<usize>,
    garbage: &mut Garbage,
) -> Result<usize> {
    let Some((start, vma)) = s.vmas.find(old) else { return Err(Errno::EFAULT) };
    let (mut new, skipped) = (vma.clone(), (old - start) as u64);
    match &mut new.kind {
        Kind::File(_, offset) if new.flags.contains(Flags::SHARED) => *offset += skipped,
        _ => return Err(Errno::EINVAL),
    }
    if !may_move {
        return Err(Errno::ENOMEM);
    }
    if let Some(to) = to {
        clear(s, to, len, garbage)?;
    }
    check_growth(s, &new, len)?;
    let at = place(s, to, len)?;
    new.end = at + len;
    s.vmas.insert(at, new);
    Ok(at)
}

fn place(s: &mut Space, to: Option<usize>, len: usize) -> Result<usize> {
    to.or_else(|| s.vmas.find_gap(len, usize::MAX)).ok_or(Errno::ENOMEM)
}

fn move_to(s: &mut Space, from: Range<usize>, to: Option<usize>, new_len: usize) -> Result<usize> {
    let to = place(s, to, new_len)?;
    s.move_pages(from.start, to, from.len())?;
    let Some((piece, mut vma)) = s.vmas.take(from) else { return Err(Errno::EFAULT) };
    vma.end = to + new_len;
    s.vmas.insert(to, vma);
    let limits = s.vmas.surroundings(piece.clone());
    s.flush_and_unlink(piece, limits);
    Ok(to)
}
