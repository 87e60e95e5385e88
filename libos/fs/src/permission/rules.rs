//! The rules for a program that is not root, or not fully (path_resolution(7), inode(7), chmod(2), chown(2), unlink(2),
//! ...). They are checked in Linux's order, too (fs/namei.c, fs/attr.c): it decides whether a program sees EACCES or
//! EPERM.

use super::{EXEC, READ, Rules, WRITE, Who};
use crate::inode::{Inode, SetAttr};
use libos_base::abi::{OpenFlags, SecureBits, Stat, mode::*};
use libos_base::cred::{self, Credentials, cap};
use libos_base::{Errno, Result};

const SUID: u32 = 0o4000;
const SGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const GROUP_EXEC: u32 = 0o010;

/// See the module.
pub(super) struct Enforced;

/// EACCES unless the mode bits or a capability allow `want`.
fn allowed(c: &Credentials, s: &Stat, want: u32) -> Result<()> {
    let bits = match () {
        () if c.uid.fs == s.uid => s.mode >> 6,
        () if c.in_group(s.gid) => s.mode >> 3,
        () => s.mode,
    };
    let dir = s.mode & S_IFMT == S_IFDIR;
    let reads = if dir { want & WRITE == 0 } else { want == READ };
    let overrides = dir || want & EXEC == 0 || s.mode & 0o111 != 0;
    if want & !bits == 0 || reads && c.capable(cap::DAC_READ_SEARCH) || overrides && c.capable(cap::DAC_OVERRIDE) {
        return Ok(());
    }
    Err(Errno::EACCES)
}

fn owner(c: &Credentials, s: &Stat) -> Result<()> {
    if c.uid.fs == s.uid || c.capable(cap::FOWNER) { Ok(()) } else { Err(Errno::EPERM) }
}

/// Whether a file of this group may have its set-group-ID bit.
fn may_set_group(c: &Credentials, gid: u32) -> bool {
    c.in_group(gid) || c.capable(cap::FSETID)
}

/// The set-ID bits that a file loses when its content changes.
fn lost(c: &Credentials, s: &Stat) -> u32 {
    let keeps_group = s.mode & GROUP_EXEC == 0 && may_set_group(c, s.gid);
    s.mode & (SUID | if keeps_group { 0 } else { SGID })
}

fn change(c: &Credentials, s: &Stat, a: &mut SetAttr) -> Result<()> {
    // Setting times to "now" requires no more than write permission.
    if a.touch && owner(c, s).is_err() {
        allowed(c, s, WRITE)?;
    }
    let mine = c.uid.fs == s.uid;
    let kept = |uid: u32| mine && uid == s.uid;
    let given = |gid: u32| mine && (gid == s.gid || c.in_group(gid));
    if !(c.capable(cap::CHOWN) || a.uid.is_none_or(kept) && a.gid.is_none_or(given)) {
        return Err(Errno::EPERM);
    }
    if let Some(mode) = &mut a.mode {
        owner(c, s)?;
        if !may_set_group(c, a.gid.unwrap_or(s.gid)) {
            *mode &= !SGID;
        }
    }
    if !a.touch && (a.atime.is_some() || a.mtime.is_some()) {
        owner(c, s)?;
    }
    Ok(())
}

/// As `access` sees it: with the real IDs, and with root's capabilities if the real user is root.
fn as_real(mut c: Credentials) -> Credentials {
    (c.uid.fs, c.gid.fs) = (c.uid.real, c.gid.real);
    if !c.securebits.contains(SecureBits::NO_SETUID_FIXUP) {
        c.caps.set_effective(if c.uid.real == 0 { c.caps.permitted() } else { 0 });
    }
    c
}

impl Rules for Enforced {
    fn may(&self, inode: &dyn Inode, want: u32, who: Who) -> Result<()> {
        let mut c = cred::get();
        if who == Who::Real {
            c = as_real(c);
        }
        // Checked for every component of a path, which may be far away.
        if c.capable(cap::DAC_OVERRIDE) && inode.is_dir() {
            return Ok(());
        }
        match allowed(&c, &inode.stat()?, want) {
            Err(_) if inode.downcast::<crate::procfs::ProcInode>().is_some_and(|p| p.open_to_itself()) => Ok(()),
            r => r,
        }
    }
    fn open(&self, inode: &dyn Inode, flags: OpenFlags, fresh: bool) -> Result<()> {
        if !fresh {
            let truncates = if flags.contains(OpenFlags::TRUNC) { WRITE } else { 0 };
            let access = [READ, WRITE, READ | WRITE, READ | WRITE][flags.bits() as usize & 3];
            self.may(inode, access | truncates, Who::Fs)?;
        }
        if flags.contains(OpenFlags::NOATIME) { self.owns(&inode.stat()?) } else { Ok(()) }
    }
    fn owns(&self, what: &Stat) -> Result<()> {
        owner(&cred::get(), what)
    }
    fn remove(&self, dir: &dyn Inode, what: &dyn Inode) -> Result<()> {
        let (c, d) = (cred::get(), dir.stat()?);
        allowed(&c, &d, WRITE | EXEC)?;
        if d.mode & STICKY == 0 || c.uid.fs == d.uid || c.capable(cap::FOWNER) || c.uid.fs == what.stat()?.uid {
            return Ok(());
        }
        Err(Errno::EPERM)
    }
    /// Linux's fs.protected_hardlinks, as distributions set it: no links to files that one could not write oneself.
    fn link(&self, inode: &dyn Inode) -> Result<()> {
        let (c, s) = (cred::get(), inode.stat()?);
        let special = s.mode & SUID != 0 || s.mode & (SGID | GROUP_EXEC) == SGID | GROUP_EXEC;
        if s.mode & S_IFMT == S_IFREG && !special && allowed(&c, &s, READ | WRITE).is_ok() {
            return Ok(());
        }
        owner(&c, &s)
    }
    fn change(&self, now: &Stat, attr: &mut SetAttr) -> Result<()> {
        change(&cred::get(), now, attr)
    }
    fn modified(&self, inode: &dyn Inode) -> Result<()> {
        let c = cred::get();
        if c.capable(cap::FSETID) || inode.kind() != S_IFREG {
            return Ok(());
        }
        let s = inode.stat()?;
        let lost = lost(&c, &s);
        if lost == 0 {
            return Ok(());
        }
        inode.set_attr(&SetAttr { mode: Some(s.mode & 0o7777 & !lost), ..SetAttr::default() })
    }
    fn new_mode(&self, dir: &dyn Inode, mode: u32) -> u32 {
        if mode & S_IFMT == S_IFDIR || mode & (SGID | GROUP_EXEC) != SGID | GROUP_EXEC {
            return mode;
        }
        let inherits = |s: Stat| s.mode & SGID != 0 && !may_set_group(&cred::get(), s.gid);
        if dir.stat().is_ok_and(inherits) { mode & !SGID } else { mode }
    }
    fn chown_drops(&self, gid: u32) -> u32 {
        if may_set_group(&cred::get(), gid) { 0 } else { SGID }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libos_base::cred::Ids;

    fn user(uid: u32, gid: u32, groups: &[u32]) -> Credentials {
        let ids = |n| Ids { real: n, effective: n, saved: n, fs: n };
        let mut c = Credentials {
            uid: ids(uid),
            gid: ids(gid),
            groups: Some(groups.to_vec().into()),
            ..Credentials::default()
        };
        c.caps.set_effective(0);
        c
    }
    fn file(mode: u32, uid: u32, gid: u32) -> Stat {
        Stat { mode: S_IFREG | mode, uid, gid, ..Stat::default() }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let c = user(33, 33, &[50]);
        assert!(allowed(&c, &file(0o400, 33, 0), READ).is_ok());
        assert!(allowed(&c, &file(0o077, 33, 33), READ).is_err(), "the owner has the owner's bits only");
        assert!(allowed(&c, &file(0o640, 0, 50), READ).is_ok());
        assert!(allowed(&c, &file(0o607, 0, 33), READ).is_err());
        assert!(allowed(&c, &file(0o006, 0, 0), READ | WRITE).is_ok());
    }

    #[test]
    fn capabilities_override_as_far_as_they_reach() {
        let mut c = user(33, 33, &[]);
        c.caps.set_effective(1 << cap::DAC_READ_SEARCH);
        assert!(allowed(&c, &file(0, 0, 0), READ).is_ok());
        assert!(allowed(&c, &file(0, 0, 0), READ | WRITE).is_err());
        let dir = Stat { mode: S_IFDIR, ..Stat::default() };
        assert!(allowed(&c, &dir, READ | EXEC).is_ok() && allowed(&c, &dir, WRITE).is_err());
        c.caps.set_effective(1 << cap::DAC_OVERRIDE);
        assert!(allowed(&c, &file(0, 0, 0), WRITE).is_ok());
        assert!(allowed(&c, &file(0, 0, 0), EXEC).is_err() && allowed(&c, &file(0o100, 0, 0), EXEC).is_ok());
    }

    #[test]
    fn set_id_bits_go_with_a_write_and_only_where_they_mean_something() {
        let c = user(33, 33, &[]);
        assert_eq!(lost(&c, &file(0o6755, 33, 33)), 0o6000);
        assert_eq!(lost(&c, &file(0o6644, 33, 33)), 0o4000);
        assert_eq!(lost(&c, &file(0o2644, 33, 7)), 0o2000);
    }

    #[test]
    fn changes_are_the_owners() {
        let c = user(33, 33, &[50]);
        let set = |a: SetAttr, s: Stat| {
            let mut a = a;
            change(&c, &s, &mut a).map(|()| a.mode)
        };
        let mode = |m| SetAttr { mode: Some(m), ..SetAttr::default() };
        assert_eq!(set(mode(0o2755), file(0, 33, 7)), Ok(Some(0o755)));
        assert_eq!(set(mode(0o2755), file(0, 33, 50)), Ok(Some(0o2755)));
        assert_eq!(set(mode(0o755), file(0, 0, 33)), Err(Errno::EPERM));
        assert!(set(SetAttr::owner(33, 50), file(0, 33, 33)).is_ok());
        assert!(set(SetAttr::owner(0, u32::MAX), file(0, 33, 33)).is_err());
        assert!(set(SetAttr::owner(u32::MAX, 7), file(0, 33, 33)).is_err());
        assert!(set(SetAttr::owner(u32::MAX, u32::MAX), file(0, 0, 0)).is_ok());
    }
}
