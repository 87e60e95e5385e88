//! Operations on names: mkdir, mknod, symlink, link, unlink, rmdir, rename.
//!
//! Only renames change which directory is above which, and they hold the rename lock.

use super::Files;
use super::walk::{Last, owned};
use crate::dentry::{self, Children, Dentry, Name, Path};
use crate::inode::{Inode, New, Rename};
use crate::notify;
use crate::permission;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use libos_base::abi::{DirFd, InotifyMask, RenameFlags, mode::*};
use libos_base::cred::cap;
use libos_base::sync::{Mutex, MutexGuard, class};
use libos_base::{Errno, Result};

static RENAME: Mutex<()> = Mutex::new(class::RENAME, ());

/// Creates `name` in the locked directory `dir`, where it does not exist, with a mode from which `mask` is taken. As on
/// Linux, whether it loses the set-group-ID bit is decided before that.
pub(super) fn add(dir: &Path, names: &mut Children, name: &[u8], new: New<'_>, mask: u32) -> Result<Arc<Dentry>> {
    add_made(dir, names, name, new, mask, |name, new| dir.inode().create(name, new))
}

/// The same with an object that `make` makes.
pub(super) fn add_made<'a>(
    dir: &Path,
    names: &mut Children,
    name: &[u8],
    new: New<'a>,
    mask: u32,
    make: impl FnOnce(&[u8], New<'a>) -> Result<Arc<dyn Inode>>,
) -> Result<Arc<Dentry>> {
    dir.mount.check_writable()?;
    if names.dead {
        return Err(Errno::ENOENT);
    }
    permission::create(dir.inode())?;
    let mode = permission::new_mode(dir.inode(), new.mode) & !mask;
    if matches!(mode & S_IFMT, S_IFBLK | S_IFCHR) && new.rdev != 0 {
        permission::needs(cap::MKNOD)?;
    }
    let name = dentry::name(name)?;
    dir.dentry.reserve(names)?;
    let inode = make(&name, New { mode, ..new })?;
    let name = real_name(dir, name)?;
    let d = Dentry::new(Some(dir.dentry.clone()), name.clone(), inode)?;
    names.insert(name.clone(), d.clone());
    notify::entry(dir, &name, &d.inode, InotifyMask::CREATE, 0);
    Ok(d)
}

/// Removes `name` from the directory `dir`, unless it is a directory. `slash`: a slash follows the name.
pub(super) fn remove(dir: &Path, name: &[u8], slash: bool) -> Result<()> {
    let mut names = dir.dentry.children()?;
    let d = dir.dentry.lookup_in(&mut names, name)?;
    if slash {
        return Err(if d.inode.is_dir() { Errno::EISDIR } else { Errno::ENOTDIR });
    }
    dir.mount.check_writable()?;
    permission::remove(dir.inode(), &d.inode)?;
    if d.inode.is_dir() {
        return Err(Errno::EISDIR);
    }
    dir.inode().unlink(name, &d.inode)?;
    names.remove(&d.name());
    d.set_removed();
    notify::object(&d.inode, InotifyMask::ATTRIB);
    notify::gone(&d);
    notify::entry(dir, name, &d.inode, InotifyMask::DELETE, 0);
    Ok(())
}

/// The name under which a directory keeps the object that it was just given as `name`.
fn real_name(dir: &Path, name: Name) -> Result<Name> {
    dir.inode().real_name(&name).map_or(Ok(name), |n| dentry::name(&n))
}

/// A parent directory and the last component under it.
struct Entry {
    dir: Path,
    name: Vec<u8>,
    slash: bool,
}

impl Files {
    /// The directory and name that an operation works on; `here` is the error for `/`, `.` and `..`.
    fn entry(&self, dirfd: DirFd, path: &[u8], here: Errno) -> Result<Entry> {
        let mut w = self.walk(dirfd, path)?;
        match w.go_to_last()? {
            Last::Here => Err(here),
            Last::Name(r) => Ok(Entry { name: owned(w.name(&r))?, slash: w.slash, dir: w.at }),
        }
    }

    /// Creates an object of any kind with the mode that is given. EEXIST, even for a dangling link.
    pub fn make_node(&self, dirfd: DirFd, path: &[u8], new: New<'_>) -> Result<Arc<dyn Inode>> {
        self.make_masked(dirfd, path, new, 0)
    }
    /// The same with a mode from which `mask` is taken.
    pub(super) fn make_masked(&self, dirfd: DirFd, path: &[u8], new: New<'_>, mask: u32) -> Result<Arc<dyn Inode>> {
        let e = self.entry(dirfd, path, Errno::EEXIST)?;
        let mut names = e.dir.dentry.children()?;
        match e.dir.dentry.lookup_in(&mut names, &e.name) {
            Ok(_) => return Err(Errno::EEXIST),
            Err(Errno::ENOENT) => {}
            Err(err) => return Err(err),
        }
        if e.slash && new.mode & S_IFMT != S_IFDIR {
            return Err(Errno::ENOENT);
        }
        Ok(add(&e.dir, &mut names, &e.name, new, mask)?.inode.clone())
    }
    pub fn mkdir(&self, dirfd: DirFd, path: &[u8], mode: u32) -> Result<()> {
        let mode = S_IFDIR | mode & 0o1777;
        self.make_masked(dirfd, path, New { mode, rdev: 0, target: &[] }, self.umask()).map(|_| ())
    }
    pub fn mknod(&self, dirfd: DirFd, path: &[u8], mode: u32, rdev: u64) -> Result<()> {
        let kind = match mode & S_IFMT {
            0 => S_IFREG,
            S_IFDIR => return Err(Errno::EPERM),
            k @ (S_IFREG | S_IFCHR | S_IFBLK | S_IFIFO | S_IFSOCK) => k,
            _ => return Err(Errno::EINVAL),
        };
        let mode = kind | mode & 0o7777;
        self.make_masked(dirfd, path, New { mode, rdev, target: &[] }, self.umask()).map(|_| ())
    }
    pub fn symlink(&self, target: &[u8], dirfd: DirFd, path: &[u8]) -> Result<()> {
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        self.make_node(dirfd, path, New { mode: S_IFLNK | 0o777, rdev: 0, target }).map(|_| ())
    }

    /// `linkat`: another name for `from`.
    pub fn link(&self, from: Path, dirfd: DirFd, path: &[u8]) -> Result<()> {
        let e = self.entry(dirfd, path, Errno::EEXIST)?;
        let mut names = e.dir.dentry.children()?;
        match e.dir.dentry.lookup_in(&mut names, &e.name) {
            Ok(_) => return Err(Errno::EEXIST),
            Err(Errno::ENOENT) if e.slash => return Err(Errno::ENOENT),
            Err(Errno::ENOENT) => {}
            Err(err) => return Err(err),
        }
        if !Arc::ptr_eq(&from.mount, &e.dir.mount) {
            return Err(Errno::EXDEV);
        }
        permission::link(from.inode())?;
        e.dir.mount.check_writable()?;
        if names.dead {
            return Err(Errno::ENOENT);
        }
        permission::create(e.dir.inode())?;
        if from.inode().is_dir() {
            return Err(Errno::EPERM);
        }
        let name = dentry::name(&e.name)?;
        e.dir.dentry.reserve(&mut names)?;
        let d = Dentry::new(Some(e.dir.dentry.clone()), name.clone(), from.inode().clone())?;
        e.dir.inode().link(&name, from.inode())?;
        names.insert(name.clone(), d);
        notify::object(from.inode(), InotifyMask::ATTRIB);
        notify::entry(&e.dir, &name, from.inode(), InotifyMask::CREATE, 0);
        Ok(())
    }

    /// `unlinkat`; `dir`: AT_REMOVEDIR.
    pub fn unlink(&self, dirfd: DirFd, path: &[u8], dir: bool) -> Result<()> {
        if dir { self.rmdir(dirfd, path) } else { self.unlink_file(dirfd, path) }
    }
    fn unlink_file(&self, dirfd: DirFd, path: &[u8]) -> Result<()> {
        let e = self.entry(dirfd, path, Errno::EISDIR)?;
        remove(&e.dir, &e.name, e.slash)
    }
    fn rmdir(&self, dirfd: DirFd, path: &[u8]) -> Result<()> {
        let mut w = self.walk(dirfd, path)?;
        let Last::Name(r) = w.go_to_last()? else {
            return Err(match path.iter().rposition(|&c| c != b'/') {
                Some(i) if path[..=i].ends_with(b"..") => Errno::ENOTEMPTY,
                Some(i) if path[i] == b'.' => Errno::EINVAL,
                _ => Errno::EBUSY,
            });
        };
        let (name, dir) = (owned(w.name(&r))?, w.at);
        let mut names = dir.dentry.children()?;
        let d = dir.dentry.lookup_in(&mut names, &name)?;
        dir.mount.check_writable()?;
        permission::remove(dir.inode(), &d.inode)?;
        if !d.inode.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if d.covers.load(Ordering::Acquire) > 0 {
            return Err(Errno::EBUSY);
        }
        let mut below = d.children_under(1)?;
        check_empty(&d, &below)?;
        dir.inode().unlink(&name, &d.inode)?;
        below.dead = true;
        drop(below);
        names.remove(&d.name());
        d.set_removed();
        notify::gone(&d);
        notify::entry(&dir, &name, &d.inode, InotifyMask::DELETE, 0);
        Ok(())
    }

    pub fn rename(&self, from_fd: DirFd, from: &[u8], to_fd: DirFd, to: &[u8], flags: RenameFlags) -> Result<()> {
        if !matches!(flags, RenameFlags::NOREPLACE | RenameFlags::EXCHANGE) && !flags.is_empty() {
            return Err(Errno::EINVAL);
        }
        let old = self.entry(from_fd, from, Errno::EBUSY)?;
        let here = if flags == RenameFlags::NOREPLACE { Errno::EEXIST } else { Errno::EBUSY };
        let new = self.entry(to_fd, to, here)?;
        if !Arc::ptr_eq(&old.dir.mount, &new.dir.mount) {
            return Err(Errno::EXDEV);
        }
        old.dir.mount.check_writable()?;
        let _rename = RENAME.lock();
        let (mut a, mut b) = lock_two(&old.dir.dentry, &new.dir.dentry)?;
        rename_locked(&old, &new, flags, &mut a, b.as_deref_mut())
    }
}

/// ENOTEMPTY unless the (locked) directory is empty.
fn check_empty(d: &Dentry, below: &Children) -> Result<()> {
    let mut empty = below.is_empty();
    if empty && !d.inode.in_memory() {
        d.inode.readdir(0, &mut |_| {
            empty = false;
            false
        })?;
    }
    if empty { Ok(()) } else { Err(Errno::ENOTEMPTY) }
}

type Guard<'a> = MutexGuard<'a, Children>;

/// Locks two directories in order; the second is `None` if they are the same.
fn lock_two<'a>(a: &'a Arc<Dentry>, b: &'a Arc<Dentry>) -> Result<(Guard<'a>, Option<Guard<'a>>)> {
    if Arc::ptr_eq(a, b) {
        return Ok((a.children()?, None));
    }
    let a_first = if a.is_above(b) {
        true
    } else if b.is_above(a) {
        false
    } else {
        Arc::as_ptr(a) < Arc::as_ptr(b)
    };
    if a_first {
        let ga = a.children()?;
        Ok((ga, Some(b.children_under(1)?)))
    } else {
        let gb = b.children()?;
        Ok((a.children_under(1)?, Some(gb)))
    }
}

/// `to` is `None` if both names are in `from`.
fn rename_locked(
    old: &Entry,
    new: &Entry,
    flags: RenameFlags,
    from: &mut Children,
    mut to: Option<&mut Children>,
) -> Result<()> {
    let exchange = flags == RenameFlags::EXCHANGE;
    let what = old.dir.dentry.lookup_in(from, &old.name)?;
    let other = match new.dir.dentry.lookup_in(to.as_deref_mut().unwrap_or(from), &new.name) {
        Ok(d) => Some(d),
        Err(Errno::ENOENT) => None,
        Err(e) => return Err(e),
    };
    // The same entry under a name that differs in case: it changes its name.
    let other = other.filter(|o| !Arc::ptr_eq(o, &what) || *what.name() == *new.name);
    if flags == RenameFlags::NOREPLACE && other.is_some() {
        return Err(Errno::EEXIST);
    }
    if exchange && other.is_none() {
        return Err(Errno::ENOENT);
    }
    let dir = what.inode.is_dir();
    // A trailing slash says that the name is a directory.
    if !dir && (old.slash || !exchange && new.slash)
        || exchange && new.slash && !other.as_ref().is_some_and(|o| o.inode.is_dir())
    {
        return Err(Errno::ENOTDIR);
    }
    // A directory cannot move below itself, nor replace one that it is in.
    if what.is_above(&new.dir.dentry) {
        return Err(Errno::EINVAL);
    }
    if let Some(o) = &other
        && o.is_above(&old.dir.dentry)
    {
        return Err(if exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
    }
    if to.as_deref().unwrap_or(from).dead {
        return Err(Errno::ENOENT);
    }
    let busy = |d: &Dentry| d.covers.load(Ordering::Acquire) > 0;
    if busy(&what) || other.as_ref().is_some_and(|o| busy(o)) {
        return Err(Errno::EBUSY);
    }
    // Two names of one object: nothing happens (POSIX rename()).
    if other.as_ref().is_some_and(|o| Arc::ptr_eq(&o.inode, &what.inode)) {
        return Ok(());
    }
    permission::remove(old.dir.inode(), &what.inode)?;
    match &other {
        None => permission::create(new.dir.inode())?,
        Some(o) => permission::remove(new.dir.inode(), &o.inode)?,
    }
    if let (Some(o), false) = (&other, exchange)
        && dir != o.inode.is_dir()
    {
        return Err(if dir { Errno::ENOTDIR } else { Errno::EISDIR });
    }
    // What moves to another directory gets another `..`.
    if to.is_some() {
        for moves in [Some(&what), other.as_ref().filter(|_| exchange)].into_iter().flatten() {
            if moves.inode.is_dir() {
                permission::check(&moves.inode, permission::WRITE)?;
            }
        }
    }
    let mut victim_names = None;
    if let (Some(o), false, true) = (&other, exchange, dir) {
        let g = o.children_under(2)?;
        check_empty(o, &g)?;
        victim_names = Some(g);
    }
    let new_name = dentry::name(&new.name)?;
    to.as_deref_mut().unwrap_or(from).reserve()?;
    old.dir.inode().rename(&Rename {
        old_name: &old.name,
        what: &what.inode,
        to: new.dir.inode(),
        name: &new_name,
        replaced: other.as_ref().map(|o| &o.inode),
        exchange,
        same_dir: to.is_none(),
    })?;
    let old_name = what.name();
    let new_name = match &other {
        Some(o) => o.name(),
        None => real_name(&new.dir, new_name)?,
    };
    match &other {
        Some(o) if exchange => {
            from.replace(&old_name, o.clone());
            to.unwrap_or(from).replace(&new_name, what.clone());
            o.set_place(old.dir.dentry.clone(), old_name);
        }
        Some(o) => {
            if let Some(mut g) = victim_names {
                g.dead = true;
            }
            from.remove(&old_name);
            to.unwrap_or(from).replace(&new_name, what.clone());
            o.set_removed();
        }
        None => {
            from.remove(&old_name);
            to.unwrap_or(from).insert(new_name.clone(), what.clone());
        }
    }
    what.set_place(new.dir.dentry.clone(), new_name);
    moved(old, new, &what.inode);
    if let Some(o) = other.as_ref().filter(|_| !exchange) {
        notify::object(&o.inode, InotifyMask::ATTRIB);
    }
    notify::object(&what.inode, InotifyMask::MOVE_SELF);
    match &other {
        Some(o) if exchange => {
            moved(new, old, &o.inode);
            notify::object(&o.inode, InotifyMask::MOVE_SELF);
        }
        Some(o) => notify::gone(o),
        None => {}
    }
    Ok(())
}

/// Reports a move, whose two halves share a number.
fn moved(from: &Entry, to: &Entry, what: &Arc<dyn Inode>) {
    static COOKIE: AtomicU32 = AtomicU32::new(1);
    let cookie = COOKIE.fetch_add(1, Ordering::Relaxed);
    notify::entry(&from.dir, &from.name, what, InotifyMask::MOVED_FROM, cookie);
    notify::entry(&to.dir, &to.name, what, InotifyMask::MOVED_TO, cookie);
}
