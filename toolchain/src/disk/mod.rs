//! Disks: files with a FAT volume that a VM uses as disks; creating, locking, opening and growing them.

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

    /// Linux's fsck finds nothing wrong with the disk. Only CI must have it installed.
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
