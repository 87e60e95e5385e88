//! Record locks and flock, as `fcntl` and `flock` pass them.

use super::support::offset;
use libos_base::file::FileLike;
use libos_base::{Errno, Result, abi_struct, user};
use libos_fs::locks::{self, Lock, Owner};

abi_struct! {
    /// struct flock (x86-64); the two pads are the compiler's.
    Flock { kind: i16, whence: i16, pad: i32, start: i64, len: i64, pid: i32, pad2: i32, }
}

const RDLCK: i16 = 0;
const WRLCK: i16 = 1;
const UNLCK: i16 = 2;

/// The range from `start` for `len` bytes: 0 is to the end, negative is before `start`.
fn range(f: &dyn FileLike, l: &Flock) -> Result<(u64, u64)> {
    let base = match l.whence {
        0 => 0,
        // What has no position has that of its beginning.
        1 => f.seek(0, 1).unwrap_or(0) as i64,
        2 => f.stat()?.size,
        _ => return Err(Errno::EINVAL),
    };
    let at = base.checked_add(l.start).ok_or(Errno::EOVERFLOW)?;
    match l.len {
        0 => Ok((offset(at)?, u64::MAX)),
        len if len > 0 => Ok((offset(at)?, at.checked_add(len).ok_or(Errno::EOVERFLOW)? as u64)),
        len => Ok((offset(at.checked_add(len).ok_or(Errno::EINVAL)?)?, offset(at)?)),
    }
}

fn owner(f: &dyn FileLike, ofd: bool, l: &Flock) -> Result<Owner> {
    match ofd {
        true if l.pid != 0 => Err(Errno::EINVAL),
        true => Ok(locks::description(f)),
        false => Ok(Owner::Process),
    }
}

/// F_GETLK, F_OFD_GETLK.
pub fn get(f: &dyn FileLike, ofd: bool, at: usize) -> Result<usize> {
    let mut l: Flock = user::read(at)?;
    if !matches!(l.kind, RDLCK | WRLCK) {
        return Err(Errno::EINVAL);
    }
    let (start, end) = range(f, &l)?;
    let want = Lock { owner: owner(f, ofd, &l)?, exclusive: l.kind == WRLCK, start, end };
    match locks::blocker(f, &want)? {
        None => l.kind = UNLCK,
        Some(b) => {
            l.kind = if b.exclusive { WRLCK } else { RDLCK };
            l.whence = 0;
            l.start = b.start as i64;
            l.len = if b.end == u64::MAX { 0 } else { (b.end - b.start) as i64 };
            l.pid = if b.owner == Owner::Process { crate::sched::PID as i32 } else { -1 };
        }
    }
    user::write(at, &l)?;
    Ok(0)
}

/// F_SETLK, F_SETLKW and their OFD forms.
pub fn set(f: &dyn FileLike, ofd: bool, wait: bool, at: usize) -> Result<usize> {
    let l: Flock = user::read(at)?;
    let (start, end) = range(f, &l)?;
    let owner = owner(f, ofd, &l)?;
    let allowed = match l.kind {
        RDLCK => f.flags().readable(),
        WRLCK => f.flags().writable(),
        UNLCK => return locks::clear_record(f, owner, start, end).map(|()| 0),
        _ => return Err(Errno::EINVAL),
    };
    if !allowed {
        return Err(Errno::EBADF);
    }
    locks::set_record(f, Lock { owner, exclusive: l.kind == WRLCK, start, end }, wait)?;
    Ok(0)
}

/// `flock`.
pub fn flock(f: &dyn FileLike, op: u32) -> Result<usize> {
    const LOCK_NB: u32 = 4;
    let exclusive = match op & !LOCK_NB {
        1 => Some(false),
        2 => Some(true),
        8 => None,
        _ => return Err(Errno::EINVAL),
    };
    locks::flock(f, exclusive, op & LOCK_NB == 0)?;
    Ok(0)
}
