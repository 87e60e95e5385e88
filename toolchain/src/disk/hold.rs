//! Disks that are in use.

use crate::state::{self, record::Record};
use anyhow::Result;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use std::fs::File;
use std::path::Path;

/// A disk's file that no other process uses: our other commands see this lock, and a VMM's own lock was checked for.
pub struct Hold(File);

impl Hold {
    /// Takes the file for this process alone (or, if it was opened for reading, shared with other readers).
    pub fn take(file: File, shown: &Path) -> Result<Self> {
        let path = std::fs::canonicalize(shown)?;
        let writes = fcntl(&file, FcntlArg::F_GETFL)? & OFlag::O_ACCMODE.bits() == OFlag::O_RDWR.bits();
        let held = if writes { file.try_lock() } else { file.try_lock_shared() };
        held.map_err(|_| in_use(shown, &path))?;
        // A QEMU started by hand locks bytes of the file for as long as it has it open.
        let kind = if writes { libc::F_WRLCK } else { libc::F_RDLCK } as libc::c_short;
        let mut other = libc::flock { l_type: kind, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        let asked = fcntl(&file, FcntlArg::F_OFD_GETLK(&mut other));
        if writes && asked.is_ok() && other.l_type != libc::F_UNLCK as libc::c_short {
            return Err(in_use(shown, &path));
        }
        Ok(Self(file))
    }

    pub fn file(&self) -> &File {
        &self.0
    }
}

/// The failure for a disk that another process holds, with the VM's name if it is one of ours.
fn in_use(file: &Path, path: &Path) -> anyhow::Error {
    let holds = |record: &Record| record.disks.iter().any(|disk| Path::new(disk) == path);
    let others = state::list().unwrap_or_default();
    let holder = others.iter().find(|entry| entry.running && holds(&entry.record));
    match holder.map(|entry| &entry.record.name) {
        Some(name) => anyhow::anyhow!(
            "--disk {}: in use by the VM '{name}'; one VM at a time may have it (`unibody stop {name}`)",
            file.display()
        ),
        None => anyhow::anyhow!("--disk {}: in use by another process; one VM at a time may have it", file.display()),
    }
}
