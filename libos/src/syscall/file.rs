//! Reading, writing and positions.

use super::support::{offset, raise_on};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::{Errno, Result, user};
use libos_fs::openfile::OpenFile;
use libos_fs::process;
use libos_fs::transfer::{self, Place};

/// `read`.
pub fn read(fd: i32, buf: usize, count: usize) -> Result<usize> {
    process().fds.readable(fd)?.read(&mut Sink::user(buf, count)?)
}
/// `readv`.
pub fn readv(fd: i32, iov: usize, n: usize) -> Result<usize> {
    process().fds.readable(fd)?.read(&mut Sink::user_vecs(iov, n)?)
}
/// `pread64`.
pub fn pread64(fd: i32, buf: usize, count: usize, at: i64) -> Result<usize> {
    let f = process().fds.readable(fd)?;
    f.read_at(offset(at)?, &mut Sink::user(buf, count)?)
}
/// `preadv`. On a 64-bit machine the offset is all in the first word.
pub fn preadv(fd: i32, iov: usize, n: usize, at: i64, _high: usize) -> Result<usize> {
    let f = process().fds.readable(fd)?;
    f.read_at(offset(at)?, &mut Sink::user_vecs(iov, n)?)
}
/// `preadv2`: offset -1 means the position.
pub fn preadv2(fd: i32, iov: usize, n: usize, at: i64, high: usize, flags: u32) -> Result<usize> {
    if flags & !rwf::READ != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if at == -1 { readv(fd, iov, n) } else { preadv(fd, iov, n, at, high) }
}

/// RWF_* (linux/fs.h).
mod rwf {
    pub const HIPRI: u32 = 1;
    pub const DSYNC: u32 = 2;
    pub const SYNC: u32 = 4;
    /// Polling for completion is a hint; nothing here completes later.
    pub const READ: u32 = HIPRI;
    pub const WRITE: u32 = HIPRI | DSYNC | SYNC;
}

/// `write`.
pub fn write(fd: i32, buf: usize, count: usize) -> Result<usize> {
    let f = process().fds.writable(fd)?;
    raise_on(f.write(&mut Source::user(buf, count)?))
}
/// `writev`.
pub fn writev(fd: i32, iov: usize, n: usize) -> Result<usize> {
    let f = process().fds.writable(fd)?;
    raise_on(f.write(&mut Source::user_vecs(iov, n)?))
}
/// `pwrite64`.
pub fn pwrite64(fd: i32, buf: usize, count: usize, at: i64) -> Result<usize> {
    let f = process().fds.writable(fd)?;
    raise_on(f.write_at(offset(at)?, &mut Source::user(buf, count)?))
}
/// `pwritev`.
pub fn pwritev(fd: i32, iov: usize, n: usize, at: i64, _high: usize) -> Result<usize> {
    let f = process().fds.writable(fd)?;
    raise_on(f.write_at(offset(at)?, &mut Source::user_vecs(iov, n)?))
}
/// `pwritev2`.
pub fn pwritev2(fd: i32, iov: usize, n: usize, at: i64, high: usize, flags: u32) -> Result<usize> {
    if flags & !rwf::WRITE != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let done = if at == -1 { writev(fd, iov, n) } else { pwritev(fd, iov, n, at, high) }?;
    if flags & (rwf::DSYNC | rwf::SYNC) != 0 {
        sync_file(&*process().fds.get(fd)?, flags & rwf::SYNC == 0)?;
    }
    Ok(done)
}

/// `lseek`.
pub fn lseek(fd: i32, by: i64, whence: u32) -> Result<usize> {
    Ok(process().fds.get(fd)?.seek(by, whence)? as usize)
}

/// The file as one of a file system; `other` for pipes, sockets and the like.
pub(super) fn open_file(f: &dyn FileLike, other: Errno) -> Result<&OpenFile> {
    f.downcast::<OpenFile>().ok_or(other)
}

/// `ftruncate`.
pub fn ftruncate(fd: i32, len: i64) -> Result<usize> {
    let len = offset(len)?;
    process().fds.get(fd)?;
    let f = process().fds.writable(fd).map_err(|_| Errno::EINVAL)?;
    raise_on(open_file(&*f, Errno::EINVAL)?.resize(len)).map(|()| 0)
}
/// `truncate`.
pub fn truncate(path: usize, len: i64) -> Result<usize> {
    let len = offset(len)?;
    raise_on(process().truncate(&user::read_path(path)?, len)).map(|()| 0)
}
/// `fallocate`.
pub fn fallocate(fd: i32, mode: u32, at: i64, len: i64) -> Result<usize> {
    if at < 0 || len <= 0 {
        return Err(Errno::EINVAL);
    }
    let f = process().fds.writable(fd)?;
    let Some(f) = f.downcast::<OpenFile>() else {
        let pipe = f.stat()?.mode & libos_base::abi::mode::S_IFMT == libos_base::abi::mode::S_IFIFO;
        return Err(if pipe { Errno::ESPIPE } else { Errno::ENODEV });
    };
    let end = at.checked_add(len).ok_or(Errno::EFBIG)?;
    if mode & 1 == 0 && end as u64 > libos_fs::limits::FSIZE.soft() {
        return raise_on(Err(Errno::EFBIG));
    }
    f.path.inode().allocate(mode, at as u64, len as u64)?;
    Ok(0)
}

fn sync_file(f: &dyn FileLike, data_only: bool) -> Result<()> {
    open_file(f, Errno::EINVAL)?.path.inode().sync(data_only)
}
/// `fsync`. EINVAL for what cannot be synchronised (pipes, sockets).
pub fn fsync(fd: i32) -> Result<usize> {
    sync_file(&*process().fds.get(fd)?, false).map(|()| 0)
}
/// `fdatasync`.
pub fn fdatasync(fd: i32) -> Result<usize> {
    sync_file(&*process().fds.get(fd)?, true).map(|()| 0)
}
/// `sync`.
pub fn sync() -> Result<usize> {
    if let Ok(root) = process().root() {
        let _ = root.mount.fs.sync();
    }
    for m in libos_fs::mount::list() {
        let _ = m.fs.sync();
    }
    Ok(0)
}
/// `syncfs`.
pub fn syncfs(fd: i32) -> Result<usize> {
    let f = process().fds.get(fd)?;
    if let Some(f) = f.downcast::<OpenFile>() {
        f.path.mount.fs.sync()?;
    }
    Ok(0)
}
/// `sync_file_range`.
pub fn sync_file_range(fd: i32, at: i64, len: i64, flags: u32) -> Result<usize> {
    if flags & !7 != 0 || at < 0 || len < 0 {
        return Err(Errno::EINVAL);
    }
    sync_file(&*process().fds.get(fd)?, true).map_err(|_| Errno::ESPIPE)?;
    Ok(0)
}
/// `fadvise64`: files are in memory, so there is nothing to prefetch or drop.
pub fn fadvise64(fd: i32, _at: i64, len: i64, advice: i32) -> Result<usize> {
    let f = process().fds.get(fd)?;
    if f.stat()?.mode & libos_base::abi::mode::S_IFMT == libos_base::abi::mode::S_IFIFO {
        return Err(Errno::ESPIPE);
    }
    if !(0..=5).contains(&advice) || len < 0 {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}
/// `readahead`.
pub fn readahead(fd: i32, _at: i64, _len: usize) -> Result<usize> {
    let f = process().fds.readable(fd)?;
    open_file(&*f, Errno::EINVAL)?;
    Ok(0)
}

/// `sendfile`.
pub fn sendfile(out: i32, from: i32, at: usize, count: usize) -> Result<usize> {
    use libos_base::abi::mode::{S_IFBLK, S_IFCHR, S_IFMT, S_IFREG};
    let src = process().fds.readable(from)?;
    let dst = process().fds.writable(out)?;
    if !matches!(src.stat()?.mode & S_IFMT, S_IFREG | S_IFBLK | S_IFCHR) {
        // A pipe or socket has no pages to send from; with an offset it has no positions either.
        return Err(if at != 0 { Errno::ESPIPE } else { Errno::EINVAL });
    }
    if dst.flags().contains(libos_base::abi::OpenFlags::APPEND) {
        return Err(Errno::EINVAL);
    }
    if at == 0 {
        return raise_on(transfer::send(&*dst, &*src, Place::Current, count));
    }
    let mut pos = offset(user::read::<i64>(at)?)?;
    let n = raise_on(transfer::send(&*dst, &*src, Place::Offset(&mut pos), count))?;
    user::write(at, &pos)?;
    Ok(n)
}

/// `copy_file_range`.
pub fn copy_file_range(from: i32, from_at: usize, to: i32, to_at: usize, count: usize, flags: u32) -> Result<usize> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let (src, dst) = (process().fds.readable(from)?, process().fds.writable(to)?);
    let (src, dst) = (open_file(&*src, Errno::EINVAL)?, open_file(&*dst, Errno::EINVAL)?);
    let position = |at: usize| if at == 0 { Ok(None) } else { offset(user::read::<i64>(at)?).map(Some) };
    let (mut src_pos, mut dst_pos) = (position(from_at)?, position(to_at)?);
    let n = raise_on(transfer::copy_range(src, place(&mut src_pos), dst, place(&mut dst_pos), count))?;
    for (at, pos) in [(from_at, src_pos), (to_at, dst_pos)] {
        if let Some(pos) = pos {
            user::write(at, &pos)?;
        }
    }
    Ok(n)
}

fn place(p: &mut Option<u64>) -> Place<'_> {
    p.as_mut().map_or(Place::Current, Place::Offset)
}
