//! Resource limits on memory: RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, and RLIMIT_STACK, up to which the main stack
//! grows.
//!
//! Mapped bytes are counted only where there is a limit, by going through the mappings.

use super::commit;
use super::space::Space;
use super::vma::{Flags, GROWTH_GAP, Kind, Prot, Vma};
use core::ops::Range;
use libos_base::cred::{cap, capable};
use libos_base::layout::PAGE_SIZE;
use libos_base::limits::{self, INFINITY, Limit};
use libos_base::{Errno, Result};

/// Kept below the main stack, so that one large local does not jump over it.
pub const STACK_GUARD: usize = GROWTH_GAP;

/// Private writable memory except the stack (Linux's is_data_mapping).
pub fn is_data(prot: Prot, flags: Flags, kind: &Kind) -> bool {
    prot.contains(Prot::WRITE) && !flags.intersects(Flags::SHARED | Flags::GROWS) && !matches!(kind, Kind::Stack)
}

fn check(limit: &Limit, more: usize, s: &Space, of: &dyn Fn(&Vma) -> bool, error: Errno) -> Result<()> {
    let within = limit.soft() == INFINITY || (s.vmas.bytes(of) as u64).saturating_add(more as u64) <= limit.soft();
    if within { Ok(()) } else { Err(error) }
}

/// ENOMEM when `more` bytes, `data` of them data, are too much.
pub fn check_size(s: &Space, more: usize, data: usize) -> Result<()> {
    if more > 0 {
        check(&limits::AS, more, s, &|v| !matches!(v.kind, Kind::Kernel | Kind::StackGuard), Errno::ENOMEM)?;
    }
    if data > 0 {
        check(&limits::DATA, data, s, &|v| is_data(v.prot, v.flags, &v.kind), Errno::ENOMEM)?;
    }
    Ok(())
}

/// The same for a mapping of `range`, which replaces what is there. EAGAIN when it should be locked and may not be.
#[inline(never)]
pub fn check_map(s: &Space, range: Range<usize>, data: bool, locked: bool) -> Result<()> {
    if locked {
        check_locked(s, range.len(), Errno::EAGAIN)?;
    }
    if limits::AS.soft() == INFINITY && limits::DATA.soft() == INFINITY {
        return Ok(());
    }
    let more = range.len() - s.vmas.bytes_in(range.clone(), &|_| true);
    check_size(s, more, if data { more } else { 0 })
}

/// `error` when `more` locked bytes are too much; EPERM when none are allowed. CAP_IPC_LOCK may lock any amount.
pub fn check_locked(s: &Space, more: usize, error: Errno) -> Result<()> {
    if capable(cap::IPC_LOCK) {
        return Ok(());
    }
    if limits::MEMLOCK.soft() == 0 {
        return Err(Errno::EPERM);
    }
    check(&limits::MEMLOCK, more, s, &|v| v.flags.contains(Flags::LOCKED), error)
}

/// Grows the main stack down to `page` in the guard below it. False: it may not grow.
#[cold]
#[inline(never)]
pub fn grow_stack(s: &mut Space, page: usize) -> bool {
    let Some((guard, old)) =
        s.vmas.find(page).filter(|(_, v)| matches!(v.kind, Kind::StackGuard)).map(|(g, v)| (g, v.end))
    else {
        return false;
    };
    // The mapping to extend: the program may have changed its rights.
    let Some(stack) = s.vmas.find(old).filter(|(_, v)| matches!(v.kind, Kind::Stack)).map(|(_, v)| v.clone()) else {
        return false;
    };
    let size = (s.stack_top - page) as u64;
    if size > limits::STACK.soft() || page - guard < STACK_GUARD || check_size(s, old - page, 0).is_err() {
        return false;
    }
    while s.vmas.take(page..old).is_some() {}
    s.vmas.insert(page, Vma { end: old, ..stack });
    true
}

/// Extends the mapping above `page`, where nothing is mapped, down to it if it is one that grows (MAP_GROWSDOWN; Linux's
/// expand_downwards()). False: it may not.
#[cold]
#[inline(never)]
pub fn grow_down(s: &mut Space, page: usize) -> bool {
    let (below, Some((start, above))) = s.vmas.neighbours(page) else { return false };
    if !above.flags.contains(Flags::GROWS) || (above.end - page) as u64 > limits::STACK.soft() {
        return false;
    }
    // What cannot be touched is a guard itself.
    let near = |v: &Vma| !v.flags.contains(Flags::GROWS) && !v.prot.is_empty() && page - v.end < GROWTH_GAP;
    if below.is_some_and(near) {
        return false;
    }
    let new = Vma { end: start, ..above.clone() };
    let more = start - page;
    let locked = new.flags.contains(Flags::LOCKED);
    let refused = check_size(s, more, 0).is_err()
        || locked && check_locked(s, more, Errno::ENOMEM).is_err()
        || s.check_room(1).is_err()
        || new.flags.contains(Flags::PROMISED) && commit::promise(more / PAGE_SIZE).is_err();
    if !refused {
        s.vmas.insert(page, new);
    }
    !refused
}
