//! Open descriptions of objects that have a place in a file system: files, directories, O_PATH handles.

use crate::cache::ErrorSeq;
use crate::console::ConsoleFile;
use crate::dentry::Path;
use crate::inode::{At, Cached, Extent, Inode};
use crate::notify;
use crate::permission;
use crate::util::try_arc;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::AtomicU32;
use libos_base::abi::{InotifyMask, OpenFlags, Stat, Whence, mode::*};
use libos_base::file::{Description, FileLike};
use libos_base::io::{Sink, Source};
use libos_base::limits;
use libos_base::page::Page;
use libos_base::rmap::Mappings;
use libos_base::sync::{Mutex, Provider, class};
use libos_base::{Errno, Result};

/// An open file or directory.
pub struct OpenFile {
    pub path: Path,
    description: Description,
    /// For directories: the offset of `getdents64`. Held while a read or write moves it.
    pos: Mutex<u64>,
    /// Errors of writing that were told to this description.
    errors_seen: AtomicU32,
    /// The same for those of the whole file system.
    fs_errors_seen: AtomicU32,
}

/// O_DIRECT positions, lengths and addresses are multiples of this.
const SECTOR: u64 = 512;

impl OpenFile {
    /// Opens; all checks have been made.
    pub fn new(path: Path, flags: OpenFlags) -> Result<Arc<OpenFile>> {
        let description = Description::new(flags);
        let (mut file, mut fs) = (0, 0);
        // Memory has no errors.
        if !path.dentry.in_memory() {
            file = path.inode().cache().map_or(0, |c| c.errors().sample());
            fs = path.mount.fs.errors().map_or(0, ErrorSeq::sample);
        }
        let (errors_seen, fs_errors_seen) = (AtomicU32::new(file), AtomicU32::new(fs));
        try_arc(OpenFile { path, description, pos: Mutex::new(class::FILE_POSITION, 0), errors_seen, fs_errors_seen })
    }
    /// The position, for calls that move it as `read` does (`sendfile`, `getdents64`).
    pub fn position(&self) -> &Mutex<u64> {
        &self.pos
    }
    /// Content in memory.
    pub fn extent(&self, pos: u64, max: usize) -> Option<Extent> {
        self.path.inode().extent(pos, max)
    }
    fn check_dir(&self) -> Result<()> {
        if self.path.dentry.is_dir() { Err(Errno::EISDIR) } else { Ok(()) }
    }
    /// The file's pages, if transfers must bypass them (O_DIRECT).
    fn direct(&self) -> Option<&dyn Cached> {
        if self.flags().contains(OpenFlags::DIRECT) { self.path.inode().cache() } else { None }
    }
    fn read_from(&self, pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        if self.flags().contains(OpenFlags::DIRECT) {
            return self.read_direct(pos, dst);
        }
        let n = self.path.inode().read_at(pos, dst)?;
        if n > 0 {
            notify::at(&self.path.dentry, InotifyMask::ACCESS);
        }
        Ok(n)
    }
    #[cold]
    fn read_direct(&self, pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        let inode = self.path.inode();
        let Some(pages) = self.direct().filter(|_| pos < inode.size()) else {
            let n = inode.read_at(pos, dst)?;
            if n > 0 {
                notify::at(&self.path.dentry, InotifyMask::ACCESS);
            }
            return Ok(n);
        };
        aligned(pos, dst.alignment())?;
        // Pages of this range are in memory only while they are copied.
        let range = pos..pos.saturating_add(dst.left() as u64);
        pages.flush(range.clone())?;
        pages.invalidate(range.clone());
        let n = inode.read_at(pos, dst);
        pages.invalidate(range);
        n
    }
    /// Returns how much was written, and the position after it.
    fn write_to(&self, at: At, src: &mut Source<'_>) -> Result<(usize, u64)> {
        let inode = self.path.inode();
        let special = self.flags().intersects(OpenFlags::DIRECT | OpenFlags::DSYNC);
        if special && self.direct().is_some() {
            aligned(if let At::Pos(p) = at { p } else { inode.size() }, src.alignment())?;
        }
        if src.left() > 0 {
            permission::modified(inode)?;
        }
        let (n, after) = inode.write_at(at, src, limits::FSIZE.soft())?;
        if n > 0 {
            notify::at(&self.path.dentry, InotifyMask::MODIFY);
        }
        if special {
            self.written(n, after)?;
        }
        Ok((n, after))
    }
    /// What O_DIRECT, O_DSYNC and O_SYNC ask for after a write.
    #[cold]
    fn written(&self, n: usize, after: u64) -> Result<()> {
        if let Some(pages) = self.direct() {
            let range = after - n as u64..after;
            let stored = pages.flush(range.clone());
            pages.invalidate(range);
            // Told now, so not again by `fsync`.
            let checked = self.check_errors();
            stored.and(checked)?;
        }
        if self.flags().contains(OpenFlags::DSYNC) {
            self.sync(!self.flags().contains(OpenFlags::SYNC))?;
        }
        Ok(())
    }
    /// Appends, whatever the flags and the position (RWF_APPEND); with `moves`, the position ends up after the data.
    pub fn append(&self, src: &mut Source<'_>, moves: bool) -> Result<usize> {
        let mut pos = if moves { Some(self.pos.lock()) } else { None };
        let (n, after) = self.write_to(At::End, src)?;
        if let Some(pos) = &mut pos {
            **pos = after;
        }
        Ok(n)
    }
    /// A write error that has not been reported to this description yet.
    pub fn check_errors(&self) -> Result<()> {
        self.path.inode().cache().map_or(Ok(()), |c| c.errors().check(&self.errors_seen))
    }
    /// `syncfs`: makes the whole file system durable, and reports an earlier error if there is one.
    pub fn sync_fs(&self) -> Result<()> {
        // This includes other file systems' pages, which would have to go soon anyway. Errors are counted where they
        // belong.
        let _ = crate::sync::write_back();
        let fs = &self.path.mount.fs;
        let done = fs.sync();
        let checked = fs.errors().map_or(Ok(()), |e| e.check(&self.fs_errors_seen));
        done.and(checked)
    }
}

/// EINVAL unless an O_DIRECT transfer's position, length and memory are multiples of a sector.
fn aligned(pos: u64, memory: usize) -> Result<()> {
    if (pos | memory as u64).is_multiple_of(SECTOR) { Ok(()) } else { Err(Errno::EINVAL) }
}

/// `truncate` and `ftruncate` of what `path` names.
pub fn resize(path: &Path, len: u64) -> Result<()> {
    match path.inode().kind() {
        S_IFREG => {}
        S_IFDIR => return Err(Errno::EISDIR),
        _ => return Err(Errno::EINVAL),
    }
    if len > path.inode().size() && len > limits::FSIZE.soft() {
        return Err(Errno::EFBIG);
    }
    set_len(path.inode(), len)?;
    notify::at(&path.dentry, InotifyMask::MODIFY);
    Ok(())
}

/// Tells memory management that a mapped file got shorter: its mappings, and the new length.
pub type OnShrink = fn(&Mappings, u64);

/// Called without any lock of this crate held; filled by the first mapping of a file.
pub static ON_SHRINK: Provider<OnShrink> = Provider::new();

/// Changes the length of a regular file.
pub(crate) fn set_len(inode: &Arc<dyn Inode>, len: u64) -> Result<()> {
    permission::modified(inode)?;
    let shrinks = len < inode.size();
    inode.resize(len)?;
    if shrinks
        && let Some(mappings) = inode.mappings().filter(|m| !m.is_empty())
        && let Some(f) = ON_SHRINK.get()
    {
        f(mappings, len);
    }
    Ok(())
}

impl FileLike for OpenFile {
    fn description(&self) -> &Description {
        &self.description
    }
    fn special_flags(&self) -> OpenFlags {
        if self.path.inode().cache().is_none() { OpenFlags::DIRECT } else { OpenFlags::empty() }
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        self.check_dir()?;
        let mut pos = self.pos.lock();
        let n = self.read_from(*pos, dst)?;
        *pos += n as u64;
        Ok(n)
    }
    fn write(&self, src: &mut Source<'_>) -> Result<usize> {
        let mut pos = self.pos.lock();
        let at = if self.flags().contains(OpenFlags::APPEND) { At::End } else { At::Pos(*pos) };
        let (n, after) = self.write_to(at, src)?;
        *pos = after;
        Ok(n)
    }
    fn read_at(&self, pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        self.check_dir()?;
        self.read_from(pos, dst)
    }
    fn write_at(&self, pos: u64, src: &mut Source<'_>) -> Result<usize> {
        // Linux appends here too when O_APPEND is set (pwrite(2), BUGS).
        let at = if self.flags().contains(OpenFlags::APPEND) { At::End } else { At::Pos(pos) };
        Ok(self.write_to(at, src)?.0)
    }
    fn seek(&self, offset: i64, whence: Whence) -> Result<u64> {
        let inode = self.path.inode();
        let dir = inode.is_dir();
        let mut pos = self.pos.lock();
        let from = match whence {
            Whence::SET => 0,
            Whence::CUR => *pos as i64,
            // In-memory directories have no end (libfs.c); others are as long as they say (generic_file_llseek()).
            _ if dir && inode.in_memory() => return Err(Errno::EINVAL),
            Whence::END if dir => inode.stat()?.size,
            Whence::END => inode.size() as i64,
            Whence::DATA | Whence::HOLE => {
                let data = whence == Whence::DATA;
                let size = if dir { inode.stat()?.size as u64 } else { inode.size() };
                let at = u64::try_from(offset).ok().filter(|&o| o < size).ok_or(Errno::ENXIO)?;
                let found = match (dir, data) {
                    (false, _) => inode.seek_data(at, data),
                    (true, true) => at,
                    (true, false) => size,
                };
                if data && found >= size {
                    return Err(Errno::ENXIO);
                }
                *pos = found;
                return Ok(found);
            }
            _ => return Err(Errno::EINVAL),
        };
        let to = from.checked_add(offset).and_then(|to| u64::try_from(to).ok());
        *pos = to.ok_or(Errno::EINVAL)?;
        Ok(*pos)
    }
    fn has_readiness(&self) -> bool {
        false
    }
    fn stat(&self) -> Result<Stat> {
        self.path.inode().stat()
    }
    fn unread(&self) -> Option<usize> {
        let regular = self.path.inode().kind() == S_IFREG;
        regular.then(|| self.path.inode().size().saturating_sub(*self.pos.lock()) as usize)
    }
    fn map_page(&self, index: u64, for_write: bool) -> Result<Option<Arc<Page>>> {
        self.path.inode().page(index, for_write)
    }
    fn still_page(&self, index: u64, page: &Arc<Page>, write: bool) -> bool {
        self.path.inode().still(index, page, write)
    }
    fn mappings(&self) -> Option<&Mappings> {
        self.path.inode().mappings()
    }
    fn flush(&self) -> Result<()> {
        if self.flags().writable() { self.path.inode().flush() } else { Ok(()) }
    }
    fn sync(&self, data_only: bool) -> Result<()> {
        let done = self.path.inode().sync(data_only);
        // Also when that failed: its error is told with this.
        let checked = self.check_errors();
        done.and(checked)
    }
    fn place(&self) -> Option<&dyn Any> {
        Some(&self.path)
    }
    fn describe(&self) -> String {
        describe(&self.path)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let flags = self.flags();
        if !flags.contains(OpenFlags::PATH) {
            self.path.inode().closed(flags);
            notify::at(
                &self.path.dentry,
                if flags.writable() { InotifyMask::CLOSE_WRITE } else { InotifyMask::CLOSE_NOWRITE },
            );
        }
        notify::gone(&self.path.dentry);
    }
}

/// Where the file behind a description lies; `None` for pipes, sockets and the like.
pub fn path_of(f: &dyn FileLike) -> Option<&Path> {
    match f.downcast::<ConsoleFile>() {
        // Handled here rather than by the file itself: every program has such descriptors, and few use paths.
        Some(c) => c.place(),
        None => f.place()?.downcast_ref(),
    }
}

/// The path, followed by ` (deleted)` if the name is gone, as `/proc/self/fd` shows it.
pub fn describe(path: &Path) -> String {
    let mut t = path.text(None).unwrap_or_default();
    if path.dentry.removed() {
        t.extend_from_slice(b" (deleted)");
    }
    crate::util::Text(t).string()
}
