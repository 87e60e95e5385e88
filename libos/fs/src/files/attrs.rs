//! Attributes by path: stat, chmod, chown, utimensat, access, truncate, readlink, statfs.

use super::Files;
use crate::dentry::Path;
use crate::inode::{SetAttr, StatFs};
use crate::openfile::OpenFile;
use crate::permission::{self, Who};
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::abi::{AtFlags, DirFd, InotifyMask, Stat, Timespec, mode::*};
use libos_base::file::FileLike;
use libos_base::{Errno, Result};

/// Attributes, including those that only `statx` shows.
pub struct StatAt {
    pub stat: Stat,
    /// Whether it is the root of a mount.
    pub mount_root: bool,
    /// Creation time.
    pub born: Option<Timespec>,
}

/// What a path or a descriptor leads to.
enum Object {
    Place(Path),
    Open(Arc<dyn FileLike>),
}

impl Files {
    /// The attributes of an object, as `newfstatat` returns them.
    pub fn stat(&self, dirfd: DirFd, path: &[u8], flags: AtFlags) -> Result<Stat> {
        match self.object(dirfd, path, flags)? {
            Object::Place(p) => p.inode().stat(),
            Object::Open(f) => f.stat(),
        }
    }
    /// The same with what only `statx` returns.
    pub fn statx(&self, dirfd: DirFd, path: &[u8], flags: AtFlags) -> Result<StatAt> {
        let object = self.object(dirfd, path, flags)?;
        let (stat, place) = match &object {
            Object::Place(p) => (p.inode().stat()?, Some(p)),
            Object::Open(f) => (f.stat()?, f.downcast::<OpenFile>().map(|o| &o.path)),
        };
        Ok(StatAt { stat, mount_root: place.is_some_and(is_mount_root), born: place.and_then(|p| p.inode().born()) })
    }
    #[inline]
    fn object(&self, dirfd: DirFd, path: &[u8], flags: AtFlags) -> Result<Object> {
        const KNOWN: AtFlags = AtFlags::SYMLINK_NOFOLLOW
            .union(AtFlags::NO_AUTOMOUNT)
            .union(AtFlags::EMPTY_PATH)
            .union(AtFlags::STATX_FORCE_SYNC)
            .union(AtFlags::STATX_DONT_SYNC);
        if !KNOWN.contains(flags) {
            return Err(Errno::EINVAL);
        }
        let empty = flags.contains(AtFlags::EMPTY_PATH);
        if path.is_empty()
            && empty
            && let Some(fd) = dirfd.fd()
        {
            return self.fds.get_any(fd).map(Object::Open);
        }
        self.lookup_at(dirfd, path, !flags.contains(AtFlags::SYMLINK_NOFOLLOW), empty).map(Object::Place)
    }

    /// Changes attributes of the object at `path`.
    pub fn set_attr(&self, path: &Path, attr: &SetAttr) -> Result<()> {
        path.mount.check_writable()?;
        let mut attr = *attr;
        permission::change(path.inode(), &mut attr)?;
        path.inode().set_attr(&attr)?;
        let only_times = attr.mode.is_none() && attr.uid.is_none() && attr.gid.is_none();
        crate::notify::at(
            &path.dentry,
            match (attr.atime.is_some(), attr.mtime.is_some()) {
                (true, false) if only_times => InotifyMask::ACCESS,
                (false, true) if only_times => InotifyMask::MODIFY,
                _ => InotifyMask::ATTRIB,
            },
        );
        Ok(())
    }
    /// `fchmodat2`. The mode of a symbolic link cannot be changed.
    pub fn chmod(&self, path: &Path, mode: u32) -> Result<()> {
        if path.inode().kind() == S_IFLNK {
            return Err(Errno::EOPNOTSUPP);
        }
        self.set_attr(path, &SetAttr { mode: Some(mode & 0o7777), ..SetAttr::default() })
    }
    /// `fchownat`; -1 leaves an ID alone.
    pub fn chown(&self, path: &Path, uid: u32, gid: u32) -> Result<()> {
        self.set_attr(path, &new_owner(&path.inode().stat()?, uid, gid))
    }
    /// `faccessat2`. For the superuser, reading and writing are always allowed, and executing if anyone may.
    pub fn access(&self, path: &Path, want: u32, who: Who) -> Result<()> {
        let s = path.inode().stat()?;
        let kind = s.mode & S_IFMT;
        if want & permission::WRITE != 0 && matches!(kind, S_IFREG | S_IFDIR | S_IFLNK) {
            path.mount.check_writable()?;
        }
        if let Some(rules) = permission::rules() {
            return rules.may(&**path.inode(), want, who);
        }
        if want & permission::EXEC != 0 && kind != S_IFDIR && s.mode & 0o111 == 0 {
            return Err(Errno::EACCES);
        }
        Ok(())
    }
    pub fn truncate(&self, path: &[u8], len: u64) -> Result<()> {
        let p = self.lookup(DirFd::CWD, path, true)?;
        if p.inode().kind() == S_IFREG {
            p.mount.check_writable()?;
            permission::check(p.inode(), permission::WRITE)?;
        }
        crate::openfile::resize(&p, len)
    }
    /// `readlinkat`. An empty path means the descriptor, which must have been opened with O_PATH | O_NOFOLLOW.
    pub fn readlink(&self, dirfd: DirFd, path: &[u8]) -> Result<Vec<u8>> {
        let p = self.lookup_at(dirfd, path, false, dirfd.fd().is_some())?;
        if p.inode().kind() != S_IFLNK {
            return Err(if path.is_empty() { Errno::ENOENT } else { Errno::EINVAL });
        }
        p.inode().readlink()
    }
    pub fn statfs(&self, path: &Path) -> StatFs {
        const ST_RDONLY: i64 = 1;
        const ST_VALID: i64 = 0x20;
        const ST_RELATIME: i64 = 0x1000;
        let mut s = path.mount.fs.statfs();
        s.flags = ST_VALID | ST_RELATIME | if path.mount.read_only { ST_RDONLY } else { 0 };
        s
    }
}

/// What a change of owner changes. Set-ID bits are cleared even if nothing else changes, except on directories (Linux's
/// chown_common()).
pub fn new_owner(s: &Stat, uid: u32, gid: u32) -> SetAttr {
    let mut attr = SetAttr::owner(uid, gid);
    if s.mode & S_IFMT != S_IFDIR && s.mode & 0o6000 != 0 {
        let keep_gid = if s.mode & 0o010 == 0 { 0o2000 & !permission::chown_drops(s.gid) } else { 0 };
        attr.mode = Some(s.mode & 0o7777 & !(0o6000 & !keep_gid));
    }
    attr
}

fn is_mount_root(p: &Path) -> bool {
    Arc::ptr_eq(&p.dentry, &p.mount.root)
}
