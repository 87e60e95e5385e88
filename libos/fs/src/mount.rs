//! Mounts: file systems joined into one tree.

use crate::dentry::{Dentry, Path};
use crate::inode::{FileSystem, Inode};
use crate::util::try_arc;
use crate::walked;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use libos_base::sync::{SpinLock, class};
use libos_base::{Errno, Result};

/// One file system mounted at one place.
pub struct Mount {
    /// Its root.
    pub root: Arc<Dentry>,
    /// The file system.
    pub fs: Arc<dyn FileSystem>,
    /// First field of its line in `/proc/mounts`.
    pub source: String,
    /// Writing fails with EROFS.
    pub read_only: bool,
    on: Option<Path>,
}

impl Mount {
    /// A mount on top of nothing: the root of a namespace.
    pub fn new_root(root: Arc<dyn Inode>, source: &str) -> Result<Arc<Mount>> {
        let fs = root.fs();
        try_arc(Mount { root: Dentry::root(root)?, fs, source: String::from(source), read_only: false, on: None })
    }
    /// Where it is mounted; `None` for the root mount.
    pub fn place(&self) -> Option<Path> {
        self.on.clone()
    }
    /// EROFS when read-only.
    pub fn check_writable(&self) -> Result<()> {
        if self.read_only { Err(Errno::EROFS) } else { Ok(()) }
    }
}

/// Its number: that of its file system, which is mounted once.
pub fn number(m: &Mount) -> u64 {
    m.fs.dev()
}

static TABLE: SpinLock<Vec<Arc<Mount>>> = SpinLock::new(class::MOUNTS, Vec::new());

/// Mounts a file system on a directory.
pub fn mount(on: Path, root: Arc<dyn Inode>, source: &str, read_only: bool) -> Result<Arc<Mount>> {
    if !on.inode().is_dir() || !root.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    let fs = root.fs();
    let at = on.dentry.clone();
    let m = try_arc(Mount { root: Dentry::root(root)?, fs, source: String::from(source), read_only, on: Some(on) })?;
    let mut table = TABLE.lock();
    table.try_reserve(1)?;
    table.push(m.clone());
    at.covers.fetch_add(1, Ordering::Release);
    walked::changed();
    Ok(m)
}

/// Removes the mount whose root is `path`. EINVAL: not a mount; EBUSY: in use.
pub fn unmount(path: &Path) -> Result<()> {
    let below = path.mount.place().filter(|_| path.dentry.parent().is_none()).ok_or(Errno::EINVAL)?;
    let gone = {
        let mut table = TABLE.lock();
        let i = table.iter().position(|m| Arc::ptr_eq(m, &path.mount)).ok_or(Errno::EINVAL)?;
        // One reference is the table's, one the caller's; any more are an open file, a working directory or a mount
        // inside.
        if Arc::strong_count(&path.mount) > 2 {
            return Err(Errno::EBUSY);
        }
        below.dentry.covers.fetch_sub(1, Ordering::Release);
        walked::changed();
        table.remove(i)
    };
    drop(gone);
    Ok(())
}

/// The root of what is mounted on top of `p`.
pub fn on_top(p: &Path) -> Option<Path> {
    let table = TABLE.lock();
    let m = table.iter().rev().find(|m| m.on.as_ref().is_some_and(|on| on.same(p)))?;
    Some(Path { mount: m.clone(), dentry: m.root.clone() })
}

/// All mounts except the root, in the order they were made.
pub fn list() -> Vec<Arc<Mount>> {
    TABLE.lock().clone()
}
