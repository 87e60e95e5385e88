//! The one object behind every file descriptor: files, directories, pipes, sockets, eventfds, epolls, terminals.

mod description;

pub use description::{Description, ON_END};

use crate::abi::{IoctlArgument, OpenFlags, Stat, Timespec, Whence, mode};
use crate::io::{Sink, Source};
use crate::page::Page;
use crate::poll::{Events, Pollee, Watcher};
use crate::rmap::Mappings;
use crate::{Errno, Result, time};
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};

/// Changes to attributes; `None` leaves one alone. The change time is always set.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttr {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub atime: Option<Timespec>,
    pub mtime: Option<Timespec>,
    /// Both times are now: who may write may do that, too.
    pub touch: bool,
}

impl SetAttr {
    /// Owner and group; -1 leaves one alone.
    pub fn owner(uid: u32, gid: u32) -> Self {
        let changed = |id: u32| (id != u32::MAX).then_some(id);
        Self { uid: changed(uid), gid: changed(gid), ..Self::default() }
    }
    /// Makes the changes.
    pub fn apply(&self, to: &mut Stat) {
        to.mode = self.mode.map_or(to.mode, |mode| to.mode & mode::S_IFMT | mode);
        to.uid = self.uid.unwrap_or(to.uid);
        to.gid = self.gid.unwrap_or(to.gid);
        to.atime = self.atime.unwrap_or(to.atime);
        to.mtime = self.mtime.unwrap_or(to.mtime);
        to.ctime = Timespec::from_ns(time::realtime_ns());
    }
}

/// The standard streams have those below.
static NEXT_INO: AtomicU64 = AtomicU64::new(4);

/// A number for what lies in no file system: `pipe:[N]`, `socket:[N]`.
pub fn next_ino() -> u64 {
    NEXT_INO.fetch_add(1, Ordering::Relaxed)
}

/// An open file description (POSIX's term): what `dup` shares. Descriptors hold `Arc<dyn FileLike>`; the last drop
/// closes.
pub trait FileLike: Any + Send + Sync {
    /// The part that is the same for all.
    fn description(&self) -> &Description;
    /// O_* status flags, access mode included.
    fn flags(&self) -> OpenFlags {
        self.description().flags()
    }
    /// Those that F_SETFL refuses: O_DIRECT where there is no such transfer, and O_ASYNC where Linux sends signals, which are
    /// not offered. (For other files it means nothing.)
    fn refused_flags(&self) -> OpenFlags {
        OpenFlags::DIRECT
    }

    /// Reads at the current position; 0 at the end. Blocks unless O_NONBLOCK. EINVAL where nothing can ever be read.
    fn read(&self, _dst: &mut Sink<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    /// Writes at the current position. Blocks unless O_NONBLOCK. EINVAL where nothing can ever be written.
    fn write(&self, _src: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    /// `read` as with O_NONBLOCK (RWF_NOWAIT). EOPNOTSUPP where Linux knows no such reads.
    fn read_now(&self, _dst: &mut Sink<'_>) -> Result<usize> {
        Err(Errno::EOPNOTSUPP)
    }
    /// `write` as with O_NONBLOCK (RWF_NOWAIT).
    fn write_now(&self, _src: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Reads at `pos` without moving the position. ESPIPE where there is none.
    fn read_at(&self, _pos: u64, _dst: &mut Sink<'_>) -> Result<usize> {
        Err(Errno::ESPIPE)
    }
    /// Writes at `pos` without moving the position. ESPIPE where there is none.
    fn write_at(&self, _pos: u64, _src: &mut Source<'_>) -> Result<usize> {
        Err(Errno::ESPIPE)
    }
    /// `lseek`: the new position.
    fn seek(&self, _offset: i64, _whence: Whence) -> Result<u64> {
        Err(Errno::ESPIPE)
    }

    /// Whether it has a readiness that changes; what has none is refused by epoll (epoll_ctl(2), EPERM).
    fn has_readiness(&self) -> bool {
        true
    }
    /// Current readiness. Regular files are always ready.
    fn events(&self) -> Events {
        Events::IN | Events::OUT | Events::RDNORM | Events::WRNORM
    }
    /// Who is told when that changes.
    fn pollee(&self) -> Option<&Pollee> {
        None
    }
    /// Current readiness; with a watcher, registers it first.
    fn poll(&self, watcher: Option<&Arc<dyn Watcher>>) -> Events {
        if let (Some(watcher), Some(pollee)) = (watcher, self.pollee()) {
            pollee.add(watcher);
        }
        self.events()
    }
    /// Takes a watcher off again.
    fn unwatch(&self, watcher: &Arc<dyn Watcher>) {
        if let Some(pollee) = self.pollee() {
            pollee.remove(watcher);
        }
    }
    /// A watcher goes by edges and wants room for writing: from now on it is told of each time that there is more of it, also
    /// where there was enough before, if Linux does so with such files.
    fn tell_edges(&self) {}

    /// `fstat`. What is no file at all (eventfds, epolls, ...) shows the one inode of all such.
    fn stat(&self) -> Result<Stat> {
        Ok(Stat { dev: 0xe, ino: 1, nlink: 1, mode: 0o600, blksize: 4096, ..Stat::default() })
    }
    /// `fchmod`, `fchown`, `futimens` of what lies in no file system.
    fn set_attr(&self, _attr: &SetAttr) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    /// Whether `sendfile` and `splice` can read from it, as far as Linux lets them.
    fn gives_splice(&self) -> bool {
        true
    }
    /// Whether they can write to it.
    fn takes_splice(&self) -> bool {
        true
    }
    /// Bytes that can be read at once (FIONREAD), unless `ioctl` tells.
    fn unread(&self) -> Option<usize> {
        None
    }
    /// `ioctl`: what not all files have; `arg` is as the program passed it.
    fn ioctl(&self, _cmd: u32, _arg: IoctlArgument) -> Result<usize> {
        Err(Errno::ENOTTY)
    }
    /// The page at `index` (units of 4 KiB) for a mapping. `None` past the end (SIGBUS). ENODEV: cannot be mapped.
    fn map_page(&self, _index: u64, _for_write: bool) -> Result<Option<Arc<Page>>> {
        Err(Errno::ENODEV)
    }
    /// Whether `page`, which [`map_page`](FileLike::map_page) gave, is still what it would give; with `write`, it becomes
    /// dirty. Asked under the address space's lock just before the page is mapped: takes only spin locks.
    fn still_page(&self, _index: u64, _page: &Arc<Page>, _write: bool) -> bool {
        true
    }
    /// Who maps it, where that is to be known: what gets shorter, or is written back. The same from the first mapping on.
    fn mappings(&self) -> Option<&Mappings> {
        None
    }
    /// A descriptor of it is closed: an error that `close` is to tell.
    fn flush(&self) -> Result<()> {
        Ok(())
    }
    /// `fsync`, `fdatasync`. EINVAL for what cannot be synchronised (pipes, sockets, terminals).
    fn sync(&self, _data_only: bool) -> Result<()> {
        Err(Errno::EINVAL)
    }
    /// Where it lies in a file system, as that layer says it (`libos_fs::Path`).
    fn place(&self) -> Option<&dyn Any> {
        None
    }
    /// What `/proc/self/fd/N` and lsof show: a path, `socket:[N]`, `pipe:[N]`, `anon_inode:[eventpoll]`.
    fn describe(&self) -> String;
}

impl dyn FileLike {
    /// The concrete type, if it is `T`.
    pub fn downcast<T: FileLike>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}

/// The concrete type, keeping the reference.
pub fn downcast_arc<T: FileLike>(f: Arc<dyn FileLike>) -> Option<Arc<T>> {
    (f as Arc<dyn Any + Send + Sync>).downcast().ok()
}
