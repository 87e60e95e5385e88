//! `mremap`.

use super::commit;
use super::fault::fault_in;
use super::program::{Place, range};
use super::rlimit;
use super::space::{self, Garbage, Space};
use super::vma::{Flags, Kind, Prot, Vma};
use core::ops::Range;
use libos_base::layout::{PAGE_SIZE, PROGRAM_START, page_up};
use libos_base::{Errno, Result};

/// Resizes, and moves if `may_move` (or must, to `to`).
pub fn remap(old: usize, old_len: usize, new_len: usize, may_move: bool, to: Option<usize>) -> Result<usize> {
    if !old.is_multiple_of(PAGE_SIZE) || new_len == 0 || to.is_some() && !may_move {
        return Err(Errno::EINVAL);
    }
    // Length 0 would duplicate a shared mapping, which nothing here needs two of.
    if old_len == 0 {
        return Err(Errno::EINVAL);
    }
    let from = range(old, old_len, Errno::EINVAL)?;
    let new_len = range(0, new_len, Errno::ENOMEM)?.end;
    commit::prepare(new_len.saturating_sub(from.len()) / PAGE_SIZE);
    let mut garbage = Garbage::default();
    let mut s = space::lock();
    s.check_room(4)?;
    s.check_not_kernel(from.clone())?;
    let (start, vma) = s.vmas.find(old).map(|(s, v)| (s, v.clone())).ok_or(Errno::EFAULT)?;
    if vma.end < from.end || matches!(vma.kind, Kind::StackGuard) {
        return Err(Errno::EFAULT);
    }
    if matches!(vma.kind, Kind::Image | Kind::Stack | Kind::Brk) {
        // What asks how far the stack goes tries to make pages of it longer.
        return Err(if may_move || new_len <= from.len() { Errno::EFAULT } else { Errno::ENOMEM });
    }
    if let Some(to) = to {
        let target = range(to, new_len, Errno::EINVAL)?;
        let overlap = target.start < from.end && from.start < target.end;
        if !to.is_multiple_of(PAGE_SIZE) || to < PROGRAM_START || overlap {
            return Err(Errno::EINVAL);
        }
        s.check_not_kernel(target.clone())?;
        s.unmap(target, &mut garbage);
    } else if new_len <= from.len() {
        s.unmap(old + new_len..from.end, &mut garbage);
        return Ok(old);
    }
    let grow = new_len.saturating_sub(from.len());
    rlimit::check_size(&s, grow, if rlimit::is_data(vma.prot, vma.flags, &vma.kind) { grow } else { 0 })?;
    if grow > 0 && vma.flags.contains(Flags::LOCKED) {
        rlimit::check_locked(&s, grow, Errno::EAGAIN)?;
    }
    if vma.flags.contains(Flags::PROMISED) {
        commit::promise(grow / PAGE_SIZE)?;
    }
    let in_place = old..old + new_len;
    let at_end = from.end == vma.end && s.vmas.is_free(from.end..in_place.end);
    let result = if to.is_none() && at_end && range(old, new_len, Errno::ENOMEM).is_ok() {
        let mut tail = Vma { end: in_place.end, ..vma.clone() };
        if let Kind::File(_, offset) = &mut tail.kind {
            *offset += (from.end - start) as u64;
        }
        s.vmas.insert(from.end, tail);
        Ok(old)
    } else if may_move {
        let place = to.map_or(Place::Any(0), Place::Fixed);
        move_to(&mut s, from.clone(), place, new_len, &mut garbage)
    } else {
        Err(Errno::ENOMEM)
    };
    drop(s);
    match result {
        Ok(at) => {
            if grow > 0 && vma.flags.contains(Flags::LOCKED) {
                let _ = fault_in(at + page_up(old_len), grow, vma.prot.contains(Prot::WRITE));
            }
            Ok(at)
        }
        Err(e) => {
            if vma.flags.contains(Flags::PROMISED) {
                commit::settle(grow / PAGE_SIZE);
            }
            Err(e)
        }
    }
}

fn move_to(s: &mut Space, from: Range<usize>, place: Place, new_len: usize, garbage: &mut Garbage) -> Result<usize> {
    let to = match place {
        Place::Fixed(to) => to,
        _ => s.vmas.find_gap(new_len, usize::MAX).ok_or(Errno::ENOMEM)?,
    };
    // Shorter than before: what is cut off goes with its promise.
    let keep = from.len().min(new_len);
    s.unmap(from.start + keep..from.end, garbage);
    s.move_pages(from.start, to, keep)?;
    let Some((piece, mut vma)) = s.vmas.take(from.start..from.start + keep) else { return Err(Errno::EFAULT) };
    vma.end = to + new_len;
    s.vmas.insert(to, vma);
    let limits = s.vmas.surroundings(piece.clone());
    s.flush_and_unlink(piece, limits);
    Ok(to)
}
