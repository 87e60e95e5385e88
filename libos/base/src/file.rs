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
    /// Both times become now, which anyone with write permission may do.
    pub touch: bool,
}

impl SetAttr {
    /// Changes owner and group; -1 leaves one alone.
    pub fn owner(uid: u32, gid: u32) -> Self {
        let changed = |id: u32| (id != u32::MAX).then_some(id);
        Self { uid: changed(uid), gid: changed(gid), ..Self::default() }
    }
    /// Applies the changes.
    pub fn apply(&self, to: &mut Stat) {
        to.mode = self.mode.map_or(to.mode, |mode| to.mode & mode::S_IFMT | mode);
        to.uid = self.uid.unwrap_or(to.uid);
        to.gid = self.gid.unwrap_or(to.gid);
        to.atime = self.atime.unwrap_or(to.atime);
        to.mtime = self.mtime.unwrap_or(to.mtime);
        to.ctime = Timespec::from_ns(time::realtime_ns());
    }
}

/// The numbers below belong to the standard streams.
static NEXT_INO: AtomicU64 = AtomicU64::new(4);

/// An inode number for an object in no file system: `pipe:[N]`, `socket:[N]`.
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
    /// The flags that F_SETFL treats in a special way: O_DIRECT where it is refused, because there are no direct
    /// transfers; O_ASYNC where it means something: signals when the readiness changes.
    fn special_flags(&self) -> OpenFlags {
        OpenFlags::DIRECT
    }

    /// Reads at the current position; 0 at the end. Blocks unless O_NONBLOCK. EINVAL if it can never be read.
    fn read(&self, _dst: &mut Sink<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    /// Writes at the current position. Blocks unless O_NONBLOCK. EINVAL if it can never be written.
    fn write(&self, _src: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    /// `read` as with O_NONBLOCK (RWF_NOWAIT). EOPNOTSUPP where Linux has no such reads.
    fn read_now(&self, _dst: &mut Sink<'_>) -> Result<usize> {
        Err(Errno::EOPNOTSUPP)
    }
    /// `write` as with O_NONBLOCK (RWF_NOWAIT).
    fn write_now(&self, _src: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Reads at `pos` without moving the position. ESPIPE if the file has no position.
    fn read_at(&self, _pos: u64, _dst: &mut Sink<'_>) -> Result<usize> {
        Err(Errno::ESPIPE)
    }
    /// Writes at `pos` without moving the position. ESPIPE if the file has no position.
    fn write_at(&self, _pos: u64, _src: &mut Source<'_>) -> Result<usize> {
        Err(Errno::ESPIPE)
    }
    /// `lseek`: the new position.
    fn seek(&self, _offset: i64, _whence: Whence) -> Result<u64> {
        Err(Errno::ESPIPE)
    }

    /// Whether its readiness can change; epoll refuses files without (epoll_ctl(2), EPERM).
    fn has_readiness(&self) -> bool {
        true
    }
    /// Current readiness. Regular files are always ready.
    fn events(&self) -> Events {
        Events::IN | Events::OUT | Events::RDNORM | Events::WRNORM
    }
    /// Where watchers of the readiness register.
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
    /// Removes a watcher.
    fn unwatch(&self, watcher: &Arc<dyn Watcher>) {
        if let Some(pollee) = self.pollee() {
            pollee.remove(watcher);
        }
    }
    /// Whether it is an epoll that has nothing ready. Takes no lock.
    fn idle_epoll(&self) -> bool {
        false
    }
    /// A watcher is edge-triggered and wants room for writing: from now on it is notified whenever the room grows, even
    /// if there was enough before, where Linux does so for such files.
    fn tell_edges(&self) {}

    /// `fstat`. Objects that are not files at all (eventfds, epolls, ...) all show the same inode.
    fn stat(&self) -> Result<Stat> {
        Ok(Stat { dev: 0xe, ino: 1, nlink: 1, mode: 0o600, blksize: 4096, ..Stat::default() })
    }
    /// `fchmod`, `fchown`, `futimens` on an object in no file system.
    fn set_attr(&self, _attr: &SetAttr) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    /// Whether `sendfile` and `splice` can read from it, as far as Linux lets them.
    fn gives_splice(&self) -> bool {
        true
    }
    /// Whether `sendfile` and `splice` can write to it.
    fn takes_splice(&self) -> bool {
        true
    }
    /// Bytes that can be read at once (FIONREAD), unless `ioctl` answers that itself.
    fn unread(&self) -> Option<usize> {
        None
    }
    /// `ioctl` requests that not all files have; `arg` is as the program passed it.
    fn ioctl(&self, _cmd: u32, _arg: IoctlArgument) -> Result<usize> {
        Err(Errno::ENOTTY)
    }
    /// The page at `index` (units of 4 KiB) for a mapping. `None` past the end (SIGBUS). ENODEV: cannot be mapped.
    fn map_page(&self, _index: u64, _for_write: bool) -> Result<Option<Arc<Page>>> {
        Err(Errno::ENODEV)
    }
    /// Whether `page`, obtained from [`map_page`](FileLike::map_page), is still the page that it would return; with
    /// `write`, the page becomes dirty. Called under the address space's lock just before the page is mapped: takes
    /// only spin locks.
    fn still_page(&self, _index: u64, _page: &Arc<Page>, _write: bool) -> bool {
        true
    }
    /// The mappings of the file, for files that can shrink or are written back. The same from the first mapping on.
    fn mappings(&self) -> Option<&Mappings> {
        None
    }
    /// A descriptor of it is closed. Returns an error that `close` should report.
    fn flush(&self) -> Result<()> {
        Ok(())
    }
    /// `fsync`, `fdatasync`. EINVAL for what cannot be synchronised (pipes, sockets, terminals).
    fn sync(&self, _data_only: bool) -> Result<()> {
        Err(Errno::EINVAL)
    }
    /// Its place in a file system, in that layer's terms (`libos_fs::Path`).
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
