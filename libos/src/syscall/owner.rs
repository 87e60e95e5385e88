//! The recipient of signals about a descriptor, as `fcntl` passes it (F_SETOWN(2const)).

use crate::sched::{self, PID};
use libos_base::abi::{FileOwner, OwnerType};
use libos_base::file::FileLike;
use libos_base::{Errno, Result};

/// F_SETOWN: a process; a group of processes as a negative number; nobody for 0.
pub fn set(f: &dyn FileLike, who: i32) -> Result<()> {
    let kind = if who < 0 { OwnerType::PGRP } else { OwnerType::PID };
    set_ex(f, FileOwner { kind: kind.0, pid: who.checked_abs().ok_or(Errno::EINVAL)? })
}
/// F_GETOWN.
pub fn get(f: &dyn FileLike) -> i32 {
    let owner = f.description().owner();
    if owner.kind == OwnerType::PGRP.0 { -owner.pid } else { owner.pid }
}
/// F_SETOWN_EX. ESRCH if there is no such owner.
pub fn set_ex(f: &dyn FileLike, owner: FileOwner) -> Result<()> {
    let there = match OwnerType(owner.kind) {
        OwnerType::TID => sched::find(owner.pid as u32).is_some(),
        OwnerType::PID | OwnerType::PGRP => owner.pid == PID as i32,
        _ => return Err(Errno::EINVAL),
    };
    if owner.pid != 0 && !there {
        return Err(Errno::ESRCH);
    }
    f.description().set_owner(owner);
    Ok(())
}
