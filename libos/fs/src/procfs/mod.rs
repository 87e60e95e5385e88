//! `/proc`: what programs read there (proc(5)), generated when it is opened.
//!
//! The tree is a constant table with a few dynamic kinds of entries: the process's number, its descriptors, its threads,
//! the processors. [`tree`] has what every program needs that opens files; [`whole`] has the rest of it and `/sys`, and
//! takes its place where that component is linked.

pub mod fd;
mod fdinfo;
mod memory;
mod process;
mod snapshot;
mod sysfs;
mod system;
mod tree;
pub mod whole;

use crate::dentry::Path;
use crate::files::files;
use crate::inode::{DirEntry, FileSystem, Follow, Inode, New, SetAttr, StatFs};
use crate::kernel_info;
pub use crate::kernel_info::ThreadInfo;
use crate::ramfs::anonymous_dev;
use crate::time;
use crate::util::{Text, try_arc};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicI32;
use libos_base::abi::{Fd, OpenFlags, Stat, Timespec, mode::*};
use libos_base::cred;
use libos_base::file::FileLike;
use libos_base::io::Sink;
use libos_base::sync::{Once, Provider};
use libos_base::{Errno, Result};
use unibody_proto::number;

/// `f_type` (linux/magic.h).
const PROC_MAGIC: i64 = 0x9fa0;

/// The three folders whose content depends on what is linked.
pub(crate) struct Tables {
    root: &'static [(&'static str, Node)],
    process: &'static [(&'static str, Node)],
    task: &'static [(&'static str, Node)],
    /// The root of `/sys`.
    system: fn() -> Result<Arc<dyn Inode>>,
}

static WHOLE: Provider<Tables> = Provider::new();

/// The root of `/sys`, where there is one.
pub(crate) fn system() -> Option<Result<Arc<dyn Inode>>> {
    WHOLE.get().map(|t| (t.system)())
}

/// Entries that another part of the kernel adds to a folder, where that part is linked.
pub struct More {
    entries: &'static [(&'static str, Node)],
    next: Provider<More>,
}

impl More {
    /// These entries, for use in a static.
    pub const fn new(entries: &'static [(&'static str, Node)]) -> Self {
        Self { entries, next: Provider::new() }
    }
    /// Adds them to a folder.
    pub fn add_to(&'static self, folder: &'static Provider<More>) {
        let mut at = folder;
        loop {
            at.provide(self);
            match at.get() {
                Some(other) if !core::ptr::eq(other, self) => at = &other.next,
                _ => return,
            }
        }
    }
}

/// What is added to `/proc`, `/proc/net`, `/proc/sys/fs` and `/proc/sys/kernel`.
pub static ROOT: Provider<More> = Provider::new();
pub static NET: Provider<More> = Provider::new();
pub static SYS_FS: Provider<More> = Provider::new();
pub static SYS_KERNEL: Provider<More> = Provider::new();

/// An entry of the table.
#[derive(Clone, Copy)]
pub enum Node {
    Dir(&'static [(&'static str, Node)]),
    /// A folder that others add to.
    Open(&'static [(&'static str, Node)], &'static Provider<More>),
    /// Content that everybody may read.
    File(fn() -> Vec<u8>),
    /// Content that only the owner may read.
    Private(fn() -> Vec<u8>),
    /// Content about one thread; in the process's folder, the main one.
    Thread(fn(&ThreadInfo) -> Vec<u8>),
    /// A number that can also be written.
    Setting(fn() -> u64, fn(u64) -> Result<()>),
    /// Several numbers that can be written.
    Numbers(&'static [&'static AtomicI32]),
    /// A thread's name, which can be written.
    Comm,
    /// Text of a symbolic link.
    Link(fn() -> Vec<u8>),
    /// A symbolic link to an object.
    Object(fn() -> Result<Path>),
    /// `/proc` itself, which also has the process's number.
    Root,
    /// The folder of descriptors.
    Fds,
    Fd(Fd),
    /// The folder of threads.
    Tasks,
    /// The folder of what is known about descriptors.
    FdInfos(fn(Fd) -> Result<Vec<u8>>),
    FdInfo(Fd, fn(Fd) -> Result<Vec<u8>>),
    /// Bytes that are fetched from a position on whenever they are read, by the owner only.
    Bytes(fn(u64, &mut Sink<'_>) -> Result<usize>),
    /// A folder with a numbered folder for each processor besides its table.
    Cpus(&'static [(&'static str, Node)], &'static [(&'static str, Node)]),
    /// Content about one processor.
    Cpu(fn(u32) -> Vec<u8>),
}

struct ProcFs {
    dev: u64,
    made: Timespec,
}

/// An object under `/proc`.
pub(crate) struct ProcInode {
    node: Node,
    ino: u64,
    /// The thread whose folder it is in.
    tid: Option<u32>,
    /// In `/sys`: the processor whose folder it is in, or 0.
    cpu: Option<u32>,
    /// Found by number: gone when the descriptor or thread is.
    numbered: bool,
    /// In a process's or thread's folder.
    of_process: bool,
}

static FS: Once<Arc<ProcFs>> = Once::new();

fn fs() -> &'static Arc<ProcFs> {
    FS.set(|| Arc::new(ProcFs { dev: anonymous_dev(), made: time::now() }))
}

/// The root of a procfs.
pub fn root() -> Result<Arc<dyn Inode>> {
    Ok(try_arc(ProcInode { node: Node::Root, ino: 1, tid: None, cpu: None, numbered: false, of_process: false })?)
}

impl FileSystem for ProcFs {
    fn name(&self) -> &'static str {
        "proc"
    }
    fn dev(&self) -> u64 {
        self.dev
    }
    fn statfs(&self) -> StatFs {
        StatFs { kind: PROC_MAGIC, bsize: 4096, frsize: 4096, namelen: 255, ..StatFs::default() }
    }
}

impl ProcInode {
    /// The entries of the tables, in order.
    fn table(&self) -> impl Iterator<Item = &'static (&'static str, Node)> {
        let (own, more) = match self.node {
            Node::Dir(t) | Node::Cpus(t, _) => (t, None),
            Node::Open(t, more) => (t, more.get()),
            Node::Root => (WHOLE.get().map_or(tree::ROOT, |t| t.root), ROOT.get()),
            _ => (&[][..], None),
        };
        own.iter().chain(core::iter::successors(more, |m| m.next.get()).flat_map(|m| m.entries))
    }
    /// The numbers that are entries here.
    fn numbers(&self, from: u64) -> Option<u64> {
        match self.node {
            Node::Root => Some(u64::from(kernel_info::PID)).filter(|&p| p >= from),
            Node::Fds | Node::FdInfos(_) => files().fds.next(from as usize).map(|fd| fd.0 as u64),
            Node::Cpus(..) => Some(from).filter(|&n| n < kernel_info::cpus().len() as u64),
            Node::Tasks => kernel_info::threads().iter().map(|t| u64::from(t.tid)).filter(|&t| t >= from).min(),
            _ => None,
        }
    }
    fn at_number(&self, n: u64) -> Node {
        match self.node {
            Node::Root => Node::Dir(WHOLE.get().map_or(tree::PROCESS, |t| t.process)),
            Node::Tasks => Node::Dir(WHOLE.get().map_or(tree::TASK, |t| t.task)),
            Node::FdInfos(f) => Node::FdInfo(Fd(n as i32), f),
            Node::Cpus(_, each) => Node::Dir(each),
            _ => Node::Fd(Fd(n as i32)),
        }
    }
    /// A process's files belong to its user, or to root if giving up rights made it undumpable, as on Linux
    /// (task_dump_owner()); folders that everybody may enter always belong to its user.
    fn owner(&self) -> (u32, u32) {
        if !self.of_process && !self.numbered {
            return (0, 0);
        }
        let open = matches!(self.node, Node::Dir(_) | Node::Tasks | Node::FdInfos(_));
        cred::with(|c| if c.undumpable && !open { (0, 0) } else { (c.uid.effective, c.gid.effective) })
    }
    /// A process's own descriptors, whoever owns the folder.
    pub(crate) fn open_to_itself(&self) -> bool {
        matches!(self.node, Node::Fds)
    }
    /// What numbers are preceded by.
    fn prefix(&self) -> &'static [u8] {
        if matches!(self.node, Node::Cpus(..)) { b"cpu" } else { b"" }
    }
    fn child(&self, node: Node, index: u64) -> Result<Arc<dyn Inode>> {
        let tid = match self.node {
            Node::Tasks => Some((index - NUMBERS) as u32),
            _ => self.tid,
        };
        let (numbered, of_process) = (index >= NUMBERS && self.cpu.is_none(), self.numbered);
        let cpu =
            if numbered { self.cpu } else { self.cpu.map(|cpu| index.checked_sub(NUMBERS).map_or(cpu, |n| n as u32)) };
        Ok(try_arc(ProcInode { node, ino: self.child_ino(index), tid, cpu, numbered, of_process })?)
    }
    fn child_ino(&self, index: u64) -> u64 {
        self.ino.wrapping_mul(1009).wrapping_add(index) | 1 << 32
    }
}

/// Entries of the table come first, then numbers: number `n` is at this offset plus `n`.
const NUMBERS: u64 = 1 << 32;

impl Inode for ProcInode {
    fn kind(&self) -> u32 {
        self.node.kind()
    }
    fn stat(&self) -> Result<Stat> {
        let (mode, size) = match self.node {
            Node::Private(_) | Node::Bytes(_) => (0o400, 0),
            // As sysfs has it, whatever the content.
            _ if self.cpu.is_some() && self.kind() == S_IFREG => (0o444, 4096),
            Node::File(_) | Node::Thread(_) | Node::FdInfo(..) => (0o444, 0),
            Node::Comm | Node::Setting(..) | Node::Numbers(_) => (0o644, 0),
            Node::Fd(_) => (0o700, 64),
            Node::Link(_) | Node::Object(_) => (0o777, 0),
            Node::Fds => (0o500, 0),
            _ => (0o555, 0),
        };
        let made = fs().made;
        let (uid, gid) = self.owner();
        Ok(Stat {
            uid,
            gid,
            dev: if self.cpu.is_some() { sysfs::fs().dev() } else { fs().dev },
            ino: self.ino,
            nlink: if self.kind() == S_IFDIR { 2 } else { 1 },
            mode: self.kind() | mode,
            size,
            blksize: 1024,
            atime: made,
            mtime: made,
            ctime: made,
            ..Stat::default()
        })
    }
    fn fs(&self) -> Arc<dyn FileSystem> {
        if self.cpu.is_some() { sysfs::fs() } else { fs().clone() }
    }
    fn set_attr(&self, _: &SetAttr) -> Result<()> {
        Err(Errno::EPERM)
    }
    /// Content generated on reading cannot be truncated, and need not be (Linux's proc_setattr()).
    fn resize(&self, _: u64) -> Result<()> {
        Ok(())
    }
    fn cacheable(&self) -> bool {
        !self.numbered && self.tid.is_none()
    }
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if self.tid.is_some() && process::thread(self.tid).is_none() {
            return Err(Errno::ENOENT);
        }
        if let Some((i, (_, node))) = self.table().enumerate().find(|(_, (n, _))| n.as_bytes() == name) {
            return self.child(*node, i as u64);
        }
        let name = name.strip_prefix(self.prefix()).ok_or(Errno::ENOENT)?;
        let n = number::decimal(name).filter(|_| name == b"0" || name[0] != b'0').ok_or(Errno::ENOENT)?;
        if self.numbers(n) != Some(n) {
            return Err(Errno::ENOENT);
        }
        self.child(self.at_number(n), NUMBERS + n)
    }
    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        const FIRST: u64 = 3;
        let mut at = from.max(FIRST);
        while let Some((name, node)) = self.table().nth(at.saturating_sub(FIRST).min(NUMBERS) as usize) {
            let kind = node.kind();
            let ino = self.child_ino(at - FIRST);
            if !emit(DirEntry { name: name.as_bytes(), ino, kind, next: at + 1 }) {
                return Ok(());
            }
            at += 1;
        }
        while let Some(n) = self.numbers(at.saturating_sub(NUMBERS)) {
            let kind = self.at_number(n).kind();
            let ino = self.child_ino(NUMBERS + n);
            at = NUMBERS + n + 1;
            if !emit(DirEntry { name: &Text::new().s(self.prefix()).n(n).0, ino, kind, next: at }) {
                return Ok(());
            }
        }
        Ok(())
    }
    fn create(&self, _: &[u8], _: New<'_>) -> Result<Arc<dyn Inode>> {
        Err(if self.cpu.is_some() { Errno::EACCES } else { Errno::ENOENT })
    }
    fn follow(&self) -> Result<Follow> {
        match self.node {
            Node::Link(f) => Ok(Follow::Text(f())),
            Node::Object(f) => f().map(Follow::Object),
            Node::Fd(n) => fd::follow(n).map(Follow::Object),
            _ => Err(Errno::EINVAL),
        }
    }
    fn readlink(&self) -> Result<Vec<u8>> {
        match self.node {
            Node::Link(f) => Ok(f()),
            Node::Object(f) => f().map(|p| crate::openfile::describe(&p).into_bytes()),
            Node::Fd(n) => Ok(files().fds.get_any(n).map_err(|_| Errno::ENOENT)?.describe().into_bytes()),
            _ => Err(Errno::EINVAL),
        }
    }
    fn open(&self, path: &Path, flags: OpenFlags) -> Result<Option<Arc<dyn FileLike>>> {
        if self.kind() != S_IFREG {
            return Ok(None);
        }
        snapshot::open(path, flags, self.node, self.tid.or(self.cpu), self.of_process).map(Some)
    }
}

impl Node {
    fn kind(&self) -> u32 {
        match self {
            Node::Dir(_)
            | Node::Open(..)
            | Node::Root
            | Node::Fds
            | Node::Tasks
            | Node::FdInfos(_)
            | Node::Cpus(..) => S_IFDIR,
            Node::File(_) | Node::Private(_) | Node::Thread(_) | Node::Setting(..) | Node::Comm => S_IFREG,
            Node::FdInfo(..) | Node::Bytes(_) | Node::Cpu(_) | Node::Numbers(_) => S_IFREG,
            Node::Link(_) | Node::Object(_) | Node::Fd(_) => S_IFLNK,
        }
    }
}
