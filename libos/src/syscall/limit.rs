//! Resource limits: getrlimit, setrlimit, prlimit64.

use super::process::own;
use crate::process::process;
use crate::timer::{cpu_limit, real_time_limit};
use libos_base::abi::{In, Out, Pid, Resource, Rlimit};
use libos_base::{Result, limits, user};

fn read(which: u32) -> Result<Rlimit> {
    let (soft, hard) = process().limit(which)?.get();
    Ok(Rlimit { soft, hard })
}

fn set(which: u32, new: Rlimit) -> Result<()> {
    let set = || limits::set(which, new.soft, new.hard);
    match Resource(which) {
        Resource::CPU => cpu_limit::change(set),
        Resource::RTTIME => real_time_limit::change(set),
        _ => set(),
    }
}

pub fn getrlimit(which: Resource, out: Out<Rlimit>) -> Result<()> {
    user::write(out, &read(which.0)?)
}

pub fn setrlimit(which: Resource, new: In<Rlimit>) -> Result<()> {
    set(which.0, user::read(new)?)
}

pub fn prlimit64(pid: Pid, which: Resource, new: In<Rlimit>, old: Out<Rlimit>) -> Result<()> {
    let new = user::read_opt(new)?;
    own(pid.0)?;
    let before = read(which.0)?;
    if let Some(new) = new {
        set(which.0, new)?;
    }
    user::write_opt(old, &before)
}
