//! Disks: files that a VM takes for disks, with a FAT volume. Made, locked, opened for a VM, made larger.

mod create;
pub mod grow;
mod hold;
mod open;
mod volume;
mod wanted;

pub use create::create;
pub use open::{Disk, open_all};
pub use wanted::Wanted;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    /// Nothing is wrong with a disk, says who judges on Linux. Only CI has to have that judge.
    pub fn check(disk: &Path) {
        match Command::new("/usr/sbin/fsck.vfat").arg("-n").arg(disk).output() {
            Ok(out) => {
                let said = String::from_utf8_lossy(&out.stdout);
                assert!(out.status.success() && said.lines().count() == 2, "{}: {said}", disk.display());
            }
            Err(error) => assert!(!crate::packages::in_ci(), "fsck.vfat: {error}"),
        }
    }
}
