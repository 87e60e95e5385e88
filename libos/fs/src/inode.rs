//! What a file system implements.

use crate::cache::ErrorSeq;
use crate::dentry::Path;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::ops::Range;
pub use libos_base::abi::StatFs;
use libos_base::abi::{FallocateMode, OpenFlags, Stat, Timespec};
use libos_base::file::FileLike;
pub use libos_base::file::SetAttr;
use libos_base::io::{Sink, Source};
use libos_base::page::Page;
use libos_base::rmap::Mappings;
use libos_base::{Errno, Result};

/// Longest name of one directory entry.
pub const NAME_MAX: usize = 255;

/// A mounted file system.
pub trait FileSystem: Send + Sync {
    /// The type shown in `/proc/mounts`.
    fn name(&self) -> &'static str;
    /// `st_dev`.
    fn dev(&self) -> u64;
    fn statfs(&self) -> StatFs;
    /// Makes everything durable.
    fn sync(&self) -> Result<()> {
        Ok(())
    }
    /// Errors of writing back any of its files, which `syncfs` reports once to every open description.
    fn errors(&self) -> Option<&ErrorSeq> {
        None
    }
    /// The last call before the machine stops or the file system is unmounted: makes everything durable and leaves the
    /// volume cleanly closed. Nothing is written afterwards.
    fn unmount(&self) -> Result<()> {
        self.sync()
    }
}

/// [`Inode::cache`]'s view of a file's pages in the cache: the part needed by calls that work on any file. A trait, so
/// that programs without such file systems do not link the cache.
pub trait Cached: Send + Sync {
    /// Hands dirty pages of these bytes to the storage and waits. They are not durable yet.
    fn flush(&self, bytes: Range<u64>) -> Result<()>;
    /// Drops clean pages within these bytes that nobody maps.
    fn invalidate(&self, bytes: Range<u64>);
    /// Reads pages in ahead of use.
    fn will_need(&self, bytes: Range<u64>);
    /// How the file will be read.
    fn expect(&self, pattern: Pattern);
    /// Whether all pages of these bytes (as far as the file reaches) are in memory.
    fn resident(&self, bytes: Range<u64>) -> bool;
    /// Whether `page` is still the file's page at `index`; with `write`, it becomes dirty. Takes only spin locks.
    fn still(&self, index: u64, page: &Arc<Page>, write: bool) -> bool;
    /// The mappings of the file.
    fn mappings(&self) -> &Mappings;
    /// Write errors, reported once to every open description.
    fn errors(&self) -> &ErrorSeq;
}

/// How a file will be read (`posix_fadvise`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    Normal,
    Random,
    Sequential,
}

/// What to create.
#[derive(Clone, Copy)]
pub struct New<'a> {
    /// S_IF* and permission bits, umask applied.
    pub mode: u32,
    /// For device nodes.
    pub rdev: u64,
    /// For symbolic links.
    pub target: &'a [u8],
}

/// Where a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// This position.
    Pos(u64),
    /// The end, found and extended as one step (O_APPEND).
    End,
}

/// Where a symbolic link leads.
pub enum Follow {
    /// A path to walk.
    Text(Vec<u8>),
    /// An object, reached without a walk (`/proc/self/fd/N`).
    Object(Path),
}

/// An object of a file system. Directory operations are called with the directory locked; the caller has already looked
/// up the names and applied POSIX's rules.
pub trait Inode: Any + Send + Sync {
    /// S_IF* bits.
    fn kind(&self) -> u32;
    fn stat(&self) -> Result<Stat>;
    /// Creation time, if known (`statx`).
    fn born(&self) -> Option<Timespec> {
        None
    }
    /// Its file system.
    fn fs(&self) -> Arc<dyn FileSystem>;
    /// `chmod`, `chown`, `utimensat`.
    fn set_attr(&self, attr: &SetAttr) -> Result<()>;

    /// Reads file content; 0 at the end.
    fn read_at(&self, _pos: u64, _dst: &mut Sink<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    /// Writes file content; returns the bytes written and the position after them. `limit`: RLIMIT_FSIZE.
    fn write_at(&self, _at: At, _src: &mut Source<'_>, _limit: u64) -> Result<(usize, u64)> {
        Err(Errno::EINVAL)
    }
    /// Length of the content.
    fn size(&self) -> u64 {
        0
    }
    /// `ftruncate`.
    fn resize(&self, _len: u64) -> Result<()> {
        Err(Errno::EINVAL)
    }
    /// `fallocate`.
    fn allocate(&self, _mode: FallocateMode, _pos: u64, _len: u64) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    /// Start of the next data (`data`) or hole at or after `pos`, which is below the size.
    fn seek_data(&self, pos: u64, data: bool) -> u64 {
        if data { pos } else { self.size() }
    }
    /// A run of content in memory, for sending without a copy: at most `max` bytes from `pos`. `None`: read it instead.
    fn extent(&self, _pos: u64, _max: usize) -> Option<Extent> {
        None
    }
    /// The page for a mapping; `None` past the end.
    fn page(&self, _index: u64, _for_write: bool) -> Result<Option<Arc<Page>>> {
        Err(Errno::ENODEV)
    }
    /// `fsync`: afterwards content (unless the caller's errors say otherwise, see [`Cached::errors`]) and attributes
    /// are durable; with `data_only` only what is needed to read the content back.
    fn sync(&self, _data_only: bool) -> Result<()> {
        Ok(())
    }
    /// The file's pages, if it keeps them in the page cache. `None`: memory is the storage (ramfs), or there are no
    /// pages.
    fn cache(&self) -> Option<&dyn Cached> {
        None
    }
    /// Whether `page` is still what [`page`](Inode::page) returns at `index`; with `write`, it becomes dirty. Called
    /// when it is about to be mapped: takes only spin locks.
    fn still(&self, index: u64, page: &Arc<Page>, write: bool) -> bool {
        self.cache().is_none_or(|c| c.still(index, page, write))
    }

    /// The mappings of the file. The same from the first mapping on.
    fn mappings(&self) -> Option<&Mappings> {
        self.cache().map(|c| c.mappings())
    }

    /// Where a symbolic link leads when walked.
    fn follow(&self) -> Result<Follow> {
        Err(Errno::EINVAL)
    }
    /// The text that `readlink` shows.
    fn readlink(&self) -> Result<Vec<u8>> {
        match self.follow()? {
            Follow::Text(t) => Ok(t),
            Follow::Object(_) => Err(Errno::EINVAL),
        }
    }

    /// Whether the dentry tree itself is the directory (ramfs): then `lookup` and `readdir` are never called.
    fn in_memory(&self) -> bool {
        false
    }
    /// Whether the results of `lookup` may be kept.
    fn cacheable(&self) -> bool {
        true
    }
    /// Whether names here can also change behind our back (folders of the host): each walk calls `lookup`, which
    /// returns the same object for as long as a name leads to the same file.
    fn volatile(&self) -> bool {
        false
    }
    /// The actual name of the object that `lookup` finds under `name`, if it differs: file systems that ignore case
    /// have one name for each object, under which it is kept.
    fn real_name(&self, _name: &[u8]) -> Option<Vec<u8>> {
        None
    }
    /// The object called `name`.
    fn lookup(&self, _name: &[u8]) -> Result<Arc<dyn Inode>> {
        Err(Errno::ENOENT)
    }
    /// Entries after offset `from` (0: the first); `emit` returns false when it is full.
    fn readdir(&self, _from: u64, _emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        Err(Errno::ENOTDIR)
    }
    /// Creates an object.
    fn create(&self, _name: &[u8], _new: New<'_>) -> Result<Arc<dyn Inode>> {
        Err(Errno::EPERM)
    }
    /// A regular file without a name (O_TMPFILE); `linkable`: `linkat` may give it one.
    fn tmpfile(&self, _mode: u32, _linkable: bool) -> Result<Arc<dyn Inode>> {
        Err(Errno::EOPNOTSUPP)
    }
    /// Adds another name for `inode`.
    fn link(&self, _name: &[u8], _inode: &Arc<dyn Inode>) -> Result<()> {
        Err(Errno::EPERM)
    }
    /// Removes a name; directories are known to be empty.
    fn unlink(&self, _name: &[u8], _inode: &Arc<dyn Inode>) -> Result<()> {
        Err(Errno::EPERM)
    }
    /// Moves `what` to `name` in `to`, where `replaced` (already checked) is removed, or with `exchange` moves here.
    fn rename(&self, _r: &Rename<'_>) -> Result<()> {
        Err(Errno::EPERM)
    }
    /// Opens an object of its own instead of an [`OpenFile`](crate::openfile::OpenFile): snapshots of `/proc`.
    fn open(&self, _path: &Path, _flags: OpenFlags) -> Result<Option<Arc<dyn FileLike>>> {
        Ok(None)
    }
    /// A writable descriptor is being closed; returns errors that a network file system reports at that point.
    fn flush(&self) -> Result<()> {
        Ok(())
    }
    /// An [`OpenFile`](crate::openfile::OpenFile) of this object that `open` allowed is gone.
    fn closed(&self, _flags: OpenFlags) {}
}

/// File content in memory.
pub enum Extent {
    /// In the image or the initrd.
    Static(&'static [u8]),
    /// One page: offset and length in it.
    Page(Arc<Page>, usize, usize),
}

/// One directory entry as `readdir` shows it.
pub struct DirEntry<'a> {
    pub name: &'a [u8],
    pub ino: u64,
    /// S_IF* bits.
    pub kind: u32,
    /// The offset at which to continue after this entry.
    pub next: u64,
}

/// A checked rename within one file system; called on the old directory.
pub struct Rename<'a> {
    pub old_name: &'a [u8],
    pub what: &'a Arc<dyn Inode>,
    pub to: &'a Arc<dyn Inode>,
    pub name: &'a [u8],
    pub replaced: Option<&'a Arc<dyn Inode>>,
    pub exchange: bool,
    /// Whether the two directories are the same.
    pub same_dir: bool,
}

impl dyn Inode {
    /// The concrete type, if it is `T`.
    pub fn downcast<T: Inode>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == libos_base::abi::mode::S_IFDIR
    }
}
