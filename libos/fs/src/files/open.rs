//! `open` and its relatives.

use super::Files;
use super::walk::Last;
use crate::dentry::{Dentry, Path};
use crate::inode::New;
use crate::notify;
use crate::openfile::OpenFile;
use crate::permission;
use alloc::sync::Arc;
use libos_base::abi::{DirFd, Fd, InotifyMask, OpenFlags, ResolveFlags, mode::*};
use libos_base::file::FileLike;
use libos_base::{Errno, Result};

/// How to open a file.
#[derive(Clone, Copy)]
pub struct How {
    pub flags: OpenFlags,
    /// Of a file that is created.
    pub mode: u32,
    pub rules: ResolveFlags,
}

/// O_TMPFILE without the O_DIRECTORY it contains.
const TMPFILE_BIT: u32 = OpenFlags::TMPFILE.bits() & !OpenFlags::DIRECTORY.bits();

impl Files {
    /// `openat`: returns the new description, without a descriptor.
    pub fn open(&self, dirfd: DirFd, path: &[u8], flags: OpenFlags, mode: u32) -> Result<Arc<dyn FileLike>> {
        self.open_by(dirfd, path, How { flags, mode, rules: ResolveFlags::empty() })
    }
    fn open_by(&self, dirfd: DirFd, path: &[u8], how: How) -> Result<Arc<dyn FileLike>> {
        let How { mut flags, mode, rules } = how;
        if flags.contains(OpenFlags::PATH) {
            // All other flags are ignored (open(2)).
            flags &= OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW | OpenFlags::CLOEXEC;
        } else {
            // Linux sets this for every 64-bit program, and F_GETFL shows it.
            flags |= OpenFlags::LARGEFILE;
        }
        if flags.bits() & TMPFILE_BIT != 0 {
            if !flags.contains(OpenFlags::TMPFILE) || !flags.writable() {
                return Err(Errno::EINVAL);
            }
            let dir = self.walk_by(dirfd, path, rules)?.resolve(true)?;
            return self.open_tmpfile(dir, flags, mode);
        }
        if flags.contains(OpenFlags::CREAT | OpenFlags::DIRECTORY) {
            return Err(Errno::EINVAL);
        }
        let create = flags.contains(OpenFlags::CREAT);
        if !create
            && rules.is_empty()
            && let Some(at) = self.straight(dirfd, path)?
        {
            return self.open_here(at, flags, false);
        }
        let exclusive = create && flags.contains(OpenFlags::EXCL);
        let mut walk = self.walk_by(dirfd, path, rules)?;
        loop {
            let Last::Name(r) = walk.go_to_last()? else {
                return self.open_here(walk.at, flags, exclusive);
            };
            let (dir, slash) = (walk.at.clone(), walk.slash);
            // Only directories can have a trailing slash, and those are not created here.
            if create && slash {
                return Err(Errno::EISDIR);
            }
            let found = {
                let mut names = dir.dentry.children()?;
                match dir.dentry.lookup_in(&mut names, walk.name(&r)) {
                    Err(Errno::ENOENT) if create => {
                        let new = New { mode: S_IFREG | mode & 0o7777, rdev: 0, target: &[] };
                        let made = super::names::add(&dir, &mut names, walk.name(&r), new, self.umask())?;
                        drop(names);
                        return self.finish(Path { mount: dir.mount, dentry: made }, flags, true);
                    }
                    other => other?,
                }
            };
            if exclusive {
                return Err(Errno::EEXIST);
            }
            let link = found.kind == S_IFLNK;
            let nofollow = flags.contains(OpenFlags::NOFOLLOW) && !slash;
            if link && !nofollow {
                walk.follow(&found)?;
                if walk.more() {
                    continue;
                }
                // Reached without text: this is the object.
                if slash && !walk.at.dentry.is_dir() {
                    return Err(Errno::ENOTDIR);
                }
                return self.open_here(walk.at, flags, false);
            }
            if link && !flags.contains(OpenFlags::PATH) {
                return Err(if flags.contains(OpenFlags::DIRECTORY) { Errno::ENOTDIR } else { Errno::ELOOP });
            }
            let at = Path { mount: dir.mount, dentry: found }.into_mounted();
            walk.check_mount(&at)?;
            if slash && !at.dentry.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            return self.open_here(at, flags, false);
        }
    }

    /// Opens an existing object.
    fn open_here(&self, at: Path, flags: OpenFlags, exclusive: bool) -> Result<Arc<dyn FileLike>> {
        if exclusive {
            return Err(Errno::EEXIST);
        }
        let dir = at.dentry.is_dir();
        if flags.contains(OpenFlags::DIRECTORY) && !dir {
            return Err(Errno::ENOTDIR);
        }
        if dir && (flags.bits() & 3 != 0 || flags.contains(OpenFlags::CREAT)) {
            return Err(Errno::EISDIR);
        }
        self.finish(at, flags, false)
    }

    pub(super) fn finish(&self, at: Path, flags: OpenFlags, fresh: bool) -> Result<Arc<dyn FileLike>> {
        if flags.contains(OpenFlags::PATH) {
            return Ok(OpenFile::new(at, flags)?);
        }
        let inode = at.inode();
        let regular = at.dentry.kind == S_IFREG;
        let content = regular || at.dentry.is_dir();
        if content && (flags.bits() & 3 != 0 || flags.contains(OpenFlags::TRUNC)) {
            at.mount.check_writable()?;
        }
        permission::open(inode, flags, fresh)?;
        if content && flags.contains(OpenFlags::DIRECT) && inode.cache().is_none() {
            // As on tmpfs: there is no storage below that could be reached directly.
            return Err(Errno::EINVAL);
        }
        if let Some(f) = inode.open(&at, flags)? {
            return Ok(f);
        }
        let file = OpenFile::new(at, flags)?;
        notify::at(&file.path.dentry, InotifyMask::OPEN);
        if flags.contains(OpenFlags::TRUNC) && regular && !fresh {
            crate::openfile::set_len(file.path.inode(), 0)?;
            notify::at(&file.path.dentry, InotifyMask::MODIFY);
        }
        Ok(file)
    }

    fn open_tmpfile(&self, dir: Path, flags: OpenFlags, mode: u32) -> Result<Arc<dyn FileLike>> {
        if !dir.inode().is_dir() {
            return Err(Errno::ENOTDIR);
        }
        dir.mount.check_writable()?;
        permission::create(dir.inode())?;
        let linkable = !flags.contains(OpenFlags::EXCL);
        let mode = permission::new_mode(dir.inode(), mode & 0o7777) & !self.umask();
        let inode = dir.inode().tmpfile(mode, linkable)?;
        let mut label = crate::util::Text(dir.text(None).unwrap_or_default());
        label = label.s("/#").n(inode.stat()?.ino);
        let dentry = Dentry::anonymous(&label.0, inode)?;
        Ok(OpenFile::new(Path { mount: dir.mount, dentry }, flags - OpenFlags::TMPFILE)?)
    }

    /// Opens and assigns a descriptor. The descriptor is reserved first, so that at the limit nothing is created.
    pub fn open_fd(&self, dirfd: DirFd, path: &[u8], how: How) -> Result<Fd> {
        let fd = self.fds.reserve()?;
        let file = self.open_by(dirfd, path, how)?;
        Ok(fd.install(file, how.flags.contains(OpenFlags::CLOEXEC)))
    }

    /// `memfd_create`: a regular file without a name.
    pub fn memfd(&self, name: &[u8], mode: u32) -> Result<Arc<OpenFile>> {
        let mount = crate::root::anonymous()?;
        let inode = mount.root.inode.tmpfile(mode, false)?;
        let label = crate::util::Text::new().s("/memfd:").s(name);
        let dentry = Dentry::anonymous(&label.0, inode)?;
        OpenFile::new(Path { mount, dentry }, OpenFlags::RDWR | OpenFlags::LARGEFILE)
    }

    /// Creates or replaces a file with this content: for files that boot itself creates.
    pub fn write_file(&self, path: &[u8], content: &[u8]) -> Result<()> {
        let flags = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::TRUNC;
        let f = self.open(DirFd::CWD, path, flags, 0o644)?;
        let n = f.write(&mut libos_base::io::Source::kernel(content))?;
        if n == content.len() { Ok(()) } else { Err(Errno::ENOSPC) }
    }

    /// The whole content of a file, for parts of the kernel that read one.
    pub fn read_file(&self, path: &[u8]) -> Result<alloc::vec::Vec<u8>> {
        let f = self.open(DirFd::CWD, path, OpenFlags::empty(), 0)?;
        let mut out = alloc::vec::Vec::new();
        loop {
            let mut buf = [0; 512];
            let n = f.read(&mut libos_base::io::Sink::kernel(&mut buf))?;
            if n == 0 {
                return Ok(out);
            }
            out.try_reserve(n)?;
            out.extend_from_slice(&buf[..n]);
        }
    }

    /// Creates a socket node at `path` and binds `socket` to it. EADDRINUSE: the name exists.
    pub fn bind_socket(&self, path: &[u8], socket: Arc<dyn core::any::Any + Send + Sync>) -> Result<()> {
        let made = self
            .make_masked(DirFd::CWD, path, New { mode: S_IFSOCK | 0o777, rdev: 0, target: &[] }, self.umask())
            .map_err(|e| if e == Errno::EEXIST { Errno::EADDRINUSE } else { e })?;
        made.downcast::<crate::ramfs::RamInode>().ok_or(Errno::EPERM)?.set_socket(socket);
        Ok(())
    }
    /// The socket bound to the node at `path`. ECONNREFUSED: it is not a socket, or none is bound.
    pub fn bound_socket(&self, path: &[u8]) -> Result<Arc<dyn core::any::Any + Send + Sync>> {
        let at = self.lookup(DirFd::CWD, path, true)?;
        permission::check(at.inode(), permission::WRITE)?;
        at.inode().downcast::<crate::ramfs::RamInode>().and_then(|n| n.socket()).ok_or(Errno::ECONNREFUSED)
    }
}
