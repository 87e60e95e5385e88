//! What a process is: numbers, credentials, limits, children that do not exist.

use crate::sched::{self, current};
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering::*};
use libos_base::sync::Mutex;
use libos_base::{Errno, Result, user};
use libos_fs::limits;

/// `getpid`.
pub fn getpid() -> Result<usize> {
    Ok(sched::PID as usize)
}
/// `getppid`: there is no parent; 0, as Linux says of a process whose parent is outside its namespace.
pub fn getppid() -> Result<usize> {
    Ok(0)
}
/// `getpgid`, `getsid`: the program leads the only group of the only session.
pub fn getpgid(pid: i32) -> Result<usize> {
    own(pid)?;
    getpid()
}
/// `getpgrp`.
pub fn getpgrp() -> Result<usize> {
    getpid()
}
/// `getsid`.
pub fn getsid(pid: i32) -> Result<usize> {
    getpgid(pid)
}
/// `setpgid`: a session leader may not.
pub fn setpgid(pid: i32, _group: i32) -> Result<usize> {
    own(pid)?;
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

const WNOHANG: u32 = 1;
const WAIT_OPTIONS: u32 = 0xe000_000f;

/// `wait4`: no child, ever.
pub fn wait4(_pid: i32, _status: usize, options: u32, _usage: usize) -> Result<usize> {
    Err(if options & !WAIT_OPTIONS != 0 { Errno::EINVAL } else { Errno::ECHILD })
}

/// `waitid`.
pub fn waitid(_kind: i32, _id: i32, _info: usize, options: u32) -> Result<usize> {
    // WEXITED, WSTOPPED or WCONTINUED must be there.
    let bad = options & !(WAIT_OPTIONS | 0x0100_0000) != 0 || options & !WNOHANG & 0xe == 0;
    Err(if bad { Errno::EINVAL } else { Errno::ECHILD })
}

/// Real, effective and saved id. The program starts as 0, and stays it unless it changes it; nothing else depends on it:
/// files have modes, but there is nobody to protect them from.
struct Ids([AtomicU32; 3]);
static UID: Ids = Ids([const { AtomicU32::new(0) }; 3]);
static GID: Ids = Ids([const { AtomicU32::new(0) }; 3]);
static GROUPS: Mutex<alloc::vec::Vec<u32>> = Mutex::new(alloc::vec::Vec::new());
const NGROUPS_MAX: usize = 65536;
/// "Leave it."
const KEEP: u32 = u32::MAX;

impl Ids {
    fn get(&self, i: usize) -> u32 {
        self.0[i].load(Relaxed)
    }
    fn all(&self) -> [u32; 3] {
        [self.get(0), self.get(1), self.get(2)]
    }
    /// Changes some; without privilege only to one of the present ones.
    fn set(&self, new: [u32; 3]) -> Result<usize> {
        let old = self.all();
        if UID.get(1) != 0 && new.iter().any(|v| *v != KEEP && !old.contains(v)) {
            return Err(Errno::EPERM);
        }
        for (slot, v) in self.0.iter().zip(new) {
            if v != KEEP {
                slot.store(v, Relaxed);
            }
        }
        Ok(0)
    }
    /// setuid: all three with privilege, else the effective one.
    fn set_one(&self, v: u32) -> Result<usize> {
        if v == KEEP {
            return Err(Errno::EINVAL);
        }
        self.set(if UID.get(1) == 0 { [v; 3] } else { [KEEP, v, KEEP] })
    }
    /// setreuid: the saved one follows the effective one when the real one is set or differs.
    fn set_two(&self, real: u32, effective: u32) -> Result<usize> {
        let follows = real != KEEP || (effective != KEEP && effective != self.get(0));
        let effective_after = if effective == KEEP { self.get(1) } else { effective };
        self.set([real, effective, if follows { effective_after } else { KEEP }])
    }
    fn write(&self, at: [usize; 3]) -> Result<usize> {
        for (at, v) in at.into_iter().zip(self.all()) {
            user::write(at, &v)?;
        }
        Ok(0)
    }
}

/// Whether the program may do what only root may.
pub fn privileged() -> bool {
    UID.get(1) == 0
}

/// Whether a thread more is within RLIMIT_NPROC. As on Linux it does not hold for root: nor here, until the program is
/// somebody else. All threads are the program's.
pub fn may_have_thread() -> bool {
    let within = || (sched::program_threads() as u64) < limits::NPROC.soft();
    UID.get(0) == 0 || privileged() || within()
}

/// `getuid`.
pub fn getuid() -> Result<usize> {
    Ok(UID.get(0) as usize)
}
/// `geteuid`.
pub fn geteuid() -> Result<usize> {
    Ok(UID.get(1) as usize)
}
/// `getgid`.
pub fn getgid() -> Result<usize> {
    Ok(GID.get(0) as usize)
}
/// `getegid`.
pub fn getegid() -> Result<usize> {
    Ok(GID.get(1) as usize)
}
/// `setuid`.
pub fn setuid(v: u32) -> Result<usize> {
    UID.set_one(v)
}
/// `setgid`.
pub fn setgid(v: u32) -> Result<usize> {
    GID.set_one(v)
}
/// `setreuid`.
pub fn setreuid(real: u32, effective: u32) -> Result<usize> {
    UID.set_two(real, effective)
}
/// `setregid`.
pub fn setregid(real: u32, effective: u32) -> Result<usize> {
    GID.set_two(real, effective)
}
/// `setresuid`.
pub fn setresuid(r: u32, e: u32, s: u32) -> Result<usize> {
    UID.set([r, e, s])
}
/// `setresgid`.
pub fn setresgid(r: u32, e: u32, s: u32) -> Result<usize> {
    GID.set([r, e, s])
}
/// `getresuid`.
pub fn getresuid(r: usize, e: usize, s: usize) -> Result<usize> {
    UID.write([r, e, s])
}
/// `getresgid`.
pub fn getresgid(r: usize, e: usize, s: usize) -> Result<usize> {
    GID.write([r, e, s])
}
/// `setfsuid`: file access follows the effective id; tells it.
pub fn setfsuid(_v: u32) -> Result<usize> {
    geteuid()
}
/// `setfsgid`.
pub fn setfsgid(_v: u32) -> Result<usize> {
    getegid()
}
/// `getgroups`.
pub fn getgroups(size: i32, list: usize) -> Result<usize> {
    let g = GROUPS.lock();
    let size = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    if size != 0 {
        if size < g.len() {
            return Err(Errno::EINVAL);
        }
        for (i, v) in g.iter().enumerate() {
            user::write(list + 4 * i, v)?;
        }
    }
    Ok(g.len())
}
/// `setgroups`.
pub fn setgroups(size: usize, list: usize) -> Result<usize> {
    if UID.get(1) != 0 {
        return Err(Errno::EPERM);
    }
    if size > NGROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let new: alloc::vec::Vec<u32> = user::read_vec(list, size)?;
    // Sorted by way of a heap: slices' own sorts are large, and every program that sets groups links this.
    *GROUPS.lock() = alloc::collections::BinaryHeap::from(new).into_sorted_vec();
    Ok(0)
}

/// Which thread a priority call means. Group and user are the whole program, which the main thread stands for.
fn priority_target(which: i32, who: i32) -> Result<alloc::sync::Arc<sched::Thread>> {
    let id = u32::try_from(who).map_err(|_| Errno::ESRCH)?;
    match (which, id) {
        (0, 0) => Ok(sched::current_arc()),
        (0, id) => sched::find(id).filter(|t| t.is_program).ok_or(Errno::ESRCH),
        (1, 0 | sched::PID) | (2, 0) => sched::find(sched::PID).ok_or(Errno::ESRCH),
        (1 | 2, _) => Err(Errno::ESRCH),
        _ => Err(Errno::EINVAL),
    }
}
/// `getpriority`: 20 minus the nice value.
pub fn getpriority(which: i32, who: i32) -> Result<usize> {
    Ok((20 - priority_target(which, who)?.nice() as isize) as usize)
}
/// `setpriority`.
pub fn setpriority(which: i32, who: i32, nice: i32) -> Result<usize> {
    let t = priority_target(which, who)?;
    let nice = nice.clamp(-20, 19) as i8;
    if nice < t.nice() && !privileged() && (20 - i64::from(nice)) as u64 > limits::NICE.soft() {
        return Err(Errno::EACCES);
    }
    if which == 0 {
        t.set_nice(nice);
    } else {
        sched::for_each_thread(|t| {
            if t.is_program {
                t.set_nice(nice);
            }
        });
    }
    Ok(0)
}

const PR_SET_PDEATHSIG: i32 = 1;
const PR_GET_PDEATHSIG: i32 = 2;
const PR_GET_DUMPABLE: i32 = 3;
const PR_SET_DUMPABLE: i32 = 4;
const PR_SET_NAME: i32 = 15;
const PR_GET_NAME: i32 = 16;
const PR_SET_NO_NEW_PRIVS: i32 = 38;
const PR_GET_NO_NEW_PRIVS: i32 = 39;
static DUMPABLE: AtomicI32 = AtomicI32::new(1);
static PDEATHSIG: AtomicI32 = AtomicI32::new(0);
static NO_NEW_PRIVS: AtomicI32 = AtomicI32::new(0);

/// `prctl`.
pub fn prctl(option: i32, a: usize, b: usize, c: usize, d: usize) -> Result<usize> {
    match option {
        PR_SET_NAME => {
            let mut name = [0u8; 16];
            // Up to the terminator, which may be the last byte that is mapped.
            for (i, slot) in name.iter_mut().enumerate().take(15) {
                *slot = user::read(a + i)?;
                if *slot == 0 {
                    break;
                }
            }
            current().set_name(&name);
        }
        PR_GET_NAME => user::write(a, &current().name())?,
        // No core is ever written and nobody can attach, whatever this says; there is no parent to die; nothing is ever
        // executed that could gain privileges. The values are kept as on Linux.
        PR_SET_DUMPABLE if a <= 1 => DUMPABLE.store(a as i32, Relaxed),
        PR_GET_DUMPABLE => return Ok(DUMPABLE.load(Relaxed) as usize),
        PR_SET_PDEATHSIG if a <= 64 => PDEATHSIG.store(a as i32, Relaxed),
        PR_GET_PDEATHSIG => user::write(a, &PDEATHSIG.load(Relaxed))?,
        PR_SET_NO_NEW_PRIVS if (a, b, c, d) == (1, 0, 0, 0) => NO_NEW_PRIVS.store(1, Relaxed),
        PR_GET_NO_NEW_PRIVS if (a, b, c, d) == (0, 0, 0, 0) => return Ok(NO_NEW_PRIVS.load(Relaxed) as usize),
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}
