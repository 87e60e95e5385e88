//! Users, groups, capabilities.

use super::process::own;
use crate::process::capset::{self, Sets};
use crate::process::process;
use crate::process::setid::{self, Which};
use crate::sched;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::abi::{CapData, CapHeader, Id, In, InOut, Out};
use libos_base::cred::{self, Credentials, Ids, cap, capable};
use libos_base::{Errno, Result, user};

const NGROUPS_MAX: usize = 65536;

fn change(f: impl FnOnce(&mut Credentials) -> Result<()>) -> Result<()> {
    process().change_credentials(f)
}
fn tell(i: Ids, at: [Out<u32>; 3]) -> Result<()> {
    for (at, id) in at.into_iter().zip([i.real, i.effective, i.saved]) {
        user::write(at, &id)?;
    }
    Ok(())
}

pub fn getuid() -> Result<usize> {
    Ok(cred::real().0 as usize)
}

pub fn geteuid() -> Result<usize> {
    Ok(cred::effective().0 as usize)
}

pub fn getgid() -> Result<usize> {
    Ok(cred::real().1 as usize)
}

pub fn getegid() -> Result<usize> {
    Ok(cred::effective().1 as usize)
}

pub fn setuid(id: Id) -> Result<()> {
    change(|c| setid::set_one(c, Which::User, id.0))
}

pub fn setgid(id: Id) -> Result<()> {
    change(|c| setid::set_one(c, Which::Group, id.0))
}

pub fn setreuid(real: Id, effective: Id) -> Result<()> {
    change(|c| setid::set_two(c, Which::User, real.0, effective.0))
}

pub fn setregid(real: Id, effective: Id) -> Result<()> {
    change(|c| setid::set_two(c, Which::Group, real.0, effective.0))
}

pub fn setresuid(real: Id, effective: Id, saved: Id) -> Result<()> {
    change(|c| setid::set_three(c, Which::User, [real.0, effective.0, saved.0]))
}

pub fn setresgid(real: Id, effective: Id, saved: Id) -> Result<()> {
    change(|c| setid::set_three(c, Which::Group, [real.0, effective.0, saved.0]))
}

pub fn getresuid(real: Out<u32>, effective: Out<u32>, saved: Out<u32>) -> Result<()> {
    tell(cred::with(|c| c.uid), [real, effective, saved])
}

pub fn getresgid(real: Out<u32>, effective: Out<u32>, saved: Out<u32>) -> Result<()> {
    tell(cred::with(|c| c.gid), [real, effective, saved])
}

pub fn setfsuid(id: Id) -> Result<usize> {
    process().change_credentials(|c| Ok(setid::set_fs(c, Which::User, id.0) as usize))
}

pub fn setfsgid(id: Id) -> Result<usize> {
    process().change_credentials(|c| Ok(setid::set_fs(c, Which::Group, id.0) as usize))
}

pub fn getgroups(size: i32, list: Out<u32>) -> Result<usize> {
    let size = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    let c = cred::get();
    let groups = c.groups();
    if size != 0 {
        if size < groups.len() {
            return Err(Errno::EINVAL);
        }
        for (i, id) in groups.iter().enumerate() {
            user::write(list.nth(i), id)?;
        }
    }
    Ok(groups.len())
}

pub fn setgroups(size: usize, list: In<u32>) -> Result<()> {
    if !capable(cap::SETGID) {
        return Err(Errno::EPERM);
    }
    if size > NGROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let groups: Vec<u32> = user::read_vec(list, size)?;
    libos_base::memory::check()?;
    // Sorted through a heap: the sorts of slices are large, and every program that sets groups links this.
    let groups = Arc::new(alloc::collections::BinaryHeap::from(groups).into_sorted_vec());
    change(|c| {
        c.groups = Some(groups);
        Ok(())
    })
}

/// Versions of the interface (linux/capability.h): the first has one word per set, the others two.
const V1: u32 = 0x1998_0330;
const V2: u32 = 0x2007_1026;
const V3: u32 = 0x2008_0522;

/// How many words a set has, and which thread is meant. A program with an unknown version is told ours.
fn header(at: InOut<CapHeader>) -> Result<(usize, i32)> {
    let words = match user::read(at.cast::<u32>())? {
        V1 => 1,
        V2 | V3 => 2,
        _ => {
            user::write(at.cast(), &V3)?;
            return Err(Errno::EINVAL);
        }
    };
    Ok((words, user::read(at)?.pid))
}

pub fn capget(at: InOut<CapHeader>, data: Out<CapData>) -> Result<()> {
    let (words, tid) = match header(at) {
        // A query for the version.
        Err(Errno::EINVAL) if data.is_null() => return Ok(()),
        r => r?,
    };
    match u32::try_from(tid).map_err(|_| Errno::EINVAL)? {
        0 => {}
        tid if sched::find(tid).is_some_and(|t| t.is_program) => {}
        _ => return Err(Errno::ESRCH),
    }
    if data.is_null() {
        return Ok(());
    }
    let sets = cred::with(|c| [c.caps.effective(), c.caps.permitted(), c.caps.inheritable]);
    for word in 0..words {
        let [effective, permitted, inheritable] = sets.map(|s| (s >> (32 * word)) as u32);
        user::write(data.nth(word), &CapData { effective, permitted, inheritable })?;
    }
    Ok(())
}

/// `capset`: for the caller only, which is the whole process.
pub fn capset(at: InOut<CapHeader>, data: In<CapData>) -> Result<()> {
    let (words, tid) = header(at)?;
    if tid != sched::current().tid as i32 && own(tid).is_err() {
        return Err(Errno::EPERM);
    }
    let mut sets = [0u64; 3];
    for word in 0..words {
        let part = user::read(data.nth(word))?;
        let part = [part.effective, part.permitted, part.inheritable];
        sets.iter_mut().zip(part).for_each(|(s, p)| *s |= u64::from(p) << (32 * word));
    }
    let [effective, permitted, inheritable] = sets.map(|s| s & cap::ALL);
    change(|c| capset::set(c, Sets { effective, permitted, inheritable }))
}
