//! Resource limits: getrlimit, setrlimit, prlimit64.

use super::process::own;
use crate::process::process;
use libos_base::abi::Rlimit;
use libos_base::{Result, limits, user};

fn read(which: u32) -> Result<Rlimit> {
    let (soft, hard) = process().limit(which)?.get();
    Ok(Rlimit { soft, hard })
}

fn set(which: u32, new: Rlimit) -> Result<()> {
    let set = || limits::set(which, new.soft, new.hard);
    if which == 0 { crate::timer::cpu_limit::change(set) } else { set() }
}

/// `getrlimit`.
pub fn getrlimit(which: u32, out: usize) -> Result<usize> {
    user::write(out, &read(which)?)?;
    Ok(0)
}

/// `setrlimit`.
pub fn setrlimit(which: u32, new: usize) -> Result<usize> {
    set(which, user::read(new)?).map(|()| 0)
}

/// `prlimit64`.
pub fn prlimit64(pid: i32, which: u32, new: usize, old: usize) -> Result<usize> {
    let new = if new == 0 { None } else { Some(user::read(new)?) };
    own(pid)?;
    let before = read(which)?;
    if let Some(new) = new {
        set(which, new)?;
    }
    user::write_opt(old, &before)?;
    Ok(0)
}
