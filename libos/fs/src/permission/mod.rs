//! Permission checks on files, made wherever a path is walked and an object is opened or changed.
//!
//! While the program is root nothing is checked: the rules ([`rules`]) apply from the first call on that makes it
//! somebody else, and only programs with such calls link them.

mod rules;

use crate::inode::{Inode, SetAttr};
use alloc::sync::Arc;
use libos_base::abi::{OpenFlags, Stat};
use libos_base::file::FileLike;
use libos_base::sync::Once;
use libos_base::{Result, cred};

/// The access that is asked for (MAY_*, linux/fs.h); also the modes of `access`.
pub const EXEC: u32 = 1;
pub const WRITE: u32 = 2;
pub const READ: u32 = 4;

/// Whose IDs are checked: usually the file system IDs, for `access` the real ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Fs,
    Real,
}

/// The rules, as their callers see them.
pub trait Rules: Sync {
    /// EACCES unless `want` is allowed.
    fn may(&self, inode: &dyn Inode, want: u32, who: Who) -> Result<()>;
    /// Whether it may be opened with these flags; O_NOATIME is reserved to the owner.
    fn open(&self, inode: &dyn Inode, flags: OpenFlags, fresh: bool) -> Result<()>;
    /// EPERM unless the program owns it.
    fn owns(&self, what: &Stat) -> Result<()>;
    /// Whether `what` may be removed from `dir`: EACCES, and EPERM in a sticky directory.
    fn remove(&self, dir: &dyn Inode, what: &dyn Inode) -> Result<()>;
    /// EPERM unless another user's file may be given a new name.
    fn link(&self, inode: &dyn Inode) -> Result<()>;
    /// Whether attributes may be changed like this; clears bits that the program may not set.
    fn change(&self, now: &Stat, attr: &mut SetAttr) -> Result<()>;
    /// Content changes: clears the set-ID bits.
    fn modified(&self, inode: &dyn Inode) -> Result<()>;
    /// The mode that a new object in `dir` gets if `mode` is requested.
    fn new_mode(&self, dir: &dyn Inode, mode: u32) -> u32;
    /// The bits that a change of owner clears on such a file in addition to those that it always clears.
    fn chown_drops(&self, gid: u32) -> u32;
}

static RULES: Once<&'static dyn Rules> = Once::new();

/// From now on the rules apply. Builds the namespace first: what boot puts there is root's.
pub fn enforce() -> Result<()> {
    if RULES.get().is_none() {
        crate::files().root()?;
        RULES.set(|| &rules::Enforced);
    }
    Ok(())
}

/// The rules, once they apply.
#[inline]
pub(crate) fn rules() -> Option<&'static dyn Rules> {
    RULES.get().copied()
}

/// EACCES unless `want` is allowed.
pub(crate) fn check(inode: &Arc<dyn Inode>, want: u32) -> Result<()> {
    rules().map_or(Ok(()), |r| r.may(&**inode, want, Who::Fs))
}
/// EACCES unless names can be looked up in this directory.
pub(crate) fn search(dir: &Arc<dyn Inode>, who: Who) -> Result<()> {
    rules().map_or(Ok(()), |r| r.may(&**dir, EXEC, who))
}
/// EACCES unless names can be created in this directory.
pub(crate) fn create(dir: &Arc<dyn Inode>) -> Result<()> {
    check(dir, WRITE | EXEC)
}
/// See [`Rules::remove`].
pub(crate) fn remove(dir: &Arc<dyn Inode>, what: &Arc<dyn Inode>) -> Result<()> {
    rules().map_or(Ok(()), |r| r.remove(&**dir, &**what))
}
/// EPERM unless another user's file may be given a new name.
pub(crate) fn link(inode: &Arc<dyn Inode>) -> Result<()> {
    rules().map_or(Ok(()), |r| r.link(&**inode))
}
/// See [`Rules::change`].
pub(crate) fn change(inode: &Arc<dyn Inode>, attr: &mut SetAttr) -> Result<()> {
    rules().map_or(Ok(()), |r| r.change(&inode.stat()?, attr))
}
/// The same for an object in no file system; returns what may be changed.
pub fn of_loose(f: &dyn FileLike, attr: &SetAttr) -> Result<SetAttr> {
    let mut attr = *attr;
    rules().map_or(Ok(()), |r| r.change(&f.stat()?, &mut attr))?;
    Ok(attr)
}
/// See [`Rules::chown_drops`].
pub(crate) fn chown_drops(gid: u32) -> u32 {
    rules().map_or(0, |r| r.chown_drops(gid))
}
/// Whether it may be opened with these flags. A file that was just created may be, whatever its mode.
pub(crate) fn open(inode: &Arc<dyn Inode>, flags: OpenFlags, fresh: bool) -> Result<()> {
    rules().map_or(Ok(()), |r| r.open(&**inode, flags, fresh))
}
/// See [`Rules::owns`].
pub fn owns(f: &dyn FileLike) -> Result<()> {
    rules().map_or(Ok(()), |r| r.owns(&f.stat()?))
}
/// To be called before content changes. See [`Rules::modified`].
pub fn modified(inode: &Arc<dyn Inode>) -> Result<()> {
    rules().map_or(Ok(()), |r| r.modified(&**inode))
}
/// See [`Rules::new_mode`].
pub(crate) fn new_mode(dir: &Arc<dyn Inode>, mode: u32) -> u32 {
    rules().map_or(mode, |r| r.new_mode(&**dir, mode))
}
/// EPERM without the capability.
pub(crate) fn needs(cap: u32) -> Result<()> {
    if cred::capable(cap) { Ok(()) } else { Err(libos_base::Errno::EPERM) }
}
