//! Opening, and operations on names.

use libos_base::abi::{AtFlags, OpenFlags, OpenHow, RenameFlags, ResolveFlags, UnlinkFlags};
use libos_base::{Errno, Result, user};
use libos_fs::openfile::OpenFile;
use libos_fs::process::AT_FDCWD;
use libos_fs::{Process, process};

/// The process's files, for calls that take a path.
pub(super) fn fs() -> &'static Process {
    crate::process::process().files()
}

pub fn openat(dir: i32, path: usize, flags: u32, mode: u32) -> Result<usize> {
    // Flags that nobody knows are ignored (open(2)).
    let flags = OpenFlags::from_bits_truncate(flags);
    Ok(fs().open_fd(dir, &user::read_path(path)?, flags, mode)? as usize)
}

pub fn open(path: usize, flags: u32, mode: u32) -> Result<usize> {
    openat(AT_FDCWD, path, flags, mode)
}

pub fn creat(path: usize, mode: u32) -> Result<usize> {
    open(path, (OpenFlags::CREAT | OpenFlags::WRONLY | OpenFlags::TRUNC).bits(), mode)
}

/// `openat2`: unlike `openat`, what is not known is an error.
pub fn openat2(dir: i32, path: usize, how: usize, size: usize) -> Result<usize> {
    const SIZE: usize = core::mem::size_of::<OpenHow>();
    if size < SIZE {
        return Err(Errno::EINVAL);
    }
    if size > SIZE {
        // A newer structure is fine as long as its news are zero.
        if size > 4096 || user::read_vec::<u8>(how + SIZE, size - SIZE)?.iter().any(|&b| b != 0) {
            return Err(Errno::E2BIG);
        }
    }
    let h: OpenHow = user::read(how)?;
    let flags = u32::try_from(h.flags).ok().and_then(OpenFlags::from_bits).ok_or(Errno::EINVAL)?;
    let creates = flags.intersects(OpenFlags::CREAT | (OpenFlags::TMPFILE - OpenFlags::DIRECTORY));
    let rules = ResolveFlags::from_bits(h.resolve).ok_or(Errno::EINVAL)?;
    if rules.contains(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT) || h.mode & !0o7777 != 0 || h.mode != 0 && !creates
    {
        return Err(Errno::EINVAL);
    }
    // Walks read no disks for long: they are what this asks for.
    if rules.contains(ResolveFlags::CACHED) && (creates || flags.contains(OpenFlags::TRUNC)) {
        return Err(Errno::EAGAIN);
    }
    Ok(fs().open_fd_by(dir, &user::read_path(path)?, flags, h.mode as u32, rules)? as usize)
}

pub fn mkdirat(dir: i32, path: usize, mode: u32) -> Result<usize> {
    fs().mkdir(dir, &user::read_path(path)?, mode).map(|()| 0)
}

pub fn mkdir(path: usize, mode: u32) -> Result<usize> {
    mkdirat(AT_FDCWD, path, mode)
}

pub fn mknodat(dir: i32, path: usize, mode: u32, dev: u64) -> Result<usize> {
    fs().mknod(dir, &user::read_path(path)?, mode, dev).map(|()| 0)
}

pub fn mknod(path: usize, mode: u32, dev: u64) -> Result<usize> {
    mknodat(AT_FDCWD, path, mode, dev)
}

pub fn symlinkat(target: usize, dir: i32, path: usize) -> Result<usize> {
    fs().symlink(&user::read_path(target)?, dir, &user::read_path(path)?).map(|()| 0)
}

pub fn symlink(target: usize, path: usize) -> Result<usize> {
    symlinkat(target, AT_FDCWD, path)
}

pub fn linkat(from_dir: i32, from: usize, dir: i32, path: usize, flags: AtFlags) -> Result<usize> {
    if !(AtFlags::SYMLINK_FOLLOW | AtFlags::EMPTY_PATH).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let (follow, empty) = (flags.contains(AtFlags::SYMLINK_FOLLOW), flags.contains(AtFlags::EMPTY_PATH));
    let from = fs().lookup_at(from_dir, &user::read_path(from)?, follow, empty)?;
    fs().link(from, dir, &user::read_path(path)?).map(|()| 0)
}

pub fn link(from: usize, path: usize) -> Result<usize> {
    linkat(AT_FDCWD, from, AT_FDCWD, path, AtFlags::empty())
}

pub fn unlinkat(dir: i32, path: usize, flags: UnlinkFlags) -> Result<usize> {
    if !UnlinkFlags::all().contains(flags) {
        return Err(Errno::EINVAL);
    }
    fs().unlink(dir, &user::read_path(path)?, flags.contains(UnlinkFlags::REMOVEDIR)).map(|()| 0)
}

pub fn unlink(path: usize) -> Result<usize> {
    unlinkat(AT_FDCWD, path, UnlinkFlags::empty())
}

pub fn rmdir(path: usize) -> Result<usize> {
    unlinkat(AT_FDCWD, path, UnlinkFlags::REMOVEDIR)
}

pub fn renameat2(from_dir: i32, from: usize, to_dir: i32, to: usize, flags: RenameFlags) -> Result<usize> {
    fs().rename(from_dir, &user::read_path(from)?, to_dir, &user::read_path(to)?, flags).map(|()| 0)
}

pub fn renameat(from_dir: i32, from: usize, to_dir: i32, to: usize) -> Result<usize> {
    renameat2(from_dir, from, to_dir, to, RenameFlags::empty())
}

pub fn rename(from: usize, to: usize) -> Result<usize> {
    renameat(AT_FDCWD, from, AT_FDCWD, to)
}

pub fn readlinkat(dir: i32, path: usize, buf: usize, size: i32) -> Result<usize> {
    let size = usize::try_from(size).ok().filter(|&s| s > 0).ok_or(Errno::EINVAL)?;
    let text = fs().readlink(dir, &user::read_path(path)?)?;
    let n = text.len().min(size);
    user::copy_out(buf, &text[..n])?;
    Ok(n)
}

pub fn readlink(path: usize, buf: usize, size: i32) -> Result<usize> {
    readlinkat(AT_FDCWD, path, buf, size)
}

/// `getcwd`: the length with its NUL.
pub fn getcwd(buf: usize, size: usize) -> Result<usize> {
    let mut text = fs().getcwd()?;
    text.push(0);
    if size < text.len() {
        return Err(Errno::ERANGE);
    }
    user::copy_out(buf, &text)?;
    Ok(text.len())
}

pub fn chdir(path: usize) -> Result<usize> {
    fs().chdir(&user::read_path(path)?).map(|()| 0)
}

pub fn fchdir(fd: i32) -> Result<usize> {
    fs().fchdir(fd).map(|()| 0)
}

pub fn chroot(path: usize) -> Result<usize> {
    fs().chroot(&user::read_path(path)?).map(|()| 0)
}

pub fn umask(mask: u32) -> Result<usize> {
    Ok(process().set_umask(mask) as usize)
}

pub fn getdents64(fd: i32, buf: usize, count: u32) -> Result<usize> {
    let count = count as usize;
    let f = process().fds.get(fd)?;
    user::check(buf, count)?;
    let records = f.downcast::<OpenFile>().ok_or(Errno::ENOTDIR)?.read_dir(count)?;
    user::copy_out(buf, &records)?;
    Ok(records.len())
}
