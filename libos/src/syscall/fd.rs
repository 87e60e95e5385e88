//! Descriptors: close, dup, fcntl, ioctl, and the calls that make new ones out of nothing.

use libos_base::abi::ioctl::{FIOASYNC, FIOCLEX, FIONBIO, FIONCLEX};
use libos_base::abi::{CloseRangeFlags, FcntlCommand, MemfdFlags, OpenFlags};
use libos_base::file::FileLike;
use libos_base::{Errno, Result, user};
use libos_fs::eventfd::EventFd;
use libos_fs::inotify::Inotify;
use libos_fs::openfile::OpenFile;
use libos_fs::pipe::{self, PipeEnd};
use libos_fs::process;

const CLOEXEC: u32 = OpenFlags::CLOEXEC.bits();

/// `close`.
pub fn close(fd: i32) -> Result<usize> {
    process().fds.close(fd).map(|()| 0)
}
/// `close_range`.
pub fn close_range(first: u32, last: u32, flags: CloseRangeFlags) -> Result<usize> {
    // CLOSE_RANGE_UNSHARE needs a second table.
    if first > last || !CloseRangeFlags::CLOEXEC.contains(flags) {
        return Err(Errno::EINVAL);
    }
    process().fds.close_range(first, last, flags.contains(CloseRangeFlags::CLOEXEC));
    Ok(0)
}

fn dup_from(fd: i32, min: usize, cloexec: bool) -> Result<usize> {
    let f = process().fds.get_any(fd)?;
    Ok(process().fds.reserve_from(min)?.install(f, cloexec) as usize)
}
/// `dup`.
pub fn dup(fd: i32) -> Result<usize> {
    dup_from(fd, 0, false)
}
/// `dup2`.
pub fn dup2(from: i32, to: i32) -> Result<usize> {
    if from == to {
        process().fds.get_any(from)?;
        return Ok(to as usize);
    }
    Ok(process().fds.dup_to(from, to, false)? as usize)
}
/// `dup3`.
pub fn dup3(from: i32, to: i32, flags: u32) -> Result<usize> {
    if from == to || flags & !CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(process().fds.dup_to(from, to, flags & CLOEXEC != 0)? as usize)
}

/// `fcntl`.
pub fn fcntl(fd: i32, cmd: FcntlCommand, arg: usize) -> Result<usize> {
    let fds = &process().fds;
    match cmd {
        FcntlCommand::DUPFD | FcntlCommand::DUPFD_CLOEXEC => {
            if arg as i32 as i64 != arg as i64 || arg as u64 >= libos_base::limits::NOFILE.soft() {
                return Err(Errno::EINVAL);
            }
            dup_from(fd, arg, cmd == FcntlCommand::DUPFD_CLOEXEC)
        }
        FcntlCommand::GETFD => Ok(usize::from(fds.cloexec(fd)?)),
        FcntlCommand::SETFD => fds.set_cloexec(fd, arg & 1 != 0).map(|()| 0),
        FcntlCommand::GETFL => Ok(fds.get_any(fd)?.flags().bits() as usize),
        FcntlCommand::SETFL => {
            let file = fds.get(fd)?;
            let flags = OpenFlags::from_bits_truncate(arg as u32);
            if flags.contains(OpenFlags::ASYNC) {
                return Err(Errno::EINVAL);
            }
            file.set_flags(flags).map(|()| 0)
        }
        FcntlCommand::GETLK | FcntlCommand::OFD_GETLK => {
            super::lock::get(&*fds.get(fd)?, cmd == FcntlCommand::OFD_GETLK, arg)
        }
        FcntlCommand::SETLK | FcntlCommand::SETLKW => {
            super::lock::set(&*fds.get(fd)?, false, cmd == FcntlCommand::SETLKW, arg)
        }
        FcntlCommand::OFD_SETLK | FcntlCommand::OFD_SETLKW => {
            super::lock::set(&*fds.get(fd)?, true, cmd == FcntlCommand::OFD_SETLKW, arg)
        }
        FcntlCommand::GETPIPE_SZ => Ok(pipe_end(&*fds.get(fd)?)?.capacity()),
        FcntlCommand::SETPIPE_SZ => pipe_end(&*fds.get(fd)?)?.set_capacity(arg as u32 as usize),
        // A memfd that was not made for sealing is sealed against seals (F_SEAL_SEAL); others have none.
        FcntlCommand::GET_SEALS if is_memfd(&*fds.get(fd)?) => Ok(1),
        _ => {
            fds.get(fd)?;
            Err(Errno::EINVAL)
        }
    }
}

fn pipe_end(file: &dyn FileLike) -> Result<&PipeEnd> {
    file.downcast::<PipeEnd>().ok_or(Errno::EBADF)
}
fn is_memfd(file: &dyn FileLike) -> bool {
    file.downcast::<OpenFile>().is_some_and(|o| o.path.dentry.name().starts_with(b"/memfd:"))
}

/// `ioctl`: the commands that every descriptor has; the others are the file's.
pub fn ioctl(fd: i32, cmd: u32, arg: usize) -> Result<usize> {
    let fds = &process().fds;
    let file = fds.get(fd)?;
    match cmd {
        FIOCLEX | FIONCLEX => fds.set_cloexec(fd, cmd == FIOCLEX).map(|()| 0),
        FIONBIO => {
            let on = user::read::<i32>(arg)? != 0;
            let mut flags = file.flags();
            flags.set(OpenFlags::NONBLOCK, on);
            file.set_flags(flags).map(|()| 0)
        }
        // Signals on readiness are not offered; turning them off is.
        FIOASYNC if user::read::<i32>(arg)? != 0 => Err(Errno::ENOTTY),
        FIOASYNC => Ok(0),
        _ => file.ioctl(cmd, arg),
    }
}

/// `flock`.
pub fn flock(fd: i32, op: u32) -> Result<usize> {
    super::lock::flock(&*process().fds.get(fd)?, op)
}

/// `pipe2`.
pub fn pipe2(out: usize, flags: u32) -> Result<usize> {
    let known = (OpenFlags::CLOEXEC | OpenFlags::NONBLOCK).bits();
    if flags & !known != 0 {
        return Err(Errno::EINVAL);
    }
    let (r, w) = pipe::pipe(OpenFlags::from_bits_truncate(flags))?;
    let cloexec = flags & CLOEXEC != 0;
    let (a, b) = (process().fds.reserve()?, process().fds.reserve()?);
    user::write(out, &[a.fd(), b.fd()])?;
    a.install(r, cloexec);
    b.install(w, cloexec);
    Ok(0)
}
/// `pipe`.
pub fn pipe(out: usize) -> Result<usize> {
    pipe2(out, 0)
}

/// `eventfd2`.
pub fn eventfd2(initial: u32, flags: u32) -> Result<usize> {
    let fd = process().fds.reserve()?;
    Ok(fd.install(EventFd::new(initial, flags)?, flags & CLOEXEC != 0) as usize)
}
/// `eventfd`.
pub fn eventfd(initial: u32) -> Result<usize> {
    eventfd2(initial, 0)
}

/// `memfd_create`. Sealing and huge pages are refused.
pub fn memfd_create(name: usize, flags: MemfdFlags) -> Result<usize> {
    if !MemfdFlags::CLOEXEC.contains(flags) {
        return Err(Errno::EINVAL);
    }
    // 249 bytes and the NUL; "memfd:" goes in front.
    let name = user::read_bytes_nul(name, 250).map_err(|e| if e == Errno::ENAMETOOLONG { Errno::EINVAL } else { e })?;
    let fd = process().fds.reserve()?;
    let file = process().memfd(&name)?;
    Ok(fd.install(file, flags.contains(MemfdFlags::CLOEXEC)) as usize)
}

/// `inotify_init1`.
pub fn inotify_init1(flags: u32) -> Result<usize> {
    let fd = process().fds.reserve()?;
    Ok(fd.install(Inotify::new(flags)?, flags & CLOEXEC != 0) as usize)
}
/// `inotify_init`.
pub fn inotify_init() -> Result<usize> {
    inotify_init1(0)
}
/// `inotify_add_watch`.
pub fn inotify_add_watch(fd: i32, path: usize, mask: u32) -> Result<usize> {
    let file = process().fds.get(fd)?;
    let watcher = file.downcast::<Inotify>().ok_or(Errno::EINVAL)?;
    Ok(watcher.add(process(), &user::read_path(path)?, mask)? as usize)
}
/// `inotify_rm_watch`.
pub fn inotify_rm_watch(fd: i32, wd: i32) -> Result<usize> {
    let file = process().fds.get(fd)?;
    file.downcast::<Inotify>().ok_or(Errno::EINVAL)?.remove(wd).map(|()| 0)
}
