//! Reading, writing and positions.

use super::support::{offset, raise_on};
use alloc::sync::Arc;
use libos_base::abi::{
    Bits, FallocateMode, Fd, FileAdvice, In, InOut, IoVec, Out, Path, RwFlags, SyncRangeFlags, Whence, mode,
};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::layout::PAGE_SIZE;
use libos_base::{Errno, Result, user};
use libos_fs::files;
use libos_fs::openfile::{OpenFile, path_of, resize};
use libos_fs::pipe::PipeEnd;
use libos_fs::splice;
use libos_fs::transfer::{self, Position};

pub fn read(fd: Fd, buf: Out<u8>, count: usize) -> Result<usize> {
    files().fds.readable(fd)?.read(&mut Sink::user(buf, count)?)
}

pub fn readv(fd: Fd, iov: Out<IoVec>, n: usize) -> Result<usize> {
    read_vectors(fd, iov, n, None, RwFlags::empty())
}

pub fn pread64(fd: Fd, buf: Out<u8>, count: usize, at: i64) -> Result<usize> {
    let from = offset(at)?;
    let f = readable_at(fd, Some(from))?;
    let mut dst = Sink::user(buf, count)
        .and_then(|dst| check_span(from, count).map(|()| dst))
        .map_err(|e| first(&*f, e, reads_nowhere))?;
    f.read_at(from, &mut dst)
}
/// On a 64-bit machine the whole offset is in the first word.
pub fn preadv(fd: Fd, iov: Out<IoVec>, n: usize, at: i64, _high: usize) -> Result<usize> {
    read_vectors(fd, iov, n, Some(offset(at)?), RwFlags::empty())
}
/// Offset -1 means the file's position.
pub fn preadv2(fd: Fd, iov: Out<IoVec>, n: usize, at: i64, _high: usize, flags: RwFlags) -> Result<usize> {
    read_vectors(fd, iov, n, offset_or_none(at)?, flags)
}

fn read_vectors(fd: Fd, iov: Out<IoVec>, n: usize, at: Option<u64>, flags: RwFlags) -> Result<usize> {
    let f = readable_at(fd, at)?;
    let Some(mut dst) = checked(&*f, at, Sink::user_vecs(iov, n), Sink::left, flags, reads_nowhere)? else {
        return Ok(0);
    };
    read_into(&*f, at, &mut dst, flags)
}

/// Reads with flags that are known, at an offset or at the file's position.
pub(super) fn read_into(f: &dyn FileLike, at: Option<u64>, dst: &mut Sink<'_>, flags: RwFlags) -> Result<usize> {
    if flags.contains(RwFlags::NOWAIT) {
        match f.downcast::<OpenFile>() {
            Some(file) => {
                if file.path.inode().is_dir() {
                    return Err(Errno::EOPNOTSUPP);
                }
                let from = at.unwrap_or_else(|| *file.position().lock());
                let all = from..from.saturating_add(dst.left() as u64);
                if file.path.inode().cache().is_some_and(|c| !c.resident(all)) {
                    return Err(Errno::EAGAIN);
                }
            }
            None if at.is_none() => return f.read_now(dst),
            None => {}
        }
    }
    match at {
        Some(at) => f.read_at(at, dst),
        None => f.read(dst),
    }
}

/// An offset, where -1 means the file's own position.
fn offset_or_none(at: i64) -> Result<Option<u64>> {
    if at == -1 { Ok(None) } else { offset(at).map(Some) }
}
/// The end of a transfer must be an `off_t`, too.
#[inline]
fn check_span(at: u64, count: usize) -> Result<()> {
    let end = at.checked_add(count as u64).and_then(|end| i64::try_from(end).ok());
    end.map_or(Err(Errno::EINVAL), |_| Ok(()))
}

/// The file for a transfer, at an offset or at its position. A file without positions gives ESPIPE however it is open;
/// this and the order of all the checks here is Linux's (fs/read_write.c).
#[inline]
fn readable_at(fd: Fd, at: Option<u64>) -> Result<Arc<dyn FileLike>> {
    files().fds.readable(fd).or_else(|e| not_open(fd, e, at, reads_nowhere))
}
#[inline]
fn writable_at(fd: Fd, at: Option<u64>) -> Result<Arc<dyn FileLike>> {
    files().fds.writable(fd).or_else(|e| not_open(fd, e, at, writes_nowhere))
}
#[cold]
fn not_open(fd: Fd, e: Errno, at: Option<u64>, nowhere: fn(&dyn FileLike) -> bool) -> Result<Arc<dyn FileLike>> {
    Err(if at.is_some() { first(&*files().fds.get(fd)?, e, nowhere) } else { e })
}
fn reads_nowhere(f: &dyn FileLike) -> bool {
    f.seek(0, Whence::CUR) == Err(Errno::ESPIPE)
}
/// Tries a write of nothing: some files have positions for reading only.
fn writes_nowhere(f: &dyn FileLike) -> bool {
    f.write_at(0, &mut Source::kernel(&[])) == Err(Errno::ESPIPE)
}
/// The error of a transfer at an offset that fails for another reason: ESPIPE comes first.
#[cold]
fn first(f: &dyn FileLike, e: Errno, nowhere: fn(&dyn FileLike) -> bool) -> Errno {
    if nowhere(f) { Errno::ESPIPE } else { e }
}

/// Checks of a transfer with a list of pieces. `None`: they are empty together, and then nothing else is checked.
fn checked<T>(
    f: &dyn FileLike,
    at: Option<u64>,
    memory: Result<T>,
    left: fn(&T) -> usize,
    flags: RwFlags,
    nowhere: fn(&dyn FileLike) -> bool,
) -> Result<Option<T>> {
    let checked = memory.and_then(|m| match (left(&m), at) {
        (0, Some(_)) if nowhere(f) => Err(Errno::ESPIPE),
        (0, _) => Ok(None),
        (n, at) => {
            at.map_or(Ok(()), |at| check_span(at, n))?;
            // Polling for completion is a hint: nothing here completes later. Some flags mean nothing to a read.
            if !RwFlags::all().contains(flags) { Err(Errno::EOPNOTSUPP) } else { Ok(Some(m)) }
        }
    });
    checked.map_err(|e| if at.is_some() { first(f, e, nowhere) } else { e })
}

pub fn write(fd: Fd, buf: In<u8>, count: usize) -> Result<usize> {
    let f = files().fds.writable(fd)?;
    raise_on(f.write(&mut Source::user(buf, count)?))
}

pub fn writev(fd: Fd, iov: In<IoVec>, n: usize) -> Result<usize> {
    let f = files().fds.writable(fd)?;
    let src = checked(&*f, None, Source::user_vecs(iov, n), Source::left, RwFlags::empty(), writes_nowhere)?;
    src.map_or(Ok(0), |mut src| raise_on(f.write(&mut src)))
}

pub fn pwrite64(fd: Fd, buf: In<u8>, count: usize, at: i64) -> Result<usize> {
    let to = offset(at)?;
    let f = writable_at(fd, Some(to))?;
    let src = Source::user(buf, count).and_then(|src| check_span(to, count).map(|()| src));
    raise_on(f.write_at(to, &mut src.map_err(|e| first(&*f, e, writes_nowhere))?))
}

pub fn pwritev(fd: Fd, iov: In<IoVec>, n: usize, at: i64, _high: usize) -> Result<usize> {
    let to = offset(at)?;
    let f = writable_at(fd, Some(to))?;
    let src = checked(&*f, Some(to), Source::user_vecs(iov, n), Source::left, RwFlags::empty(), writes_nowhere)?;
    src.map_or(Ok(0), |mut src| raise_on(f.write_at(to, &mut src)))
}

pub fn pwritev2(fd: Fd, iov: In<IoVec>, n: usize, at: i64, _high: usize, flags: RwFlags) -> Result<usize> {
    let at = offset_or_none(at)?;
    let f = writable_at(fd, at)?;
    let Some(mut src) = checked(&*f, at, Source::user_vecs(iov, n), Source::left, flags, writes_nowhere)? else {
        return Ok(0);
    };
    write_from(&*f, at, &mut src, flags)
}

/// Writes with flags that are known, at an offset or at the file's position.
pub(super) fn write_from(f: &dyn FileLike, at: Option<u64>, src: &mut Source<'_>, flags: RwFlags) -> Result<usize> {
    let file = f.downcast::<OpenFile>();
    let done = raise_on(match (file, at) {
        // Refused for files, as by ext4, tmpfs and vfat: a page may have to be read or room to be made first.
        (Some(_), _) if flags.contains(RwFlags::NOWAIT) => return Err(Errno::EOPNOTSUPP),
        (None, None) if flags.contains(RwFlags::NOWAIT) => return raise_on(f.write_now(src)),
        (Some(file), _) if flags.contains(RwFlags::APPEND) => file.append(src, at.is_none()),
        // A file without positions appends anyway.
        (_, None) => f.write(src),
        (_, Some(at)) => f.write_at(at, src),
    })?;
    // The flag means nothing to pipes and sockets.
    if flags.intersects(RwFlags::DSYNC | RwFlags::SYNC) && done > 0 && file.is_some() {
        f.sync(!flags.contains(RwFlags::SYNC))?;
    }
    Ok(done)
}

pub fn lseek(fd: Fd, by: i64, whence: Whence) -> Result<usize> {
    let f = files().fds.get(fd)?;
    if whence.0 > Whence::HOLE.0 {
        return Err(Errno::EINVAL);
    }
    match f.seek(by, whence) {
        // Objects of no type (eventfd, epoll) have a position that never moves.
        Err(Errno::ESPIPE) if f.stat()?.mode & mode::S_IFMT == 0 => Ok(0),
        to => to.map(|to| to as usize),
    }
}

/// The file as one of a file system; error `other` for pipes, sockets and the like.
pub(super) fn open_file(f: &dyn FileLike, other: Errno) -> Result<&OpenFile> {
    f.downcast::<OpenFile>().ok_or(other)
}

pub fn ftruncate(fd: Fd, len: i64) -> Result<()> {
    let len = offset(len)?;
    files().fds.get(fd)?;
    let f = files().fds.writable(fd).map_err(|_| Errno::EINVAL)?;
    raise_on(resize(path_of(&*f).ok_or(Errno::EINVAL)?, len))
}

pub fn truncate(path: Path, len: i64) -> Result<()> {
    let len = offset(len)?;
    raise_on(files().truncate(&user::read_path(path)?, len))
}

pub fn fallocate(fd: Fd, how: FallocateMode, at: i64, len: i64) -> Result<()> {
    files().fds.get(fd)?;
    if at < 0 || len <= 0 {
        return Err(Errno::EINVAL);
    }
    let f = files().fds.writable(fd)?;
    let path = match f.stat()?.mode & mode::S_IFMT {
        mode::S_IFIFO => return Err(Errno::ESPIPE),
        mode::S_IFREG | mode::S_IFDIR => path_of(&*f).ok_or(Errno::ENODEV)?,
        _ => return Err(Errno::ENODEV),
    };
    let end = at.checked_add(len).ok_or(Errno::EFBIG)?;
    if !how.contains(FallocateMode::KEEP_SIZE) && end as u64 > libos_base::limits::FSIZE.soft() {
        return raise_on(Err(Errno::EFBIG));
    }
    libos_fs::permission::modified(path.inode())?;
    path.inode().allocate(how, at as u64, len as u64)
}

/// `fsync`. EINVAL for files that cannot be synchronised (pipes, sockets).
pub fn fsync(fd: Fd) -> Result<()> {
    files().fds.get(fd)?.sync(false)
}

pub fn fdatasync(fd: Fd) -> Result<()> {
    files().fds.get(fd)?.sync(true)
}
/// `sync`. Errors go to those who have the files open.
pub fn sync() -> Result<()> {
    let _ = libos_fs::sync_all();
    Ok(())
}

pub fn syncfs(fd: Fd) -> Result<()> {
    let f = files().fds.get(fd)?;
    if let Some(f) = f.downcast::<OpenFile>() {
        f.sync_fs()?;
    }
    Ok(())
}
/// `sync_file_range`. Writing and waiting for it are the same here, so any flag does both. As on Linux nothing is
/// durable afterwards: the device was only given the data.
pub fn sync_file_range(fd: Fd, at: i64, len: i64, flags: SyncRangeFlags) -> Result<()> {
    let f = files().fds.get(fd)?;
    let end = at
        .checked_add(len)
        .filter(|_| at >= 0 && len >= 0 && SyncRangeFlags::all().contains(flags))
        .ok_or(Errno::EINVAL)?;
    if !matches!(f.stat()?.mode & mode::S_IFMT, mode::S_IFREG | mode::S_IFDIR) {
        return Err(Errno::ESPIPE);
    }
    let Some(f) = f.downcast::<OpenFile>() else { return Ok(()) };
    if let Some(pages) = f.path.inode().cache().filter(|_| !flags.is_empty()) {
        // The description's own count of errors reports them.
        let _ = pages.flush(at as u64..if len == 0 { u64::MAX } else { end as u64 });
        if flags != SyncRangeFlags::WRITE {
            f.check_errors()?;
        }
    }
    Ok(())
}
/// `fadvise64`. Where files live in memory there is nothing to prefetch or drop.
pub fn fadvise64(fd: Fd, at: i64, len: i64, advice: FileAdvice) -> Result<()> {
    use libos_fs::inode::Pattern;
    let f = files().fds.get(fd)?;
    if f.stat()?.mode & mode::S_IFMT == mode::S_IFIFO {
        return Err(Errno::ESPIPE);
    }
    if !(FileAdvice::NORMAL.0..=FileAdvice::NOREUSE.0).contains(&advice.0) || len < 0 {
        return Err(Errno::EINVAL);
    }
    let Some(pages) = f.downcast::<OpenFile>().and_then(|f| f.path.inode().cache()) else { return Ok(()) };
    let start = at as u64;
    let end = if len == 0 { u64::MAX } else { start.saturating_add(len as u64) };
    match advice {
        FileAdvice::NORMAL => pages.expect(Pattern::Normal),
        FileAdvice::RANDOM => pages.expect(Pattern::Random),
        FileAdvice::SEQUENTIAL => pages.expect(Pattern::Sequential),
        FileAdvice::WILLNEED => pages.will_need(start..end),
        FileAdvice::DONTNEED => {
            // Errors stay for `fsync`. Pages that the range covers only in part stay (mm/fadvise.c).
            let _ = pages.flush(start..end);
            let page = PAGE_SIZE as u64;
            let whole = start.next_multiple_of(page)..if end < u64::MAX { end / page * page } else { end };
            if whole.start < whole.end {
                pages.invalidate(whole);
            }
        }
        _ => {}
    }
    Ok(())
}

pub fn readahead(fd: Fd, at: i64, len: usize) -> Result<()> {
    let f = files().fds.readable(fd)?;
    if f.stat()?.mode & mode::S_IFMT != mode::S_IFREG {
        return Err(Errno::EINVAL);
    }
    let at = offset(at)?;
    if let Some(pages) = f.downcast::<OpenFile>().and_then(|f| f.path.inode().cache()) {
        pages.will_need(at..at.saturating_add(len as u64));
    }
    Ok(())
}

/// `sendfile`, with the checks in Linux's order (do_sendfile()).
pub fn sendfile(out: Fd, from: Fd, at: InOut<i64>, count: usize) -> Result<usize> {
    use mode::{S_IFDIR, S_IFIFO, S_IFMT, S_IFSOCK};
    let pos = user::read_opt(at)?;
    let src = files().fds.readable(from)?;
    // Of what has a place that is known without asking for all attributes.
    let kind = match src.downcast::<OpenFile>() {
        Some(file) => file.path.dentry.kind,
        None => src.stat()?.mode & S_IFMT,
    };
    // Pipes and sockets have no positions, nor do objects of no type.
    let flows = matches!(kind, S_IFIFO | S_IFSOCK);
    if !at.is_null() && (flows || kind == 0) {
        return Err(Errno::ESPIPE);
    }
    let mut pos = pos.map(offset).transpose()?;
    let dst = files().fds.writable(out)?;
    // To a pipe it is a splice, which can read from sockets as well.
    let pipe = dst.downcast::<PipeEnd>();
    if pipe.is_none() && (flows || dst.flags().contains(libos_base::abi::OpenFlags::APPEND)) {
        return Err(Errno::EINVAL);
    }
    if count == 0 {
        return Ok(0);
    }
    if matches!(kind, S_IFIFO | S_IFDIR | 0) || !src.gives_splice() {
        return Err(Errno::EINVAL);
    }
    if pipe.is_none() && !dst.takes_splice() {
        // An empty source is noticed before a target that accepts nothing.
        let from = pos.map_or_else(|| src.seek(0, Whence::CUR), Ok)?;
        let more = src.read_at(from, &mut Sink::kernel(&mut [0]))? > 0;
        return if more { Err(Errno::EINVAL) } else { Ok(0) };
    }
    let from = Position::of(&mut pos);
    let n = match pipe {
        Some(pipe) if flows => splice::to_pipe(&*src, from, pipe, count, pipe.description().nonblock()),
        _ => transfer::send(&*dst, &*src, from, count),
    };
    let n = raise_on(n)?;
    pos.map_or(Ok(()), |pos| user::write(at.cast(), &pos))?;
    Ok(n)
}

pub fn copy_file_range(
    from: Fd,
    from_at: InOut<i64>,
    to: Fd,
    to_at: InOut<i64>,
    count: usize,
    flags: Bits,
) -> Result<usize> {
    if flags.0 != 0 {
        return Err(Errno::EINVAL);
    }
    // What the files are is checked before how they are open.
    let (src, dst) = (files().fds.get(from)?, files().fds.get(to)?);
    let (src, dst) = (open_file(&*src, Errno::EINVAL)?, open_file(&*dst, Errno::EINVAL)?);
    if src.path.inode().is_dir() || dst.path.inode().is_dir() {
        return Err(Errno::EISDIR);
    }
    if !src.flags().readable() || !dst.flags().writable() {
        return Err(Errno::EBADF);
    }
    let position = |at: InOut<i64>| {
        let Some(pos) = user::read_opt(at)? else { return Ok(None) };
        // An overflow has an error of its own (generic_copy_file_checks() of Linux).
        (pos as u64).checked_add(count as u64).ok_or(Errno::EOVERFLOW)?;
        offset(pos).map(Some)
    };
    let (mut src_pos, mut dst_pos) = (position(from_at)?, position(to_at)?);
    let n = raise_on(transfer::copy_range(src, Position::of(&mut src_pos), dst, Position::of(&mut dst_pos), count))?;
    for (at, pos) in [(from_at, src_pos), (to_at, dst_pos)] {
        if let Some(pos) = pos {
            user::write(at.cast(), &pos)?;
        }
    }
    Ok(n)
}
