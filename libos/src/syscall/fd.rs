//! Descriptors: close, dup, fcntl, ioctl, and the calls that make new ones from nothing.

use super::support::only;
use super::{owner, readiness};
use libos_base::abi::{
    CloseRangeFlags, DescriptorFlags, EventfdFlags, FcntlArgument, FcntlCommand, Fd, InotifyFlags, InotifyMask,
    IoctlArgument, IoctlCommand, OpenFlags, Out, Path, signal::SIGMAX,
};
use libos_base::file::FileLike;
use libos_base::sync::Provider;
use libos_base::{Errno, Result, user};
use libos_fs::eventfd::EventFd;
use libos_fs::files;
use libos_fs::inotify::Inotify;
use libos_fs::permission;
use libos_fs::pipe::{self, PipeEnd};

pub fn close(fd: Fd) -> Result<()> {
    files().fds.close(fd)
}

pub fn close_range(first: u32, last: u32, flags: CloseRangeFlags) -> Result<()> {
    // CLOSE_RANGE_UNSHARE would need a second table.
    if first > last || !CloseRangeFlags::CLOEXEC.contains(flags) {
        return Err(Errno::EINVAL);
    }
    files().fds.close_range(first, last, flags.contains(CloseRangeFlags::CLOEXEC));
    Ok(())
}

fn dup_from(fd: Fd, min: usize, cloexec: bool) -> Result<usize> {
    let f = files().fds.get_any(fd)?;
    Ok(files().fds.reserve_from(min)?.install(f, cloexec).result())
}

pub fn dup(fd: Fd) -> Result<usize> {
    dup_from(fd, 0, false)
}

pub fn dup2(from: Fd, to: Fd) -> Result<usize> {
    if from == to {
        files().fds.get_any(from)?;
        return Ok(to.result());
    }
    Ok(files().fds.dup_to(from, to, false)?.result())
}

pub fn dup3(from: Fd, to: Fd, flags: DescriptorFlags) -> Result<usize> {
    if from == to || !DescriptorFlags::CLOEXEC.contains(flags) {
        return Err(Errno::EINVAL);
    }
    Ok(files().fds.dup_to(from, to, !flags.is_empty())?.result())
}

/// F_ADD_SEALS and F_GET_SEALS, from the first `memfd_create` on: before that no file can be sealed.
pub(super) static SEALS: Provider<SealCommand> = Provider::new();
/// See [`SEALS`].
pub(super) type SealCommand = fn(&dyn FileLike, FcntlCommand, u32) -> Result<usize>;

pub fn fcntl(fd: Fd, cmd: FcntlCommand, arg: FcntlArgument) -> Result<usize> {
    let fds = &files().fds;
    match cmd {
        FcntlCommand::DUPFD | FcntlCommand::DUPFD_CLOEXEC => {
            if arg.0 as i32 as i64 != arg.0 as i64 || arg.0 as u64 >= libos_base::limits::NOFILE.soft() {
                return Err(Errno::EINVAL);
            }
            return dup_from(fd, arg.0, cmd == FcntlCommand::DUPFD_CLOEXEC);
        }
        FcntlCommand::GETFD => return Ok(usize::from(fds.cloexec(fd)?)),
        FcntlCommand::SETFD => fds.set_cloexec(fd, arg.0 & 1 != 0)?,
        FcntlCommand::GETFL => return Ok(fds.get_any(fd)?.flags().bits() as usize),
        FcntlCommand::SETFL => {
            let (file, flags) = (fds.get(fd)?, OpenFlags::from_bits_retain(arg.0 as u32));
            if (flags - file.flags()).contains(OpenFlags::NOATIME) {
                permission::owns(&*file)?;
            }
            if file.special_flags().intersects(flags & OpenFlags::DIRECT) {
                return Err(Errno::EINVAL);
            }
            if (file.flags() ^ flags).contains(OpenFlags::ASYNC) {
                readiness::set(fd, &file, flags.contains(OpenFlags::ASYNC))?;
            }
            file.description().set_flags(flags);
        }
        FcntlCommand::SETOWN => owner::set(&*fds.get(fd)?, arg.0 as i32)?,
        FcntlCommand::GETOWN => return Ok(owner::get(&*fds.get(fd)?) as usize),
        FcntlCommand::SETOWN_EX => owner::set_ex(&*fds.get(fd)?, user::read(arg.to())?)?,
        FcntlCommand::GETOWN_EX => user::write(arg.to(), &fds.get(fd)?.description().owner())?,
        FcntlCommand::GETSIG => return Ok(fds.get(fd)?.description().signal() as usize),
        FcntlCommand::SETSIG if arg.0 <= SIGMAX as usize => fds.get(fd)?.description().set_signal(arg.0 as i32),
        FcntlCommand::GETLK | FcntlCommand::OFD_GETLK => {
            super::lock::get(&*fds.get(fd)?, cmd == FcntlCommand::OFD_GETLK, arg.to())?;
        }
        FcntlCommand::SETLK | FcntlCommand::SETLKW => {
            super::lock::set(&*fds.get(fd)?, false, cmd == FcntlCommand::SETLKW, arg.to().into())?;
        }
        FcntlCommand::OFD_SETLK | FcntlCommand::OFD_SETLKW => {
            super::lock::set(&*fds.get(fd)?, true, cmd == FcntlCommand::OFD_SETLKW, arg.to().into())?;
        }
        FcntlCommand::GETPIPE_SZ => return Ok(pipe_end(&*fds.get(fd)?)?.capacity()),
        FcntlCommand::SETPIPE_SZ => return pipe_end(&*fds.get(fd)?)?.set_capacity(arg.0 as u32 as usize),
        FcntlCommand::ADD_SEALS | FcntlCommand::GET_SEALS => {
            let file = fds.get(fd)?;
            if cmd == FcntlCommand::ADD_SEALS && !file.flags().writable() {
                return Err(Errno::EPERM);
            }
            return SEALS.get().ok_or(Errno::EINVAL)?(&*file, cmd, arg.0 as u32);
        }
        _ => {
            fds.get(fd)?;
            return Err(Errno::EINVAL);
        }
    }
    Ok(0)
}

fn pipe_end(file: &dyn FileLike) -> Result<&PipeEnd> {
    file.downcast::<PipeEnd>().ok_or(Errno::EBADF)
}

/// `ioctl`: handles the commands that every descriptor has; the file handles the others.
pub fn ioctl(fd: Fd, cmd: IoctlCommand, arg: IoctlArgument) -> Result<usize> {
    let fds = &files().fds;
    let file = fds.get(fd)?;
    match cmd {
        IoctlCommand::FIOCLEX | IoctlCommand::FIONCLEX => fds.set_cloexec(fd, cmd == IoctlCommand::FIOCLEX)?,
        IoctlCommand::FIONBIO => file.description().set_nonblock(user::read::<i32>(arg.to())? != 0),
        IoctlCommand::FIOASYNC => {
            let on = user::read::<i32>(arg.to())? != 0;
            if on != file.flags().contains(OpenFlags::ASYNC) && !readiness::set(fd, &file, on)? {
                return Err(Errno::ENOTTY);
            }
        }
        IoctlCommand::FIONREAD if let Some(n) = file.unread() => {
            user::write(arg.to(), &(n.min(i32::MAX as usize) as i32))?;
        }
        _ => return file.ioctl(cmd.0, arg),
    }
    Ok(0)
}

pub fn pipe2(out: Out<[i32; 2]>, flags: DescriptorFlags) -> Result<()> {
    only(flags, DescriptorFlags::CLOEXEC | DescriptorFlags::NONBLOCK | DescriptorFlags::DIRECT)?;
    let (r, w) = pipe::pipe(flags.contains(DescriptorFlags::NONBLOCK), flags.contains(DescriptorFlags::DIRECT))?;
    let cloexec = flags.contains(DescriptorFlags::CLOEXEC);
    let (a, b) = (files().fds.reserve()?, files().fds.reserve()?);
    user::write(out, &[a.fd().0, b.fd().0])?;
    a.install(r, cloexec);
    b.install(w, cloexec);
    Ok(())
}

pub fn pipe(out: Out<[i32; 2]>) -> Result<()> {
    pipe2(out, DescriptorFlags::empty())
}

pub fn eventfd2(initial: u32, flags: EventfdFlags) -> Result<usize> {
    let fd = files().fds.reserve()?;
    Ok(fd.install(EventFd::new(initial, flags)?, flags.contains(EventfdFlags::CLOEXEC)).result())
}

pub fn eventfd(initial: u32) -> Result<usize> {
    eventfd2(initial, EventfdFlags::empty())
}

pub fn inotify_init1(flags: InotifyFlags) -> Result<usize> {
    let fd = files().fds.reserve()?;
    Ok(fd.install(Inotify::new(flags)?, flags.contains(InotifyFlags::CLOEXEC)).result())
}

pub fn inotify_init() -> Result<usize> {
    inotify_init1(InotifyFlags::empty())
}

pub fn inotify_add_watch(fd: Fd, path: Path, mask: InotifyMask) -> Result<usize> {
    let file = files().fds.get(fd)?;
    let watcher = file.downcast::<Inotify>().ok_or(Errno::EINVAL)?;
    Ok(watcher.add(files(), &user::read_path(path)?, mask)? as usize)
}

pub fn inotify_rm_watch(fd: Fd, wd: i32) -> Result<()> {
    let file = files().fds.get(fd)?;
    file.downcast::<Inotify>().ok_or(Errno::EINVAL)?.remove(wd)
}
