//! An object of the host, a file or directory: what is known of it, and the fids that lead to it.
//!
//! A file whose last known name is gone (`lost`) is not named to the server any more: its fid may be a path that now
//! leads elsewhere. Open descriptors keep working; attributes are then the last known ones, except for those that an
//! open fid provides.

use crate::client::Fid;
use crate::fs::{P9Fs, kind_of};
use crate::kept::Kept;
use crate::listing::Listing;
use crate::tail::{MOMENT_NS, Tail};
use crate::wire::Qid;
use alloc::sync::{Arc, Weak};
use libos_base::abi::{OpenFlags, Stat, Timespec, mode::*};
use libos_base::sync::{Mutex, Once, SpinLock, class};
use libos_base::time::monotonic_ns;
use libos_base::{Errno, Result};
use libos_fs::cache::FileCache;
use libos_fs::inode::FileSystem;

/// O_RDONLY, O_WRONLY, O_RDWR: what an open fid can be used for.
pub const READ: usize = 0;
pub const WRITE: usize = 1;
pub const BOTH: usize = 2;

/// The state of the host's file when its pages were read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    version: u32,
    size: i64,
    mtime: Timespec,
    ctime: Timespec,
}

pub struct State {
    /// The name by which it was last found. Never opened.
    pub base: Arc<Fid>,
    /// By access mode: the fid shared by all descriptors of that mode, and the number of those.
    pub open: [Option<Arc<Fid>>; 3],
    pub users: [u32; 3],
    /// The same for descriptors that only append: data written through it goes to the end, wherever the host has that
    /// by then.
    pub append: Option<Arc<Fid>>,
    /// What the last of them left for the next one.
    pub kept: Kept,
    /// It was created together with an open fid, which the program's first `open` takes over, whatever the permissions.
    pub fresh: Option<usize>,
    /// See the module.
    pub lost: bool,
    /// The last known attributes.
    pub attr: Stat,
    /// `None`: we have written to it since, which changed it.
    pub seen: Option<Seen>,
    /// When `seen` was set.
    seen_at: u64,
    /// When a mapping last wrote to pages that the host does not have yet.
    pub touched: Timespec,
    /// When the cache last served a read without asking the host.
    pub accessed: Timespec,
}

/// An object of the host.
pub struct P9Inode {
    pub fs: Arc<P9Fs>,
    me: Weak<P9Inode>,
    pub ino: u64,
    pub kind: u32,
    pub state: SpinLock<State>,
    /// Pages of a file that has been opened.
    pub cache: Once<Arc<FileCache>>,
    /// Allows one write, truncation or comparison with the host at a time. Program memory is copied under it.
    pub io: Mutex<()>,
    /// Delayed writes. Changed under `io`.
    pub tail: SpinLock<Tail>,
    /// Held while content is on its way to the host, including by write-back.
    pub wire: Mutex<()>,
    pub listing: Mutex<Listing>,
}

impl State {
    pub fn any_open(&self) -> Option<&Arc<Fid>> {
        self.open.iter().chain([&self.append]).flatten().next()
    }
    fn see(&mut self, seen: Seen) -> Option<Seen> {
        self.seen_at = monotonic_ns();
        self.seen.replace(seen)
    }
    /// The end as `revalidate` found it, if that was just now.
    pub fn end_just_seen(&self) -> Option<u64> {
        let fresh = monotonic_ns().saturating_sub(self.seen_at) < MOMENT_NS;
        self.seen.filter(|_| fresh && !self.lost).map(|s| s.size as u64)
    }
}

impl Drop for P9Inode {
    fn drop(&mut self) {
        let mut t = self.fs.inodes.lock();
        if t.get(&self.ino).is_some_and(|w| w.strong_count() == 0) {
            t.remove(&self.ino);
        }
    }
}

impl P9Inode {
    pub fn new(fs: &Arc<P9Fs>, kind: u32, attr: Stat, base: Arc<Fid>) -> Result<Arc<Self>> {
        libos_fs::util::room_for(size_of::<Self>() + 16)?;
        let state = State {
            base,
            open: [None, None, None],
            users: [0; 3],
            append: None,
            kept: Kept::default(),
            fresh: None,
            lost: false,
            attr,
            seen: None,
            seen_at: 0,
            touched: Timespec::default(),
            accessed: Timespec::default(),
        };
        Ok(Arc::new_cyclic(|me| Self {
            fs: fs.clone(),
            me: me.clone(),
            ino: attr.ino,
            kind,
            state: SpinLock::new(class::P9_STATE, state),
            cache: Once::new(),
            io: Mutex::new(class::P9_IO, ()),
            tail: SpinLock::new(class::P9_TAIL, Tail::default()),
            wire: Mutex::new(class::P9_WIRE, ()),
            listing: Mutex::new(class::P9_LISTING, Listing::default()),
        }))
    }

    pub fn weak(&self) -> Weak<P9Inode> {
        self.me.clone()
    }

    /// The file type as far as a qid shows it.
    pub fn plain_kind(&self) -> u32 {
        if matches!(self.kind, S_IFDIR | S_IFLNK) { self.kind } else { 0 }
    }
    /// A walk found it through this fid.
    pub fn found(&self, fid: Arc<Fid>) {
        let old = {
            let mut s = self.state.lock();
            s.lost = false;
            core::mem::replace(&mut s.base, fid)
        };
        drop(old);
    }
    pub fn base(&self) -> Arc<Fid> {
        self.state.lock().base.clone()
    }
    fn lost(&self) -> bool {
        self.state.lock().lost
    }
    /// The fid of this directory's name, for requests about it.
    pub fn dir(&self) -> Result<Arc<Fid>> {
        let s = self.state.lock();
        if s.lost { Err(Errno::ENOENT) } else { Ok(s.base.clone()) }
    }
    /// Whether descriptors are open.
    fn in_use(&self) -> bool {
        self.state.lock().users.iter().any(|&n| n > 0)
    }

    /// An open fid that can read (`mode` READ), write (WRITE) or either: a descriptor's, or one just for the caller.
    pub fn fid(&self, mode: usize) -> Result<Arc<Fid>> {
        let open = {
            let s = self.state.lock();
            s.open[BOTH].clone().or_else(|| s.open[mode].clone())
        };
        match open {
            Some(f) => Ok(f),
            None => self.open_fid(mode, OpenFlags::empty()),
        }
    }
    pub fn open_fid(&self, mode: usize, more: OpenFlags) -> Result<Arc<Fid>> {
        let (fid, _) = self.fs.client.walk(&*self.dir()?, None)?;
        // Every Linux program has O_LARGEFILE.
        let qid = self.fs.client.lopen(&fid, mode as u32 | (more | OpenFlags::LARGEFILE).bits())?;
        // The name may lead elsewhere by now.
        if qid.path == self.ino { Ok(Arc::new(fid)) } else { Err(Errno::ESTALE) }
    }

    /// Attributes, and the version of the content.
    pub fn attr(&self) -> Result<(Stat, u32)> {
        let (fid, lost, known) = {
            let s = self.state.lock();
            let open = s.any_open();
            let fid = if s.lost { open.unwrap_or(&s.base) } else { &s.base };
            (fid.clone(), s.lost, s.attr)
        };
        let mut stat = match self.fs.client.getattr(&fid) {
            // Another file has the name.
            Ok((qid, _)) if qid.path != self.ino => Err(Errno::ENOENT),
            r => r,
        };
        if stat == Err(Errno::ENOENT) && (lost || self.in_use()) {
            self.state.lock().lost = true;
            stat = Ok((Qid { kind: 0, version: 0, path: self.ino }, known));
        }
        let (qid, mut stat) = stat?;
        if self.lost()
            && let Some(c) = self.cache.get()
        {
            // The host's may be longer; see `truncate`.
            stat.size = c.size() as i64;
        }
        if stat.mode & S_IFMT != self.kind {
            return Err(Errno::ESTALE);
        }
        stat.dev = self.fs.dev();
        let mut s = self.state.lock();
        s.attr = stat;
        let later = |a: Timespec, b: Timespec| if (a.sec, a.nsec) < (b.sec, b.nsec) { b } else { a };
        stat.mtime = later(stat.mtime, s.touched);
        stat.ctime = later(stat.ctime, s.touched);
        stat.atime = later(stat.atime, s.accessed);
        Ok((stat, qid.version))
    }

    /// The cache, which exists from the first `open` on.
    pub fn pages(&self) -> Result<&Arc<FileCache>> {
        self.cache.get().ok_or(Errno::EBADF)
    }

    /// Compares with the host's file, and forgets what changed there. Creates the cache the first time.
    pub fn revalidate(&self) -> Result<()> {
        let _io = self.io.lock();
        self.send_tail_for_others();
        let (stat, version) = self.attr()?;
        let seen = Seen { version, size: stat.size, mtime: stat.mtime, ctime: stat.ctime };
        let Some(cache) = self.cache.get() else {
            let c = FileCache::new(self.me.clone(), stat.size as u64)?;
            self.cache.set(|| c);
            self.state.lock().see(seen);
            return Ok(());
        };
        if !self.lost() && self.state.lock().see(seen) != Some(seen) {
            cache.outdated();
            if cache.size() != stat.size as u64 {
                cache.set_size(stat.size as u64)?;
            }
        }
        Ok(())
    }

    /// Write-back of pages ended. Drops a fid that was kept only for it.
    pub fn written_back(&self) {
        let dirty = self.cache.get().is_some_and(|c| c.is_dirty());
        let gone = {
            let mut s = self.state.lock();
            if !dirty {
                s.touched = Timespec::default();
            }
            if s.users[BOTH] == 0 && !dirty && s.fresh.is_none() { s.open[BOTH].take() } else { None }
        };
        drop(gone);
    }

    /// A name of it was removed, or given to another file.
    pub fn unlinked(&self) {
        let gone = {
            let mut s = self.state.lock();
            s.lost = true;
            s.attr.nlink = if self.kind == S_IFDIR { 0 } else { s.attr.nlink.saturating_sub(1) };
            s.attr.nlink == 0
        };
        self.let_go();
        if gone && let Some(c) = self.cache.get() {
            c.set_orphan();
        }
    }
    /// Before one of its names is removed: asks for what may matter later but cannot be asked then.
    pub fn remember(&self) {
        if self.in_use() || self.cache.get().is_some_and(|c| c.is_dirty()) {
            let _ = self.attr();
        }
        // Without a name only the cache knows where the end is, so appending needs a fid that can write anywhere.
        let missing = {
            let s = self.state.lock();
            s.append.is_some() && s.open[WRITE].is_none()
        };
        if missing && let Ok(fid) = self.open_fid(WRITE, OpenFlags::empty()) {
            let mut s = self.state.lock();
            if s.users[WRITE] > 0 {
                s.open[WRITE].get_or_insert(fid);
            }
        }
    }

    /// Finds the object called `name` in this directory.
    pub fn find(&self, dir: &Fid, name: &[u8]) -> Result<Arc<P9Inode>> {
        match self.fs.client.walk(dir, Some(name))? {
            (fid, Some(qid)) => self.fs.object(qid, Arc::new(fid)),
            _ => Err(Errno::EIO),
        }
    }

    pub fn create_file(&self, dir: &Fid, name: &[u8], mode: u32, gid: u32) -> Result<Arc<P9Inode>> {
        let flags = OpenFlags::RDWR | OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::LARGEFILE;
        let (fid, _) = self.fs.client.walk(dir, None)?;
        let qid = self.fs.client.lcreate(&fid, name, flags.bits(), mode & 0o7777, gid)?;
        let made = self.find(dir, name)?;
        if made.ino == qid.path && kind_of(qid) == 0 {
            let mut s = made.state.lock();
            s.open[BOTH] = Some(Arc::new(fid));
            s.fresh = Some(BOTH);
        }
        Ok(made)
    }
}
