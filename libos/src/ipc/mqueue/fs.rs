//! The file system of queues: one directory, and a file for each queue, whose content says how it is doing.

use super::queue::Queue;
use super::settings::Attributes;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libos_base::abi::mode::{S_IFDIR, S_IFREG};
use libos_base::abi::{OpenFlags, Stat, Whence};
use libos_base::cred;
use libos_base::file::{Description, FileLike};
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee};
use libos_base::sync::{Mutex, SpinLock, class};
use libos_base::{Errno, Result};
use libos_fs::Path;
use libos_fs::inode::{FileSystem, Inode, NAME_MAX, New, SetAttr, StatFs};
use libos_fs::ramfs::anonymous_dev;
use libos_fs::time::{Times, now};
use libos_fs::util::{Text, try_arc};

/// `f_type` (linux/magic.h).
const MAGIC: i64 = 0x1980_0202;
/// Sizes that Linux shows: for each entry of the directory, and for each queue.
const ENTRY: i64 = 20;
const QUEUE: i64 = 80;

struct MqFs {
    dev: u64,
    next_ino: AtomicU64,
}

impl FileSystem for MqFs {
    fn name(&self) -> &'static str {
        "mqueue"
    }
    fn dev(&self) -> u64 {
        self.dev
    }
    fn statfs(&self) -> StatFs {
        StatFs { kind: MAGIC, bsize: 4096, frsize: 4096, namelen: NAME_MAX as i64, ..StatFs::default() }
    }
}

/// Owner and mode.
struct Owner {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Owner {
    fn new(mode: u32) -> Self {
        let (uid, gid) = cred::owner();
        Self { mode, uid, gid }
    }
    fn change(&mut self, a: &SetAttr) {
        self.mode = a.mode.map_or(self.mode, |mode| mode & 0o7777);
        self.uid = a.uid.unwrap_or(self.uid);
        self.gid = a.gid.unwrap_or(self.gid);
    }
    fn stat(&self, fs: &MqFs, ino: u64, kind: u32, times: Times) -> Stat {
        Stat {
            dev: fs.dev,
            ino,
            mode: kind | self.mode,
            uid: self.uid,
            gid: self.gid,
            blksize: 4096,
            atime: times.atime,
            mtime: times.mtime,
            ctime: times.ctime,
            ..Stat::default()
        }
    }
}

/// The one directory. Its names are the dentries below it.
pub struct Directory {
    fs: Arc<MqFs>,
    state: SpinLock<(Owner, Times, i64)>,
}

impl Directory {
    /// An empty one, in which everybody may have queues.
    pub fn root() -> Result<Arc<dyn Inode>> {
        let fs = try_arc(MqFs { dev: anonymous_dev(), next_ino: AtomicU64::new(2) })?;
        let state = (Owner { mode: 0o1777, uid: 0, gid: 0 }, Times::all(now()), 2);
        Ok(try_arc(Self { fs, state: SpinLock::new(class::RAMFS_META, state) })?)
    }
    /// The one that is mounted.
    pub fn of(path: &Path) -> Result<&Self> {
        path.inode().downcast().ok_or(Errno::EACCES)
    }
    /// A queue for a name of this directory.
    pub fn make(&self, mode: u32, wanted: Option<Attributes>) -> Result<Arc<dyn Inode>> {
        let queue = Queue::new(wanted.unwrap_or_default())?;
        let ino = self.fs.next_ino.fetch_add(1, Relaxed);
        let owner = SpinLock::new(class::RAMFS_META, (Owner::new(mode), 1));
        let made = try_arc(QueueInode { fs: self.fs.clone(), ino, owner, queue })?;
        self.changed(1);
        Ok(made)
    }
    fn changed(&self, by: i64) {
        let mut s = self.state.lock();
        s.1 = Times::all(now());
        s.2 += by;
    }
}

impl Inode for Directory {
    fn kind(&self) -> u32 {
        S_IFDIR
    }
    fn in_memory(&self) -> bool {
        true
    }
    fn fs(&self) -> Arc<dyn FileSystem> {
        self.fs.clone()
    }
    fn stat(&self) -> Result<Stat> {
        let s = self.state.lock();
        Ok(Stat { nlink: 2, size: s.2 * ENTRY, ..s.0.stat(&self.fs, 1, S_IFDIR, s.1) })
    }
    fn set_attr(&self, a: &SetAttr) -> Result<()> {
        let mut s = self.state.lock();
        s.0.change(a);
        s.1.set(a);
        Ok(())
    }
    fn create(&self, _name: &[u8], new: New<'_>) -> Result<Arc<dyn Inode>> {
        match new.mode & libos_base::abi::mode::S_IFMT {
            S_IFREG => self.make(new.mode & 0o7777, None),
            _ => Err(Errno::EPERM),
        }
    }
    fn unlink(&self, _name: &[u8], inode: &Arc<dyn Inode>) -> Result<()> {
        let gone = inode.downcast::<QueueInode>().ok_or(Errno::EPERM)?;
        gone.owner.lock().1 = 0;
        gone.queue.change_times(Times::changed);
        self.changed(-1);
        Ok(())
    }
}

/// A queue as a file.
struct QueueInode {
    fs: Arc<MqFs>,
    ino: u64,
    /// And the number of names.
    owner: SpinLock<(Owner, u64)>,
    queue: Queue,
}

impl Inode for QueueInode {
    fn kind(&self) -> u32 {
        S_IFREG
    }
    fn in_memory(&self) -> bool {
        true
    }
    fn fs(&self) -> Arc<dyn FileSystem> {
        self.fs.clone()
    }
    fn stat(&self) -> Result<Stat> {
        let times = self.queue.times();
        let o = self.owner.lock();
        Ok(Stat { nlink: o.1, size: QUEUE, ..o.0.stat(&self.fs, self.ino, S_IFREG, times) })
    }
    fn size(&self) -> u64 {
        QUEUE as u64
    }
    fn set_attr(&self, a: &SetAttr) -> Result<()> {
        self.owner.lock().0.change(a);
        self.queue.change_times(|t| t.set(a));
        Ok(())
    }
    /// There is no content to shorten (Linux's simple_setattr()).
    fn resize(&self, _len: u64) -> Result<()> {
        Ok(())
    }
    fn open(&self, path: &Path, flags: OpenFlags) -> Result<Option<Arc<dyn FileLike>>> {
        let (description, pos) = (Description::new(flags), Mutex::new(class::FILE_POSITION, 0));
        Ok(Some(try_arc(QueueFile { path: path.clone(), description, pos })?))
    }
}

/// An open queue.
pub struct QueueFile {
    path: Path,
    description: Description,
    pos: Mutex<u64>,
}

impl QueueFile {
    /// The queue.
    pub fn queue(&self) -> &Queue {
        match self.path.inode().downcast::<QueueInode>() {
            Some(inode) => &inode.queue,
            None => unreachable!("made by a queue's inode"),
        }
    }
}

impl FileLike for QueueFile {
    fn description(&self) -> &Description {
        &self.description
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        let mut pos = self.pos.lock();
        let n = self.read_at(*pos, dst)?;
        *pos += n as u64;
        Ok(n)
    }
    fn write(&self, _src: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    fn read_at(&self, pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        let text = self.queue().text().0;
        let from = usize::try_from(pos).unwrap_or(usize::MAX).min(text.len());
        let n = dst.put(&text[from..])?;
        if n > 0 {
            self.queue().touched();
        }
        Ok(n)
    }
    fn write_at(&self, _pos: u64, _src: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    fn seek(&self, offset: i64, whence: Whence) -> Result<u64> {
        let mut pos = self.pos.lock();
        let from = match whence {
            Whence::SET => 0,
            Whence::CUR => *pos as i64,
            Whence::END => QUEUE,
            // Neither holes nor data are known.
            _ => return Err(Errno::EINVAL),
        };
        *pos = from.checked_add(offset).and_then(|p| u64::try_from(p).ok()).ok_or(Errno::EINVAL)?;
        Ok(*pos)
    }
    fn events(&self) -> Events {
        self.queue().events()
    }
    fn pollee(&self) -> Option<&Pollee> {
        Some(&self.queue().pollee)
    }
    fn flush(&self) -> Result<()> {
        self.queue().closed();
        Ok(())
    }
    fn gives_splice(&self) -> bool {
        false
    }
    fn takes_splice(&self) -> bool {
        false
    }
    fn stat(&self) -> Result<Stat> {
        self.path.inode().stat()
    }
    fn place(&self) -> Option<&dyn Any> {
        Some(&self.path)
    }
    /// As seen from the root of queues, as on Linux.
    fn describe(&self) -> String {
        Text::new().s("/").s(&*self.path.dentry.name()).string()
    }
}
