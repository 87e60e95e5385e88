//! May the program do this to a file? Asked wherever a path is walked and an object is opened or changed.
//!
//! As long as the program is root nobody is asked: the rules ([`rules`]) are there from the first call on that makes it somebody
//! else, and only programs with such calls link them.

mod rules;

use crate::inode::{Inode, SetAttr};
use alloc::sync::Arc;
use libos_base::abi::{OpenFlags, Stat};
use libos_base::file::FileLike;
use libos_base::sync::Once;
use libos_base::{Result, cred};

/// What is wanted of an object (MAY_*, linux/fs.h); also the modes of `access`.
pub const EXEC: u32 = 1;
pub const WRITE: u32 = 2;
pub const READ: u32 = 4;

/// Who asks: usually the file system IDs, for `access` the real ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Fs,
    Real,
}

/// The rules, as seen by those who ask.
pub trait Rules: Sync {
    /// EACCES unless `want` is allowed.
    fn may(&self, inode: &dyn Inode, want: u32, who: Who) -> Result<()>;
    /// Whether it may be opened so; O_NOATIME is the owner's.
    fn open(&self, inode: &dyn Inode, flags: OpenFlags, fresh: bool) -> Result<()>;
    /// EPERM unless it is the program's own.
    fn owns(&self, what: &Stat) -> Result<()>;
    /// Whether `what` may be taken out of `dir`: EACCES, and EPERM in a sticky directory.
    fn remove(&self, dir: &dyn Inode, what: &dyn Inode) -> Result<()>;
    /// EPERM unless others' files may be given this name.
    fn link(&self, inode: &dyn Inode) -> Result<()>;
    /// Whether attributes may be changed so; takes bits away that the program may not give.
    fn change(&self, now: &Stat, attr: &mut SetAttr) -> Result<()>;
    /// Content changes: takes set-ID bits away.
    fn modified(&self, inode: &dyn Inode) -> Result<()>;
    /// The mode that a new object of `dir` gets for this one.
    fn new_mode(&self, dir: &dyn Inode, mode: u32) -> u32;
    /// The bits that a change of owner takes from such a file beyond those that it always takes.
    fn chown_drops(&self, gid: u32) -> u32;
}

static RULES: Once<&'static dyn Rules> = Once::new();

/// From now on the rules hold. The name space is there then: what boot puts there is root's.
pub fn enforce() -> Result<()> {
    if RULES.get().is_none() {
        crate::process().root()?;
        RULES.set(|| &rules::Enforced);
    }
    Ok(())
}

/// The rules, once there are any.
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
/// EACCES unless names can be made in this directory.
pub(crate) fn create(dir: &Arc<dyn Inode>) -> Result<()> {
    check(dir, WRITE | EXEC)
}
/// See [`Rules::remove`].
pub(crate) fn remove(dir: &Arc<dyn Inode>, what: &Arc<dyn Inode>) -> Result<()> {
    rules().map_or(Ok(()), |r| r.remove(&**dir, &**what))
}
/// EPERM unless others' files may be given names.
pub(crate) fn link(inode: &Arc<dyn Inode>) -> Result<()> {
    rules().map_or(Ok(()), |r| r.link(&**inode))
}
/// See [`Rules::change`].
pub(crate) fn change(inode: &Arc<dyn Inode>, attr: &mut SetAttr) -> Result<()> {
    rules().map_or(Ok(()), |r| r.change(&inode.stat()?, attr))
}
/// The same of what lies in no file system: what may be changed.
pub fn of_loose(f: &dyn FileLike, attr: &SetAttr) -> Result<SetAttr> {
    let mut attr = *attr;
    rules().map_or(Ok(()), |r| r.change(&f.stat()?, &mut attr))?;
    Ok(attr)
}
/// See [`Rules::chown_drops`].
pub(crate) fn chown_drops(gid: u32) -> u32 {
    rules().map_or(0, |r| r.chown_drops(gid))
}
/// Whether it may be opened so. What was just made may be, whatever its mode.
pub(crate) fn open(inode: &Arc<dyn Inode>, flags: OpenFlags, fresh: bool) -> Result<()> {
    rules().map_or(Ok(()), |r| r.open(&**inode, flags, fresh))
}
/// See [`Rules::owns`].
pub fn owns(f: &dyn FileLike) -> Result<()> {
    rules().map_or(Ok(()), |r| r.owns(&f.stat()?))
}
/// Before content changes. See [`Rules::modified`].
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
