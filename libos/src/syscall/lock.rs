//! Record locks and flock, as `fcntl` and `flock` pass them.

use super::support::offset;
use libos_base::abi::{Fd, Flock, FlockOperation, In, InOut, LockType, Whence};
use libos_base::file::FileLike;
use libos_base::{Errno, Result, user};
use libos_fs::locks::{self, Lock, Owner};

/// The range from `start` for `len` bytes: 0 means to the end, negative means before `start`.
fn range(f: &dyn FileLike, l: &Flock) -> Result<(u64, u64)> {
    let base = match Whence(l.whence as u32) {
        Whence::SET => 0,
        // A file without a position counts as being at its beginning.
        Whence::CUR => f.seek(0, Whence::CUR).unwrap_or(0) as i64,
        Whence::END => f.stat()?.size,
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
pub fn get(f: &dyn FileLike, ofd: bool, at: InOut<Flock>) -> Result<()> {
    let mut l = user::read(at)?;
    if !matches!(LockType(l.kind), LockType::RDLCK | LockType::WRLCK) {
        return Err(Errno::EINVAL);
    }
    let (start, end) = range(f, &l)?;
    let want = Lock { owner: owner(f, ofd, &l)?, exclusive: l.kind == LockType::WRLCK.0, start, end };
    match locks::blocker(f, &want)? {
        None => l.kind = LockType::UNLCK.0,
        Some(b) => {
            l.kind = if b.exclusive { LockType::WRLCK.0 } else { LockType::RDLCK.0 };
            l.whence = 0;
            l.start = b.start as i64;
            l.len = if b.end == u64::MAX { 0 } else { (b.end - b.start) as i64 };
            l.pid = if b.owner == Owner::Process { crate::sched::PID as i32 } else { -1 };
        }
    }
    user::write(at, &l)
}

/// F_SETLK, F_SETLKW and their OFD forms.
pub fn set(f: &dyn FileLike, ofd: bool, wait: bool, at: In<Flock>) -> Result<()> {
    let l = user::read(at)?;
    let (start, end) = range(f, &l)?;
    let owner = owner(f, ofd, &l)?;
    let allowed = match LockType(l.kind) {
        LockType::RDLCK => f.flags().readable(),
        LockType::WRLCK => f.flags().writable(),
        LockType::UNLCK => return locks::clear_record(f, owner, start, end),
        _ => return Err(Errno::EINVAL),
    };
    if !allowed {
        return Err(Errno::EBADF);
    }
    locks::set_record(f, Lock { owner, exclusive: l.kind == LockType::WRLCK.0, start, end }, wait)
}

pub fn flock(fd: Fd, op: FlockOperation) -> Result<()> {
    let exclusive = match op - FlockOperation::NB {
        FlockOperation::SH => Some(false),
        FlockOperation::EX => Some(true),
        FlockOperation::UN => None,
        _ => return Err(Errno::EINVAL),
    };
    locks::flock(&*libos_fs::files().fds.get(fd)?, exclusive, !op.contains(FlockOperation::NB))
}
