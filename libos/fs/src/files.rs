//! The files of the process: descriptors, root, working directory, umask.

mod attrs;
mod names;
mod open;
mod walk;
mod within;

use crate::dentry::Path;
use crate::fdtable::FdTable;
use crate::permission::{self, Who};
use crate::root;
use crate::walked::{self, Walked};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use libos_base::abi::{DirFd, Fd};
use libos_base::cred::cap;
use libos_base::sync::{Mutex, SpinLock, class};
use libos_base::{Errno, Result};

pub use attrs::{StatAt, new_owner};
pub use open::How;
pub use walk::REAL;

/// File state that all threads share.
pub struct Files {
    pub fds: FdTable,
    places: SpinLock<Option<Places>>,
    walked: Walked,
    /// Held while the root is built, so that it is built only once.
    building: Mutex<()>,
    umask: AtomicU32,
}

#[derive(Clone)]
struct Places {
    root: Path,
    cwd: Path,
}

static FILES: Files = Files::new();

/// Those of the program.
pub fn files() -> &'static Files {
    &FILES
}

impl Files {
    /// No descriptors; the root is built with the first path.
    pub const fn new() -> Self {
        Self {
            fds: FdTable::new(),
            places: SpinLock::new(class::PLACES, None),
            walked: Walked::new(),
            building: Mutex::new(class::ROOT_BUILDING, ()),
            umask: AtomicU32::new(0o022),
        }
    }
    /// With this root.
    pub fn with_root(root: Path) -> Self {
        let p = Self::new();
        *p.places.lock() = Some(Places { cwd: root.clone(), root });
        p
    }

    /// The root or the working directory.
    #[inline]
    fn start(&self, root: bool) -> Result<Path> {
        if let Some(p) = &*self.places.lock() {
            return Ok(if root { &p.root } else { &p.cwd }.clone());
        }
        self.places().map(|p| if root { p.root } else { p.cwd })
    }
    fn places(&self) -> Result<Places> {
        if let Some(p) = &*self.places.lock() {
            return Ok(p.clone());
        }
        let _one = self.building.lock();
        if let Some(p) = &*self.places.lock() {
            return Ok(p.clone());
        }
        let root = root::build()?;
        *self.places.lock() = Some(Places { cwd: root.clone(), root });
        root::enter(self);
        self.places()
    }
    /// The root directory.
    pub fn root(&self) -> Result<Path> {
        self.start(true)
    }
    /// The working directory.
    pub fn cwd(&self) -> Result<Path> {
        self.start(false)
    }

    /// `umask`: sets it and returns the old one.
    pub fn set_umask(&self, mask: u32) -> u32 {
        self.umask.swap(mask & 0o777, Ordering::Relaxed)
    }
    /// The permission bits that new files do not get.
    pub fn umask(&self) -> u32 {
        self.umask.load(Ordering::Relaxed)
    }

    /// `getcwd`, without the NUL. ENOENT: the directory was removed.
    pub fn getcwd(&self) -> Result<Vec<u8>> {
        let p = self.places()?;
        if p.cwd.dentry.removed() {
            return Err(Errno::ENOENT);
        }
        match p.cwd.text(Some(&p.root)) {
            Some(t) => Ok(t),
            // What Linux reports if the directory is not below the root (getcwd(2)).
            None => {
                let mut t = b"(unreachable)".to_vec();
                t.extend_from_slice(&p.cwd.text(None).unwrap_or_default());
                Ok(t)
            }
        }
    }
    fn set_place(&self, to: Path, root: bool) -> Result<()> {
        if !to.inode().is_dir() {
            return Err(Errno::ENOTDIR);
        }
        permission::search(to.inode(), Who::Fs)?;
        if root {
            permission::needs(cap::SYS_CHROOT)?;
        }
        self.places()?;
        let old = {
            let mut places = self.places.lock();
            let old = match places.as_mut() {
                Some(p) if root => core::mem::replace(&mut p.root, to),
                Some(p) => core::mem::replace(&mut p.cwd, to),
                None => return Ok(()),
            };
            walked::changed();
            old
        };
        drop(old);
        Ok(())
    }
    pub fn chdir(&self, path: &[u8]) -> Result<()> {
        self.set_place(self.lookup(DirFd::CWD, path, true)?, false)
    }
    pub fn fchdir(&self, fd: Fd) -> Result<()> {
        self.set_place(self.path_of(fd)?, false)
    }
    pub fn chroot(&self, path: &[u8]) -> Result<()> {
        self.set_place(self.lookup(DirFd::CWD, path, true)?, true)
    }

    /// The place of the file behind a descriptor. ENOTDIR if it has none.
    pub fn path_of(&self, fd: Fd) -> Result<Path> {
        let f = self.fds.get_any(fd)?;
        f.downcast::<crate::openfile::OpenFile>().map(|o| o.path.clone()).ok_or(Errno::ENOTDIR)
    }
}
