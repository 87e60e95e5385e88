//! The root of the namespace: built from the image's archive and the initrd when the first path is used.

use crate::dentry::Path;
use crate::files::Files;
use crate::inode::Inode;
use crate::mount::{self, Mount};
use crate::ramfs::{RamFs, populate};
use crate::{defaults, procfs};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use libos_base::abi::DirFd;
use libos_base::abi::mode::S_IFDIR;
use libos_base::sync::{Once, Provider};
use libos_base::{Errno, Result};

/// What boot knows about files.
pub struct Config {
    /// The root archive in the image (newc); empty if there is none. It stays mapped.
    pub image: &'static [u8],
    /// The archive laid over it; empty if there is none. It stays mapped.
    pub initrd: &'static [u8],
    /// Name of the machine, for `/etc/hostname` and `/etc/hosts`.
    pub hostname: Vec<u8>,
    /// Initial working directory; empty means `/`.
    pub cwd: Vec<u8>,
    /// Bytes of memory in the machine. Values that depend on it are computed where they are used and never stored: one
    /// computed too early would stay wrong forever.
    pub memory: usize,
}

/// Mounts what else belongs to the root, where that is linked.
pub static ALSO: Provider<fn(&Files) -> Result<()>> = Provider::new();

static CONFIG: Once<Config> = Once::new();
static ANONYMOUS: Once<Arc<Mount>> = Once::new();

/// Called once by boot, before the program starts. Only stores it.
pub fn configure(config: Config) {
    CONFIG.set(|| config);
}

fn config() -> &'static Config {
    /// For host tests.
    static NOTHING: Config =
        Config { image: &[], initrd: &[], hostname: Vec::new(), cwd: Vec::new(), memory: 128 << 20 };
    CONFIG.get().unwrap_or(&NOTHING)
}

/// Bytes of memory in the machine.
pub(crate) fn memory() -> usize {
    config().memory
}

/// What `/` and each memory file system may hold: half of memory, as with tmpfs on Linux.
pub fn capacity() -> usize {
    memory() / 2
}

/// The hostname given at boot.
pub fn hostname() -> &'static [u8] {
    match &config().hostname {
        h if h.is_empty() => b"unibody",
        h => h,
    }
}

/// A directory of a new ramfs.
pub fn new_ramfs(name: &'static str, mode: u32) -> Result<Arc<crate::ramfs::RamInode>> {
    RamFs::new(name, capacity())?.make(crate::inode::New { mode: S_IFDIR | mode, rdev: 0, target: &[] })
}

/// The mount of objects without a place (memfd, reopened pipes).
pub fn anonymous() -> Result<Arc<Mount>> {
    ANONYMOUS.get_or_try(|| Mount::new_root(new_ramfs("tmpfs", 0o777)?, "none")).cloned()
}

/// Builds the root: the archives, then what every program may expect, then `/dev` and `/proc`.
pub(crate) fn build() -> Result<Path> {
    let m = Mount::new_root(new_ramfs("ramfs", 0o755)?, "rootfs")?;
    let root = Path { dentry: m.root.clone(), mount: m };
    let files = Files::with_root(root.clone());
    for archive in [config().image, config().initrd] {
        populate::unpack(&files, archive)?;
    }
    defaults::fill(&files)?;
    let dev = files.lookup(DirFd::CWD, b"/dev", true)?;
    mount::mount(dev, defaults::devices()?, "devtmpfs", false)?;
    defaults::fill_dev(&files)?;
    let proc = files.lookup(DirFd::CWD, b"/proc", true)?;
    mount::mount(proc, procfs::root()?, "proc", false)?;
    if let Some(system) = procfs::system() {
        populate::make_dirs(&files, b"/sys")?;
        mount::mount(files.lookup(DirFd::CWD, b"/sys", true)?, system?, "sysfs", false)?;
    }
    ALSO.get().map_or(Ok(()), |mount| mount(&files))?;
    Ok(root)
}

/// The folder at `path`, which is made if there is none.
pub fn folder(files: &Files, path: &[u8]) -> Result<Path> {
    populate::make_dirs(files, path)?;
    files.lookup(DirFd::CWD, path, true)
}

/// Mounts a file system at `path` of the process, where a directory is created if there is none.
pub fn mount(path: &[u8], root: Arc<dyn Inode>, source: &str, read_only: bool) -> Result<()> {
    let on = folder(crate::files(), path)?;
    mount::mount(on, root, source, read_only).map(|_| ())
}

/// File systems will be mounted before the program starts: the working directory may be in one of them.
static MOUNTING: AtomicBool = AtomicBool::new(false);

/// Called around the mounts that boot asked for: `true` before, `false` after them.
pub fn mounting(now: bool) {
    MOUNTING.store(now, Ordering::Relaxed);
    if !now {
        enter(crate::files());
    }
}

/// Changes to the working directory that boot asked for.
pub(crate) fn enter(files: &Files) {
    if MOUNTING.load(Ordering::Relaxed) {
        return;
    }
    let cwd = &config().cwd;
    if !cwd.is_empty()
        && let Err(e) = files.chdir(cwd)
    {
        libos_base::warn!("working directory {}: {e}; staying in /", libos_base::user::lossy(cwd));
    }
}

/// Ignores EEXIST.
pub(crate) fn or_exists(r: Result<()>) -> Result<()> {
    match r {
        Err(Errno::EEXIST) => Ok(()),
        r => r,
    }
}
