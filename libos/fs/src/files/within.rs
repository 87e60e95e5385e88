//! Names in one directory that calls reach without a path: message queues.

use super::{Files, names};
use crate::dentry::Path;
use crate::inode::{Inode, New};
use alloc::sync::Arc;
use libos_base::abi::{OpenFlags, mode::S_IFREG};
use libos_base::file::FileLike;
use libos_base::{Errno, Result};

/// EACCES for what is no name of one component (Linux's lookup_noperm()), ENOENT for the empty one.
fn check(name: &[u8]) -> Result<()> {
    match name {
        [] => Err(Errno::ENOENT),
        b"." | b".." => Err(Errno::EACCES),
        _ if name.contains(&b'/') => Err(Errno::EACCES),
        _ => Ok(()),
    }
}

impl Files {
    /// Opens `name` in `dir`; with O_CREAT and if there is none, what `make` makes for these permission bits.
    pub fn open_within(
        &self,
        dir: &Path,
        name: &[u8],
        flags: OpenFlags,
        mode: u32,
        make: impl FnOnce(u32) -> Result<Arc<dyn Inode>>,
    ) -> Result<Arc<dyn FileLike>> {
        check(name)?;
        let mut names = dir.dentry.children()?;
        let (dentry, fresh) = match dir.dentry.lookup_in(&mut names, name) {
            Err(Errno::ENOENT) if flags.contains(OpenFlags::CREAT) => {
                let new = New { mode: S_IFREG | mode & 0o7777, rdev: 0, target: &[] };
                (names::add_made(dir, &mut names, name, new, self.umask(), |_, new| make(new.mode & 0o7777))?, true)
            }
            Ok(_) if flags.contains(OpenFlags::CREAT | OpenFlags::EXCL) => return Err(Errno::EEXIST),
            found => (found?, false),
        };
        drop(names);
        self.finish(Path { mount: dir.mount.clone(), dentry }, flags, fresh)
    }

    /// Removes `name` from `dir`.
    pub fn unlink_within(&self, dir: &Path, name: &[u8]) -> Result<()> {
        check(name)?;
        names::remove(dir, name, false)
    }
}
