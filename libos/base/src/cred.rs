//! The program's identity: users, groups, capabilities (credentials(7), capabilities(7)).
//!
//! There is one set for the whole process. Linux has one per thread, and the C library keeps them the same; a raw call
//! meant for its own thread only changes the process here.
//!
//! The program starts as root with every capability. All that every program pays is one load: [`capable`], and the
//! owner of what it creates. Changing credentials is in `libos`, and the permission checks on files are in `libos-fs`:
//! both are linked only into programs that change their credentials.

use crate::abi::SecureBits;
use crate::sync::{SpinLock, class};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The capabilities, and sets of them.
pub mod cap {
    pub use libos_abi::constants::cap::*;
    /// The highest one.
    pub const LAST: u32 = CHECKPOINT_RESTORE;
    /// All of them.
    pub const ALL: u64 = (1 << (LAST + 1)) - 1;
}

/// User or group IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ids {
    pub real: u32,
    pub effective: u32,
    pub saved: u32,
    /// The one used for file access: the effective ID unless `setfsuid` changed it.
    pub fs: u32,
}

/// Sets of capabilities. Root's initial sets are stored as what is missing, so that the structure starts as zeros and
/// costs the image nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Caps {
    not_effective: u64,
    not_permitted: u64,
    not_bounding: u64,
    pub inheritable: u64,
    pub ambient: u64,
}

impl Caps {
    /// The set that checks go by.
    pub fn effective(&self) -> u64 {
        cap::ALL & !self.not_effective
    }
    /// What may become effective.
    pub fn permitted(&self) -> u64 {
        cap::ALL & !self.not_permitted
    }
    /// What executing a file could grant.
    pub fn bounding(&self) -> u64 {
        cap::ALL & !self.not_bounding
    }
    pub fn set_effective(&mut self, set: u64) {
        self.not_effective = cap::ALL & !set;
    }
    pub fn set_permitted(&mut self, set: u64) {
        self.not_permitted = cap::ALL & !set;
    }
    pub fn set_bounding(&mut self, set: u64) {
        self.not_bounding = cap::ALL & !set;
    }
}

/// Supplementary groups, sorted.
pub type Groups = Option<Arc<Vec<u32>>>;

/// All credentials of the process.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    pub uid: Ids,
    pub gid: Ids,
    pub groups: Groups,
    pub caps: Caps,
    pub securebits: SecureBits,
    /// `prctl(PR_SET_DUMPABLE)`, inverted: decides who owns the files of `/proc/self`.
    pub undumpable: bool,
    /// `prctl(PR_SET_NO_NEW_PRIVS)`; kept: nothing is ever executed.
    pub no_new_privileges: bool,
}

impl Credentials {
    const fn root() -> Self {
        const IDS: Ids = Ids { real: 0, effective: 0, saved: 0, fs: 0 };
        const CAPS: Caps = Caps { not_effective: 0, not_permitted: 0, not_bounding: 0, inheritable: 0, ambient: 0 };
        Self {
            uid: IDS,
            gid: IDS,
            groups: None,
            caps: CAPS,
            securebits: SecureBits::empty(),
            undumpable: false,
            no_new_privileges: false,
        }
    }
    /// Supplementary groups.
    pub fn groups(&self) -> &[u32] {
        self.groups.as_deref().map_or(&[], |g| g)
    }
    /// Whether it is in this group, as far as file access goes.
    pub fn in_group(&self, gid: u32) -> bool {
        self.gid.fs == gid || self.groups().binary_search(&gid).is_ok()
    }
    /// Whether this capability is effective.
    pub fn capable(&self, which: u32) -> bool {
        self.caps.not_effective & 1 << which == 0
    }
}

static NOW: SpinLock<Credentials> = SpinLock::new(class::CREDENTIALS, Credentials::root());
/// Read often, so kept outside the lock: the missing capabilities, and pairs of user and group.
static MISSING: AtomicU64 = AtomicU64::new(0);
static REAL: AtomicU64 = AtomicU64::new(0);
static EFFECTIVE: AtomicU64 = AtomicU64::new(0);
static FS: AtomicU64 = AtomicU64::new(0);

/// Whether the program has this capability.
pub fn capable(which: u32) -> bool {
    MISSING.load(Relaxed) & 1 << which == 0
}

fn pair(v: u64) -> (u32, u32) {
    (v as u32, (v >> 32) as u32)
}

/// Real user and group.
pub fn real() -> (u32, u32) {
    pair(REAL.load(Relaxed))
}

/// Effective user and group.
pub fn effective() -> (u32, u32) {
    pair(EFFECTIVE.load(Relaxed))
}

/// User and group that own what the program creates.
pub fn owner() -> (u32, u32) {
    pair(FS.load(Relaxed))
}

/// Looks at the current credentials. `f` takes no locks and does not fault.
pub fn with<R>(f: impl FnOnce(&Credentials) -> R) -> R {
    f(&NOW.lock())
}

/// A copy of the current credentials.
pub fn get() -> Credentials {
    with(Credentials::clone)
}

/// Changes them in one step, unless `f` fails; `f` takes no locks and does not fault.
pub fn change<R>(f: impl FnOnce(&mut Credentials) -> crate::Result<R>) -> crate::Result<R> {
    let mut now = NOW.lock();
    let mut new = now.clone();
    let r = f(&mut new)?;
    let pair = |uid: u32, gid: u32| u64::from(uid) | u64::from(gid) << 32;
    MISSING.store(new.caps.not_effective, Relaxed);
    REAL.store(pair(new.uid.real, new.gid.real), Relaxed);
    EFFECTIVE.store(pair(new.uid.effective, new.gid.effective), Relaxed);
    FS.store(pair(new.uid.fs, new.gid.fs), Relaxed);
    let old = core::mem::replace(&mut *now, new);
    drop(now);
    // Dropping it may free its groups.
    drop(old);
    Ok(r)
}
