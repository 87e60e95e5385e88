//! splice, tee, vmsplice.

use super::support::{offset, only, raise_on};
use libos_base::abi::{Fd, In, InOut, IoVec, OpenFlags, Out, SpliceFlags, mode::*};
use libos_base::file::FileLike;
use libos_base::io::{RW_MAX, Sink, Source};
use libos_base::{Errno, Result, user};
use libos_fs::files;
use libos_fs::pipe::PipeEnd;
use libos_fs::splice;
use libos_fs::transfer::Position;

fn is_nonblock(f: &dyn FileLike) -> bool {
    f.flags().contains(OpenFlags::NONBLOCK)
}

/// Rejects files without bytes to splice: directories, and objects that are not streams.
fn check_source(f: &dyn FileLike) -> Result<()> {
    match f.stat()?.mode & S_IFMT {
        S_IFREG | S_IFCHR | S_IFBLK | S_IFSOCK | S_IFIFO => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// The program's offset, checked: a file without positions cannot have one.
fn position(f: &dyn FileLike, at: Option<i64>) -> Result<Option<u64>> {
    if at.is_some() && f.stat()?.mode & S_IFMT == S_IFSOCK {
        return Err(Errno::EINVAL);
    }
    at.map(offset).transpose()
}

/// `splice`.
pub fn splice(
    from: Fd,
    from_at: InOut<i64>,
    to: Fd,
    to_at: InOut<i64>,
    len: usize,
    flags: SpliceFlags,
) -> Result<usize> {
    if len == 0 {
        return Ok(0);
    }
    only(flags, SpliceFlags::all())?;
    // In Linux's order: which files they are, the offsets, how they are open.
    let (src, dst) = (files().fds.get(from)?, files().fds.get(to)?);
    let pipes = (src.downcast::<PipeEnd>(), dst.downcast::<PipeEnd>());
    if pipes.0.is_some() && !from_at.is_null() || pipes.1.is_some() && !to_at.is_null() {
        return Err(Errno::ESPIPE);
    }
    let (out_pos, in_pos) = (user::read_opt(to_at)?, user::read_opt(from_at)?);
    if !src.flags().readable() || !dst.flags().writable() {
        return Err(Errno::EBADF);
    }
    let len = len.min(RW_MAX);
    let mut nonblock = flags.contains(SpliceFlags::NONBLOCK);
    match pipes {
        (Some(a), Some(b)) => {
            nonblock |= is_nonblock(a) || is_nonblock(b);
            raise_on(splice::pipe_to_pipe(a, b, len, nonblock))
        }
        (Some(pipe), None) => {
            let mut pos = position(&*dst, out_pos)?;
            if dst.flags().contains(OpenFlags::APPEND) || !dst.takes_splice() {
                return Err(Errno::EINVAL);
            }
            check_source(&*dst)?;
            nonblock |= is_nonblock(pipe);
            let n = raise_on(splice::from_pipe(pipe, &*dst, Position::of(&mut pos), len, nonblock))?;
            pos.map_or(Ok(()), |pos| user::write(to_at.cast(), &pos))?;
            Ok(n)
        }
        (None, Some(pipe)) => {
            let mut pos = position(&*src, in_pos)?;
            if !src.gives_splice() {
                return Err(Errno::EINVAL);
            }
            check_source(&*src)?;
            nonblock |= is_nonblock(pipe);
            let n = raise_on(splice::to_pipe(&*src, Position::of(&mut pos), pipe, len, nonblock))?;
            pos.map_or(Ok(()), |pos| user::write(from_at.cast(), &pos))?;
            Ok(n)
        }
        (None, None) => Err(Errno::EINVAL),
    }
}

pub fn tee(from: Fd, to: Fd, len: usize, flags: SpliceFlags) -> Result<usize> {
    only(flags, SpliceFlags::all())?;
    if len == 0 {
        return Ok(0);
    }
    let (src, dst) = (files().fds.readable(from)?, files().fds.writable(to)?);
    let (Some(a), Some(b)) = (src.downcast::<PipeEnd>(), dst.downcast::<PipeEnd>()) else { return Err(Errno::EINVAL) };
    if a.is_same(b) {
        return Err(Errno::EINVAL);
    }
    raise_on(a.tee(b, len.min(RW_MAX), flags.contains(SpliceFlags::NONBLOCK) || is_nonblock(a) || is_nonblock(b)))
}

/// `vmsplice`: the program's pages are copied, which only their owner could notice, by writing to them in the meantime.
pub fn vmsplice(fd: Fd, iov: In<IoVec>, n: usize, flags: SpliceFlags) -> Result<usize> {
    only(flags, SpliceFlags::all())?;
    let file = files().fds.get(fd)?;
    let pipe = file.downcast::<PipeEnd>().ok_or(Errno::EBADF)?;
    if file.flags().writable() {
        let mut src = Source::user_vecs(iov, n)?;
        if flags.contains(SpliceFlags::NONBLOCK) || src.left() == 0 {
            return if src.left() == 0 { Ok(0) } else { raise_on(pipe.write_now(&mut src)) };
        }
        raise_on(pipe.write(&mut src))
    } else {
        let mut dst = Sink::user_vecs(Out::new(iov.address()), n)?;
        if flags.contains(SpliceFlags::NONBLOCK) { pipe.read_now(&mut dst) } else { pipe.read(&mut dst) }
    }
}
