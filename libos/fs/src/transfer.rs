//! Moving bytes between two descriptions without involving the program: sendfile, copy_file_range.

use crate::inode::Extent;
use crate::openfile::OpenFile;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::abi::OpenFlags;
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::layout::PAGE_SIZE;
use libos_base::page::Page;
use libos_base::{Errno, Result};

/// Pages sent at once.
const BATCH: usize = 16;

/// Where bytes come from or go to.
pub enum Position<'a> {
    /// The position of the description, which moves.
    Current,
    /// This offset, which moves instead of the position.
    Offset(&'a mut u64),
}

impl<'a> Position<'a> {
    /// At the caller's offset, if it gave one.
    pub fn of(offset: &'a mut Option<u64>) -> Self {
        offset.as_mut().map_or(Self::Current, Self::Offset)
    }
}

/// `sendfile` and the file half of `splice`: from a file with positions to anything.
pub fn send(out: &dyn FileLike, from: &dyn FileLike, place: Position<'_>, count: usize) -> Result<usize> {
    let count = count.min(libos_base::io::RW_MAX);
    match (from.downcast::<OpenFile>(), place) {
        (Some(f), Position::Current) => {
            // Not held meanwhile: `out` has a position, too, and may be the same description, or be sent to this one.
            let mut pos = *f.position().lock();
            let n = send_file(out, f, &mut pos, count)?;
            *f.position().lock() = pos;
            Ok(n)
        }
        (Some(f), Position::Offset(pos)) => send_file(out, f, pos, count),
        // Something else with content (a snapshot of /proc, /dev/zero), or a pipe: through a buffer.
        (None, Position::Current) => through_buffer(out, count, |dst, _| from.read(dst)),
        (None, Position::Offset(pos)) => {
            let start = *pos;
            let n = through_buffer(out, count, |dst, done| from.read_at(start + done as u64, dst))?;
            *pos += if crate::device::moves(from) { n as u64 } else { 0 };
            Ok(n)
        }
    }
}

fn send_file(out: &dyn FileLike, f: &OpenFile, pos: &mut u64, count: usize) -> Result<usize> {
    let mut done = 0;
    while done < count {
        let want = count - done;
        let (sent, full) = match f.extent(*pos, want) {
            Some(Extent::Static(b)) => (out.write(&mut Source::kernel(b)), b.len()),
            Some(Extent::Page(first, off, len)) => {
                let mut pages: Vec<Arc<Page>> = Vec::new();
                pages.try_reserve_exact(BATCH)?;
                pages.push(first);
                let mut len = len;
                while pages.len() < BATCH && len < want && (off + len) % PAGE_SIZE == 0 {
                    let Some(Extent::Page(p, 0, n)) = f.extent(*pos + len as u64, want - len) else { break };
                    pages.push(p);
                    len += n;
                }
                (out.write(&mut Source::pages(&pages, off, len)), len)
            }
            // A hole, a file system whose content is not in memory, or the end.
            None => {
                let mut buf = [0; 1024];
                let room = want.min(buf.len());
                let n = match f.read_at(*pos, &mut Sink::kernel(&mut buf[..room])) {
                    Ok(0) => break,
                    Ok(n) => n,
                    Err(e) if done == 0 => return Err(e),
                    Err(_) => break,
                };
                (out.write(&mut Source::kernel(&buf[..n])), n)
            }
        };
        match sent {
            Ok(n) => {
                *pos += n as u64;
                done += n;
                if n < full {
                    break;
                }
            }
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
        }
    }
    if done > 0 {
        crate::notify::at(&f.path.dentry, libos_base::abi::InotifyMask::ACCESS);
    }
    Ok(done)
}

/// Copies through kernel memory. Bytes that were read and cannot be written are lost, so the caller makes sure that
/// `out` takes them (or that `from` is read at positions).
fn through_buffer(
    out: &dyn FileLike,
    count: usize,
    mut read: impl FnMut(&mut Sink<'_>, usize) -> Result<usize>,
) -> Result<usize> {
    let mut buf = [0; 1024];
    let mut done = 0;
    while done < count {
        let room = (count - done).min(buf.len());
        let n = match read(&mut Sink::kernel(&mut buf[..room]), done) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
        };
        let mut written = 0;
        while written < n {
            match out.write(&mut Source::kernel(&buf[written..n])) {
                Ok(k) if k > 0 => written += k,
                Err(e) if done + written == 0 => return Err(e),
                _ => return Ok(done + written),
            }
        }
        done += n;
        if n < room {
            break;
        }
    }
    Ok(done)
}

/// `copy_file_range` between two regular files.
pub fn copy_range(
    from: &OpenFile,
    from_at: Position<'_>,
    to: &OpenFile,
    to_at: Position<'_>,
    count: usize,
) -> Result<usize> {
    use libos_base::abi::mode::{S_IFDIR, S_IFREG};
    for f in [from, to] {
        match f.path.inode().kind() {
            S_IFREG => {}
            S_IFDIR => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
    }
    if to.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EBADF);
    }
    // Linux does this since 5.19; callers fall back to reading and writing.
    if from.path.mount.fs.dev() != to.path.mount.fs.dev() {
        return Err(Errno::EXDEV);
    }
    let same = Arc::ptr_eq(from.path.inode(), to.path.inode());
    let start = |f: &OpenFile, p: &Position<'_>| match p {
        Position::Current => *f.position().lock(),
        Position::Offset(o) => **o,
    };
    let (src, dst) = (start(from, &from_at), start(to, &to_at));
    let count = count.min(libos_base::io::RW_MAX).min(from.path.inode().size().saturating_sub(src) as usize);
    if same && src < dst.saturating_add(count as u64) && dst < src.saturating_add(count as u64) {
        return Err(Errno::EINVAL);
    }
    let mut buf = Vec::new();
    buf.try_reserve_exact(PAGE_SIZE)?;
    buf.resize(PAGE_SIZE, 0);
    let mut done = 0;
    while done < count {
        let room = (count - done).min(PAGE_SIZE);
        let step = from
            .read_at(src + done as u64, &mut Sink::kernel(&mut buf[..room]))
            .and_then(|n| to.write_at(dst + done as u64, &mut Source::kernel(&buf[..n])));
        match step {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
        }
    }
    for (f, place, at) in [(from, from_at, src), (to, to_at, dst)] {
        let end = at + done as u64;
        match place {
            Position::Current => *f.position().lock() = end,
            Position::Offset(o) => *o = end,
        }
    }
    Ok(done)
}
