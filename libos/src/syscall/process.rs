//! The process as others see it: its number, its priority, children that do not exist.

use crate::sched;
use libos_base::abi::{IdType, Out, Pid, PriorityOf, Rusage, SigInfo, WaitOptions};
use libos_base::cred::{self, cap, capable};
use libos_base::{Errno, Result, limits};

pub fn getpid() -> Result<usize> {
    Ok(sched::PID as usize)
}
/// `getppid`: there is no parent; 0, as on Linux for a process whose parent is outside its namespace.
pub fn getppid() -> Result<usize> {
    Ok(0)
}
/// `getpgid`, `getsid`: the program leads the only group of the only session.
pub fn getpgid(pid: Pid) -> Result<usize> {
    own(pid.0)?;
    getpid()
}

pub fn getpgrp() -> Result<usize> {
    getpid()
}

pub fn getsid(pid: Pid) -> Result<usize> {
    getpgid(pid)
}
/// `setpgid`: a session leader may not.
pub fn setpgid(pid: Pid, group: Pid) -> Result<usize> {
    if group.0 < 0 || group.0 == 0 && pid.0 < 0 {
        return Err(Errno::EINVAL);
    }
    own(pid.0)?;
    Err(Errno::EPERM)
}
/// `setsid`: a group leader may not.
pub fn setsid() -> Result<usize> {
    Err(Errno::EPERM)
}

/// ESRCH unless `pid` is this process.
pub(super) fn own(pid: i32) -> Result<()> {
    if pid == 0 || pid == sched::PID as i32 { Ok(()) } else { Err(Errno::ESRCH) }
}

/// The options of wait4; waitid knows WNOWAIT as well.
const WAIT_OPTIONS: WaitOptions = WaitOptions::all().difference(WaitOptions::WNOWAIT);

/// `wait4`: there is never a child.
pub fn wait4(pid: Pid, _status: Out<i32>, options: WaitOptions, _usage: Out<Rusage>) -> Result<usize> {
    Err(match () {
        () if !WAIT_OPTIONS.contains(options) => Errno::EINVAL,
        // Its negative would be a group's number.
        () if pid.0 == i32::MIN => Errno::ESRCH,
        () => Errno::ECHILD,
    })
}

pub fn waitid(kind: IdType, id: Pid, _info: Out<SigInfo>, options: WaitOptions, _usage: Out<Rusage>) -> Result<usize> {
    // One of these must be there.
    let what = WaitOptions::WEXITED | WaitOptions::WSTOPPED | WaitOptions::WCONTINUED;
    let good = WaitOptions::all().contains(options) && options.intersects(what);
    Err(match kind {
        IdType::ALL if good => Errno::ECHILD,
        IdType::PID if good && id.0 > 0 => Errno::ECHILD,
        IdType::PGID if good && id.0 >= 0 => Errno::ECHILD,
        // No descriptor stands for a process.
        IdType::PIDFD if good && id.0 >= 0 => Errno::EBADF,
        _ => Errno::EINVAL,
    })
}

/// Whether one more thread is within RLIMIT_NPROC, from which root is exempt (copy_process() of Linux). All threads are
/// the program's.
pub fn may_have_thread() -> bool {
    let within = || (sched::program_threads() as u64) < limits::NPROC.soft();
    cred::real().0 == 0 || capable(cap::SYS_RESOURCE) || capable(cap::SYS_ADMIN) || within()
}

/// The thread that a priority call means. Group and user are the whole program, represented by the main thread.
fn priority_target(which: i32, who: i32) -> Result<alloc::sync::Arc<sched::Thread>> {
    let id = u32::try_from(who).map_err(|_| Errno::ESRCH)?;
    match (which, id) {
        (0, 0) => Ok(sched::current_arc()),
        (0, id) => sched::find(id).filter(|t| t.is_program).ok_or(Errno::ESRCH),
        (1, 0 | sched::PID) | (2, 0) => sched::find(sched::PID).ok_or(Errno::ESRCH),
        (2, uid) if uid == cred::real().0 => sched::find(sched::PID).ok_or(Errno::ESRCH),
        (1 | 2, _) => Err(Errno::ESRCH),
        _ => Err(Errno::EINVAL),
    }
}
/// Returns 20 minus the nice value.
pub fn getpriority(which: PriorityOf, who: Pid) -> Result<usize> {
    Ok((20 - priority_target(which.0, who.0)?.nice() as isize) as usize)
}

pub fn setpriority(which: PriorityOf, who: Pid, nice: i32) -> Result<()> {
    let t = priority_target(which.0, who.0)?;
    let nice = nice.clamp(-20, 19) as i8;
    if nice < t.nice() && !capable(cap::SYS_NICE) && (20 - i64::from(nice)) as u64 > limits::NICE.soft() {
        return Err(Errno::EACCES);
    }
    if which == PriorityOf::PROCESS {
        t.set_nice(nice);
    } else {
        sched::for_each_thread(|t| {
            if t.is_program {
                t.set_nice(nice);
            }
        });
    }
    Ok(())
}
