//! The file system in memory: `/`, `/tmp`, `/dev`, `/dev/shm`, memfd.
//!
//! Its directories are the dentry tree itself; this module has the objects. Content is pages, or bytes of the image or
//! initrd that are read in place until written ([`data`]). A cap on pages and objects gives ENOSPC while the machine
//! still has memory to run on.

pub mod data;
pub mod populate;

use crate::dentry::Path;
use crate::device;
use crate::inode::{At, Extent, FileSystem, Follow, Inode, New, Rename, SetAttr, StatFs};
use crate::pipe::Pipe;
use crate::program_file;
use crate::time::{Times, now};
use crate::util::try_arc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use data::Data;
use libos_base::abi::{FallocateMode, OpenFlags, Stat, Timespec, mode::*};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::layout::PAGE_SIZE;
use libos_base::page::Page;
use libos_base::rmap::Mappings;
use libos_base::sync::{SpinLock, class};
use libos_base::{Errno, Result, memory};

/// One ramfs.
pub struct RamFs {
    dev: u64,
    magic: i64,
    name: &'static str,
    max_pages: usize,
    max_inodes: usize,
    pages: AtomicUsize,
    inodes: AtomicUsize,
    next_ino: AtomicU64,
}

/// The numbers below are for file systems with a fixed one (`/dev`).
static NEXT_DEV: AtomicU64 = AtomicU64::new(16);

/// A device number for a file system without a device (major 0, as on Linux).
pub fn anonymous_dev() -> u64 {
    NEXT_DEV.fetch_add(1, Ordering::Relaxed)
}

/// `f_type` of tmpfs (linux/magic.h).
pub const TMPFS_MAGIC: i64 = 0x0102_1994;

impl RamFs {
    /// An empty one that holds at most `max_bytes`.
    pub fn new(name: &'static str, max_bytes: usize) -> Result<Arc<RamFs>> {
        Self::with_dev(name, max_bytes, anonymous_dev())
    }
    /// The same with an `st_dev` of the caller's choice.
    pub fn with_dev(name: &'static str, max_bytes: usize, dev: u64) -> Result<Arc<RamFs>> {
        let max_pages = max_bytes / PAGE_SIZE;
        try_arc(RamFs {
            dev,
            magic: TMPFS_MAGIC,
            name,
            max_pages,
            max_inodes: (max_pages / 2).max(1024),
            pages: AtomicUsize::new(0),
            inodes: AtomicUsize::new(0),
            next_ino: AtomicU64::new(1),
        })
    }
    /// A new object without a name.
    pub fn make(self: &Arc<Self>, new: New<'_>) -> Result<Arc<RamInode>> {
        let body = match new.mode & S_IFMT {
            // Only the program's file is a regular file created with a target.
            S_IFREG if !new.target.is_empty() => Body::Program,
            S_IFREG => Body::File(Data::new(self.clone())),
            S_IFDIR => Body::Dir,
            S_IFLNK => Body::Link(memory::copy(new.target)?),
            S_IFIFO => Body::Fifo(SpinLock::new(class::RAMFS_FIFO, None)),
            S_IFSOCK => Body::Socket(SpinLock::new(class::RAMFS_SOCKET, None)),
            S_IFCHR | S_IFBLK => Body::Device,
            _ => return Err(Errno::EINVAL),
        };
        self.make_with(new.mode, new.rdev, body)
    }
    fn make_with(self: &Arc<Self>, mode: u32, rdev: u64, body: Body) -> Result<Arc<RamInode>> {
        if self.inodes.fetch_add(1, Ordering::Relaxed) >= self.max_inodes {
            self.inodes.fetch_sub(1, Ordering::Relaxed);
            return Err(Errno::ENOSPC);
        }
        let nlink = if mode & S_IFMT == S_IFDIR { 2 } else { 1 };
        let born = now();
        let (uid, gid) = libos_base::cred::owner();
        let meta = Meta { mode: mode & 0o7777, uid, gid, nlink, linkable: false, times: Times::all(born) };
        try_arc(RamInode {
            fs: self.clone(),
            ino: self.next_ino.fetch_add(1, Ordering::Relaxed),
            kind: mode & S_IFMT,
            rdev,
            born,
            meta: SpinLock::new(class::RAMFS_META, meta),
            body,
        })
        .inspect_err(|_| {
            self.inodes.fetch_sub(1, Ordering::Relaxed);
        })
    }
    /// Accounts for `n` more pages; ENOSPC above the cap.
    fn charge(&self, n: usize) -> Result<()> {
        self.pages
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |p| p.checked_add(n).filter(|&p| p <= self.max_pages))
            .map(|_| ())
            .map_err(|_| Errno::ENOSPC)
    }
    fn uncharge(&self, n: usize) {
        self.pages.fetch_sub(n, Ordering::Relaxed);
    }
}

impl FileSystem for RamFs {
    fn name(&self) -> &'static str {
        self.name
    }
    fn dev(&self) -> u64 {
        self.dev
    }
    fn statfs(&self) -> StatFs {
        let free = self.max_pages.saturating_sub(self.pages.load(Ordering::Relaxed)) as u64;
        StatFs {
            kind: self.magic,
            bsize: PAGE_SIZE as i64,
            blocks: self.max_pages as u64,
            bfree: free,
            bavail: free,
            files: self.max_inodes as u64,
            ffree: self.max_inodes.saturating_sub(self.inodes.load(Ordering::Relaxed)) as u64,
            fsid: [self.dev as i32, 0],
            namelen: crate::inode::NAME_MAX as i64,
            frsize: PAGE_SIZE as i64,
            ..StatFs::default()
        }
    }
}

struct Meta {
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u64,
    /// It has no name but may get one (O_TMPFILE).
    linkable: bool,
    times: Times,
}

enum Body {
    File(Data),
    /// The program's own file, which nobody may write.
    Program,
    Dir,
    Link(Vec<u8>),
    Fifo(SpinLock<Option<Arc<Pipe>>>),
    /// The bound or listening socket, owned by the socket layer.
    Socket(SpinLock<Option<Arc<dyn Any + Send + Sync>>>),
    Device,
}

/// An object of a ramfs.
pub struct RamInode {
    fs: Arc<RamFs>,
    ino: u64,
    kind: u32,
    rdev: u64,
    born: Timespec,
    meta: SpinLock<Meta>,
    body: Body,
}

impl Drop for RamInode {
    fn drop(&mut self) {
        self.fs.inodes.fetch_sub(1, Ordering::Relaxed);
    }
}

impl RamInode {
    #[inline(never)]
    fn open_special(&self, path: &Path, flags: OpenFlags) -> Result<Option<Arc<dyn FileLike>>> {
        match self.kind {
            S_IFCHR | S_IFBLK => device::open(self.rdev, self.kind, path, flags).map(Some),
            S_IFIFO => crate::pipe::open_fifo(self.fifo()?, path, flags).map(Some),
            S_IFSOCK => Err(Errno::ENXIO),
            _ if flags.writable() || flags.contains(OpenFlags::TRUNC) => self.data().map(|_| None),
            _ => Ok(None),
        }
    }
    fn data(&self) -> Result<&Data> {
        match &self.body {
            Body::File(d) => Ok(d),
            Body::Dir => Err(Errno::EISDIR),
            Body::Program => Err(Errno::ETXTBSY),
            _ => Err(Errno::EINVAL),
        }
    }
    /// Changes the link count by `by`, and the change time.
    fn links(&self, by: i64) {
        let mut m = self.meta.lock();
        m.nlink = m.nlink.saturating_add_signed(by);
        m.times.changed();
    }
    fn modified(&self) {
        self.meta.lock().times.modified();
    }
    /// An entry of this directory was added or removed.
    fn entry_changed(&self, subdirs: i64) {
        let mut m = self.meta.lock();
        m.nlink = m.nlink.saturating_add_signed(subdirs);
        m.times.modified();
    }
    /// In a set-group-ID directory, new objects get its group, and directories also the bit (mkdir(2), open(2)).
    fn give_group(&self, child: &RamInode) {
        let (mode, gid) = {
            let m = self.meta.lock();
            (m.mode, m.gid)
        };
        if mode & 0o2000 != 0 {
            let mut m = child.meta.lock();
            m.gid = gid;
            if child.kind == S_IFDIR {
                m.mode |= 0o2000;
            }
        }
    }
    /// Sets ownership and time as recorded in an archive.
    pub fn set_meta(&self, uid: u32, gid: u32, mtime: i64) {
        let mut m = self.meta.lock();
        m.uid = uid;
        m.gid = gid;
        m.times = Times::all(libos_base::abi::Timespec { sec: mtime, nsec: 0 });
    }
    /// The content of a regular file, which can have seals.
    pub fn sealable(&self) -> Option<&Data> {
        if let Body::File(d) = &self.body { Some(d) } else { None }
    }
    /// Gives an empty file this content, read in place.
    pub fn set_base(&self, base: &'static [u8]) {
        if let Body::File(d) = &self.body {
            d.set_base(base);
        }
    }
    /// The pipe behind a FIFO, created when it is first opened.
    pub fn fifo(&self) -> Result<Arc<Pipe>> {
        let Body::Fifo(slot) = &self.body else { return Err(Errno::EINVAL) };
        let fresh = Pipe::new()?;
        Ok(slot.lock().get_or_insert(fresh).clone())
    }
    /// The socket bound to this node.
    pub fn socket(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        match &self.body {
            Body::Socket(s) => s.lock().clone(),
            _ => None,
        }
    }
    /// Binds a socket to this node.
    pub fn set_socket(&self, socket: Arc<dyn Any + Send + Sync>) {
        if let Body::Socket(s) = &self.body {
            let old = s.lock().replace(socket);
            drop(old);
        }
    }
}

fn ram(i: &Arc<dyn Inode>) -> Result<&RamInode> {
    i.downcast::<RamInode>().ok_or(Errno::EXDEV)
}

fn dirs(i: &RamInode) -> i64 {
    i64::from(i.kind == S_IFDIR)
}

impl Inode for RamInode {
    fn kind(&self) -> u32 {
        self.kind
    }
    fn in_memory(&self) -> bool {
        true
    }
    fn fs(&self) -> Arc<dyn FileSystem> {
        self.fs.clone()
    }
    fn born(&self) -> Option<Timespec> {
        Some(self.born)
    }
    fn stat(&self) -> Result<Stat> {
        let (size, pages) = match &self.body {
            Body::File(d) => d.size_and_pages(),
            Body::Program => (program_file::size(), 0),
            Body::Link(t) => (t.len() as u64, 0),
            Body::Dir => (PAGE_SIZE as u64, 1),
            _ => (0, 0),
        };
        let m = self.meta.lock();
        Ok(Stat {
            dev: self.fs.dev,
            ino: self.ino,
            nlink: m.nlink,
            mode: self.kind | m.mode,
            uid: m.uid,
            gid: m.gid,
            rdev: self.rdev,
            size: size as i64,
            blksize: PAGE_SIZE as i64,
            blocks: (pages * (PAGE_SIZE / 512)) as i64,
            atime: m.times.atime,
            mtime: m.times.mtime,
            ctime: m.times.ctime,
            ..Stat::default()
        })
    }
    fn set_attr(&self, a: &SetAttr) -> Result<()> {
        let mut m = self.meta.lock();
        if let (Some(mode), Body::File(d)) = (a.mode, &self.body)
            && (mode ^ m.mode) & 0o111 != 0
            && d.seals() & data::seal::EXEC != 0
        {
            return Err(Errno::EPERM);
        }
        m.mode = a.mode.map_or(m.mode, |v| v & 0o7777);
        m.uid = a.uid.unwrap_or(m.uid);
        m.gid = a.gid.unwrap_or(m.gid);
        m.times.set(a);
        Ok(())
    }

    fn read_at(&self, pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        let n = match &self.body {
            Body::Program => program_file::read(pos, dst)?,
            _ => self.data()?.read(pos, dst)?,
        };
        self.meta.lock().times.accessed();
        Ok(n)
    }
    fn write_at(&self, at: At, src: &mut Source<'_>, limit: u64) -> Result<(usize, u64)> {
        let r = self.data()?.write(at, src, limit)?;
        if r.0 > 0 {
            self.modified();
        }
        Ok(r)
    }
    fn size(&self) -> u64 {
        match &self.body {
            Body::Program => program_file::size(),
            _ => self.data().map_or(0, Data::size),
        }
    }
    fn resize(&self, len: u64) -> Result<()> {
        self.data()?.resize(len)?;
        self.modified();
        Ok(())
    }
    fn allocate(&self, mode: FallocateMode, pos: u64, len: u64) -> Result<()> {
        self.data()?.allocate(mode, pos, len)?;
        self.modified();
        Ok(())
    }
    fn seek_data(&self, pos: u64, data: bool) -> u64 {
        let whole = || if data { pos } else { self.size() };
        self.data().map_or_else(|_| whole(), |d| d.seek_data(pos, data))
    }
    fn extent(&self, pos: u64, max: usize) -> Option<Extent> {
        self.data().ok()?.extent(pos, max)
    }
    fn page(&self, index: u64, for_write: bool) -> Result<Option<Arc<Page>>> {
        let page = match &self.body {
            Body::File(d) => d.map(index)?,
            Body::Program => return program_file::page(index),
            _ => return Err(Errno::ENODEV),
        };
        if for_write && page.is_some() {
            // A write fault on a shared mapping (Linux's fault_dirty_shared_page()).
            self.modified();
        }
        Ok(page)
    }

    fn still(&self, index: u64, page: &Arc<Page>, _write: bool) -> bool {
        // Each mapping of the program's file has pages of its own: nobody writes to them.
        self.data().map_or(matches!(self.body, Body::Program), |d| d.holds(index, page))
    }
    fn mappings(&self) -> Option<&Mappings> {
        self.data().ok().map(|d| &d.mappings)
    }

    fn follow(&self) -> Result<Follow> {
        match &self.body {
            Body::Link(t) => {
                self.meta.lock().times.accessed();
                memory::copy(t).map(Follow::Text)
            }
            _ => Err(Errno::EINVAL),
        }
    }
    fn create(&self, _name: &[u8], new: New<'_>) -> Result<Arc<dyn Inode>> {
        let i = self.fs.make(new)?;
        self.give_group(&i);
        self.entry_changed(dirs(&i));
        Ok(i)
    }
    fn tmpfile(&self, mode: u32, linkable: bool) -> Result<Arc<dyn Inode>> {
        let i = self.fs.make(New { mode: S_IFREG | mode, rdev: 0, target: &[] })?;
        self.give_group(&i);
        let mut m = i.meta.lock();
        m.nlink = 0;
        m.linkable = linkable;
        drop(m);
        Ok(i)
    }
    fn link(&self, _name: &[u8], inode: &Arc<dyn Inode>) -> Result<()> {
        {
            let mut m = ram(inode)?.meta.lock();
            if m.nlink == 0 && !m.linkable {
                return Err(Errno::ENOENT);
            }
            m.nlink += 1;
            m.times.changed();
        }
        self.modified();
        Ok(())
    }
    fn unlink(&self, _name: &[u8], inode: &Arc<dyn Inode>) -> Result<()> {
        let i = ram(inode)?;
        i.links(-1 - dirs(i));
        self.entry_changed(-dirs(i));
        Ok(())
    }
    fn rename(&self, r: &Rename<'_>) -> Result<()> {
        let (what, to) = (ram(r.what)?, ram(r.to)?);
        let moved = dirs(what);
        match r.replaced {
            Some(other) if r.exchange => {
                let other = ram(other)?;
                self.entry_changed(dirs(other) - moved);
                to.entry_changed(moved - dirs(other));
                other.links(0);
            }
            Some(victim) => {
                let victim = ram(victim)?;
                victim.links(-1 - dirs(victim));
                self.entry_changed(-moved);
                to.entry_changed(moved - dirs(victim));
            }
            None => {
                self.entry_changed(-moved);
                to.entry_changed(moved);
            }
        }
        what.links(0);
        Ok(())
    }
    fn open(&self, path: &Path, flags: OpenFlags) -> Result<Option<Arc<dyn FileLike>>> {
        match &self.body {
            Body::File(_) | Body::Dir | Body::Link(_) => Ok(None),
            _ => self.open_special(path, flags),
        }
    }
}
