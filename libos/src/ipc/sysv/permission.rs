//! Who may use an object (sysvipc(7), "Resource access permissions").

use libos_base::abi::IpcPerm;
use libos_base::cred::{self, cap, capable};
use libos_base::{Errno, Result};

/// For everybody: what calls ask for.
pub const READ: u32 = 0o444;
pub const WRITE: u32 = 0o222;
pub const EXEC: u32 = 0o111;
/// IPC_PRIVATE: found by nobody.
pub const PRIVATE: i32 = 0;

/// Owner, creator and mode of an object.
#[derive(Clone, Copy)]
pub struct Permission {
    pub key: i32,
    pub uid: u32,
    pub gid: u32,
    pub cuid: u32,
    pub cgid: u32,
    pub mode: u32,
}

impl Permission {
    /// For a new object.
    pub fn new(key: i32, flags: u32) -> Self {
        let (uid, gid) = cred::effective();
        Self { key, uid, gid, cuid: uid, cgid: gid, mode: flags & 0o777 }
    }

    fn is_users(&self) -> bool {
        [self.uid, self.cuid].contains(&cred::effective().0)
    }

    /// EACCES unless the caller has all of these rights (Linux's ipcperms()).
    pub fn allows(&self, wanted: u32) -> Result<()> {
        let wanted = (wanted >> 6 | wanted >> 3 | wanted) & 7;
        let groups = || cred::with(|c| c.in_group(self.cgid) || c.in_group(self.gid));
        let granted = match () {
            () if self.is_users() => self.mode >> 6,
            () if groups() => self.mode >> 3,
            () => self.mode,
        };
        if wanted & !granted == 0 || capable(cap::IPC_OWNER) { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// EPERM unless the caller may change and remove it.
    pub fn owned(&self) -> Result<()> {
        if self.is_users() || capable(cap::SYS_ADMIN) { Ok(()) } else { Err(Errno::EPERM) }
    }
    /// The same for those whom another capability helps.
    pub fn owned_or(&self, which: u32) -> Result<()> {
        if capable(which) || self.is_users() { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// IPC_SET. EINVAL: not an ID.
    pub fn set(&mut self, to: &IpcPerm) -> Result<()> {
        if [to.uid, to.gid].contains(&u32::MAX) {
            return Err(Errno::EINVAL);
        }
        (self.uid, self.gid) = (to.uid, to.gid);
        self.mode = self.mode & !0o777 | to.mode & 0o777;
        Ok(())
    }

    /// As the program sees it.
    pub fn shown(&self, id: i32) -> IpcPerm {
        IpcPerm {
            key: self.key,
            uid: self.uid,
            gid: self.gid,
            cuid: self.cuid,
            cgid: self.cgid,
            mode: self.mode,
            seq: super::ids::sequence(id) as u16,
            ..IpcPerm::default()
        }
    }
}
