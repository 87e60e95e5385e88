//! How user and group IDs change, and capabilities with them (setuid(2), setreuid(2), setresuid(2), setfsuid(2),
//! capabilities(7), "Effect of user ID changes on capabilities").

use libos_base::abi::SecureBits;
use libos_base::cred::{Caps, Credentials, Ids, cap};
use libos_base::{Errno, Result};

/// "Leave it unchanged."
pub const KEEP: u32 = u32::MAX;

/// Whose IDs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Which {
    User,
    Group,
}

fn ids(c: &mut Credentials, which: Which) -> &mut Ids {
    match which {
        Which::User => &mut c.uid,
        Which::Group => &mut c.gid,
    }
}

fn privileged(c: &Credentials, which: Which) -> bool {
    c.capable(if which == Which::User { cap::SETUID } else { cap::SETGID })
}

/// Makes `new` the IDs, with the consequences for capabilities and for who may look.
fn become_these(c: &mut Credentials, which: Which, new: Ids) {
    let (old, before) = (*ids(c, which), c.caps.permitted());
    *ids(c, which) = new;
    if which == Which::User && !c.securebits.contains(SecureBits::NO_SETUID_FIXUP) {
        users_changed(&mut c.caps, old, new, c.securebits.contains(SecureBits::KEEP_CAPS));
    }
    if (old.effective, old.fs) != (new.effective, new.fs) || c.caps.permitted() & !before != 0 {
        c.undumpable = true;
    }
}

fn users_changed(caps: &mut Caps, old: Ids, new: Ids, keep: bool) {
    let root = |i: Ids| i.real == 0 || i.effective == 0 || i.saved == 0;
    if root(old) && !root(new) {
        if !keep {
            caps.set_permitted(0);
            caps.set_effective(0);
        }
        caps.ambient = 0;
    }
    if old.effective == 0 && new.effective != 0 {
        caps.set_effective(0);
    }
    if old.effective != 0 && new.effective == 0 {
        caps.set_effective(caps.permitted());
    }
}

/// `setfsuid`: capabilities that concern files come and go.
fn files_changed(caps: &mut Caps, old: Ids, new: Ids) {
    const OF_FILES: u64 = 1 << cap::CHOWN
        | 1 << cap::MKNOD
        | 1 << cap::DAC_OVERRIDE
        | 1 << cap::DAC_READ_SEARCH
        | 1 << cap::FOWNER
        | 1 << cap::FSETID
        | 1 << cap::LINUX_IMMUTABLE
        | 1 << cap::MAC_OVERRIDE;
    if old.fs == 0 && new.fs != 0 {
        caps.set_effective(caps.effective() & !OF_FILES);
    }
    if old.fs != 0 && new.fs == 0 {
        caps.set_effective(caps.effective() | OF_FILES & caps.permitted());
    }
}

/// `setuid`, `setgid`: sets all of them with privilege, otherwise the effective one.
pub fn set_one(c: &mut Credentials, which: Which, id: u32) -> Result<()> {
    if id == KEEP {
        return Err(Errno::EINVAL);
    }
    let old = *ids(c, which);
    let new = if privileged(c, which) {
        Ids { real: id, effective: id, saved: id, fs: id }
    } else if id == old.real || id == old.saved {
        Ids { effective: id, fs: id, ..old }
    } else {
        return Err(Errno::EPERM);
    };
    become_these(c, which, new);
    Ok(())
}

/// `setreuid`, `setregid`: the saved one follows the effective one when the real one is set or differs.
pub fn set_two(c: &mut Credentials, which: Which, real: u32, effective: u32) -> Result<()> {
    let (old, any) = (*ids(c, which), privileged(c, which));
    let or = |id: u32, now: u32| if id == KEEP { now } else { id };
    let mut new = Ids { real: or(real, old.real), effective: or(effective, old.effective), ..old };
    if !any
        && (![old.real, old.effective].contains(&new.real)
            || ![old.real, old.effective, old.saved].contains(&new.effective))
    {
        return Err(Errno::EPERM);
    }
    if real != KEEP || effective != KEEP && effective != old.real {
        new.saved = new.effective;
    }
    new.fs = new.effective;
    become_these(c, which, new);
    Ok(())
}

/// `setresuid`, `setresgid`: without privilege, each may become only one of the current ones.
pub fn set_three(c: &mut Credentials, which: Which, wanted: [u32; 3]) -> Result<()> {
    let (old, any) = (*ids(c, which), privileged(c, which));
    let now = [old.real, old.effective, old.saved];
    if !any && wanted.iter().any(|id| *id != KEEP && !now.contains(id)) {
        return Err(Errno::EPERM);
    }
    let [real, effective, saved] = core::array::from_fn(|i| if wanted[i] == KEEP { now[i] } else { wanted[i] });
    become_these(c, which, Ids { real, effective, saved, fs: effective });
    Ok(())
}

/// `setfsuid`, `setfsgid`: to one of the current ones, or any with privilege; returns only what was there before.
pub fn set_fs(c: &mut Credentials, which: Which, id: u32) -> u32 {
    let old = *ids(c, which);
    if id != KEEP && ([old.real, old.effective, old.saved, old.fs].contains(&id) || privileged(c, which)) {
        let new = Ids { fs: id, ..old };
        *ids(c, which) = new;
        if which == Which::User && !c.securebits.contains(SecureBits::NO_SETUID_FIXUP) {
            files_changed(&mut c.caps, old, new);
        }
        c.undumpable |= old.fs != id;
    }
    old.fs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(real: u32, effective: u32, saved: u32) -> Ids {
        Ids { real, effective, saved, fs: effective }
    }

    #[test]
    fn setuid_gives_everything_up_and_is_the_same_twice() {
        let mut c = Credentials::default();
        for _ in 0..2 {
            set_one(&mut c, Which::User, 33).unwrap();
            assert_eq!((c.uid, c.caps.effective(), c.caps.permitted()), (at(33, 33, 33), 0, 0));
        }
        assert_eq!(set_one(&mut c, Which::User, 0), Err(Errno::EPERM));
        assert!(c.undumpable);
    }

    #[test]
    fn the_saved_id_leads_back() {
        let mut c = Credentials::default();
        set_three(&mut c, Which::User, [KEEP, 33, KEEP]).unwrap();
        assert_eq!((c.caps.effective(), c.caps.permitted()), (0, cap::ALL));
        set_one(&mut c, Which::User, 0).unwrap();
        assert_eq!((c.uid, c.caps.effective()), (at(0, 0, 0), cap::ALL));
        set_two(&mut c, Which::User, KEEP, 33).unwrap();
        assert_eq!(c.uid, at(0, 33, 33));
        assert_eq!(set_two(&mut c, Which::User, 33, 0), Ok(()));
        assert_eq!(c.uid, at(33, 0, 0));
    }

    #[test]
    fn keepcaps_keeps_what_is_permitted() {
        let mut c = Credentials { securebits: SecureBits::KEEP_CAPS, ..Credentials::default() };
        set_one(&mut c, Which::User, 33).unwrap();
        assert_eq!((c.caps.effective(), c.caps.permitted()), (0, cap::ALL));
    }

    #[test]
    fn setfsuid_is_about_files_only() {
        let mut c = Credentials::default();
        assert_eq!(set_fs(&mut c, Which::User, 33), 0);
        assert!(!c.capable(cap::DAC_OVERRIDE) && c.capable(cap::SETUID));
        assert_eq!(set_fs(&mut c, Which::User, 0), 33);
        assert_eq!(c.caps.effective(), cap::ALL);
    }
}
