//! Opening, and operations on names.

use super::support::only;
use libos_base::abi::{
    AtFlags, CreateMode, Device, DirFd, Fd, FileMode, In, Mode, OpenFlags, OpenHow, Out, Path, RenameFlags,
    ResolveFlags, UnlinkFlags,
};
use libos_base::{Errno, Result, user};
use libos_fs::files::{How, files};
use libos_fs::openfile::OpenFile;

pub fn openat(dir: DirFd, path: Path, flags: OpenFlags, mode: CreateMode) -> Result<usize> {
    // Unknown flags are ignored (open(2)).
    let flags = OpenFlags::from_bits_truncate(flags.bits());
    let how = How { flags, mode: mode.0, rules: ResolveFlags::empty() };
    user::with_path(path, |path| Ok(files().open_fd(dir, path, how)?.result()))
}

pub fn open(path: Path, flags: OpenFlags, mode: CreateMode) -> Result<usize> {
    openat(DirFd::CWD, path, flags, mode)
}

pub fn creat(path: Path, mode: Mode) -> Result<usize> {
    open(path, OpenFlags::CREAT | OpenFlags::WRONLY | OpenFlags::TRUNC, CreateMode(mode.0))
}

/// `openat2`: unlike for `openat`, an unknown flag is an error.
pub fn openat2(dir: DirFd, path: Path, how: In<OpenHow>, size: usize) -> Result<usize> {
    const SIZE: usize = core::mem::size_of::<OpenHow>();
    if size < SIZE {
        return Err(Errno::EINVAL);
    }
    if size > SIZE {
        // A newer structure is fine as long as its new fields are zero.
        if size > 4096 || user::read_vec(how.nth(1).cast::<u8>(), size - SIZE)?.iter().any(|&b| b != 0) {
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
    // Walks never read disks for long, so they already are what this asks for.
    if rules.contains(ResolveFlags::CACHED) && (creates || flags.contains(OpenFlags::TRUNC)) {
        return Err(Errno::EAGAIN);
    }
    Ok(files().open_fd(dir, &user::read_path(path)?, How { flags, mode: h.mode as u32, rules })?.result())
}

pub fn mkdirat(dir: DirFd, path: Path, mode: Mode) -> Result<()> {
    files().mkdir(dir, &user::read_path(path)?, mode.0)
}

pub fn mkdir(path: Path, mode: Mode) -> Result<()> {
    mkdirat(DirFd::CWD, path, mode)
}

pub fn mknodat(dir: DirFd, path: Path, mode: FileMode, dev: Device) -> Result<()> {
    files().mknod(dir, &user::read_path(path)?, mode.0, dev.0)
}

pub fn mknod(path: Path, mode: FileMode, dev: Device) -> Result<()> {
    mknodat(DirFd::CWD, path, mode, dev)
}

pub fn symlinkat(target: Path, dir: DirFd, path: Path) -> Result<()> {
    files().symlink(&user::read_path(target)?, dir, &user::read_path(path)?)
}

pub fn symlink(target: Path, path: Path) -> Result<()> {
    symlinkat(target, DirFd::CWD, path)
}

pub fn linkat(from_dir: DirFd, from: Path, dir: DirFd, path: Path, flags: AtFlags) -> Result<()> {
    only(flags, AtFlags::SYMLINK_FOLLOW | AtFlags::EMPTY_PATH)?;
    let (follow, empty) = (flags.contains(AtFlags::SYMLINK_FOLLOW), flags.contains(AtFlags::EMPTY_PATH));
    let from = files().lookup_at(from_dir, &user::read_path(from)?, follow, empty)?;
    files().link(from, dir, &user::read_path(path)?)
}

pub fn link(from: Path, path: Path) -> Result<()> {
    linkat(DirFd::CWD, from, DirFd::CWD, path, AtFlags::empty())
}

pub fn unlinkat(dir: DirFd, path: Path, flags: UnlinkFlags) -> Result<()> {
    only(flags, UnlinkFlags::all())?;
    files().unlink(dir, &user::read_path(path)?, flags.contains(UnlinkFlags::REMOVEDIR))
}

pub fn unlink(path: Path) -> Result<()> {
    unlinkat(DirFd::CWD, path, UnlinkFlags::empty())
}

pub fn rmdir(path: Path) -> Result<()> {
    unlinkat(DirFd::CWD, path, UnlinkFlags::REMOVEDIR)
}

pub fn renameat2(from_dir: DirFd, from: Path, to_dir: DirFd, to: Path, flags: RenameFlags) -> Result<()> {
    files().rename(from_dir, &user::read_path(from)?, to_dir, &user::read_path(to)?, flags)
}

pub fn renameat(from_dir: DirFd, from: Path, to_dir: DirFd, to: Path) -> Result<()> {
    renameat2(from_dir, from, to_dir, to, RenameFlags::empty())
}

pub fn rename(from: Path, to: Path) -> Result<()> {
    renameat(DirFd::CWD, from, DirFd::CWD, to)
}

pub fn readlinkat(dir: DirFd, path: Path, buf: Out<u8>, size: i32) -> Result<usize> {
    let size = usize::try_from(size).ok().filter(|&s| s > 0).ok_or(Errno::EINVAL)?;
    let text = files().readlink(dir, &user::read_path(path)?)?;
    let n = text.len().min(size);
    user::copy_out(buf.address(), &text[..n])?;
    Ok(n)
}

pub fn readlink(path: Path, buf: Out<u8>, size: i32) -> Result<usize> {
    readlinkat(DirFd::CWD, path, buf, size)
}

/// `getcwd`: returns the length with its NUL.
pub fn getcwd(buf: Out<u8>, size: usize) -> Result<usize> {
    let mut text = files().getcwd()?;
    text.push(0);
    if size < text.len() {
        return Err(Errno::ERANGE);
    }
    user::copy_out(buf.address(), &text)?;
    Ok(text.len())
}

pub fn chdir(path: Path) -> Result<()> {
    files().chdir(&user::read_path(path)?)
}

pub fn fchdir(fd: Fd) -> Result<()> {
    files().fchdir(fd)
}

pub fn chroot(path: Path) -> Result<()> {
    files().chroot(&user::read_path(path)?)
}

pub fn umask(mask: Mode) -> Result<usize> {
    Ok(files().set_umask(mask.0) as usize)
}

pub fn getdents64(fd: Fd, buf: Out<u8>, count: u32) -> Result<usize> {
    let count = count as usize;
    let f = files().fds.get(fd)?;
    user::check(buf.address(), count)?;
    let dir = f.downcast::<OpenFile>().ok_or(Errno::ENOTDIR)?;
    dir.read_dir(count, &mut |records| user::copy_out_partial(buf.address(), records))
}
