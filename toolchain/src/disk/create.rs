//! Making disks.

use super::volume;
use crate::failure::usage;
use anyhow::{Context, Result, bail};
use fatfs::{FormatVolumeOptions, StdIoWrapper};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use std::fs::{File, Permissions};
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Anything smaller has no room for a useful FAT volume.
const LEAST_SIZE: u64 = 128 << 10;
/// FAT counts sectors of 512 bytes with 32 bits.
const MOST_SIZE: u64 = 512 * u32::MAX as u64;

/// Creates a disk: sparse, formatted, and visible only once it is complete.
pub fn create(path: &Path, size: u64) -> Result<()> {
    check_size(size)?;
    let fail = || format!("cannot make the disk {}", path.display());
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.exists() {
        bail!("cannot make the disk {}: there is no folder {} (it is not created)", path.display(), folder.display());
    }
    let new = unnamed(folder).with_context(fail)?;
    new.file().set_len(size).with_context(fail)?;
    format(new.file()).with_context(fail)?;
    new.file().sync_all().with_context(fail)?;
    match new.appear(path) {
        // Another process created it in between: that one is used.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.with_context(fail),
    }
}

/// A file without a name, if the file system supports that, so a killed process leaves nothing behind.
pub enum Unnamed {
    /// Nowhere yet.
    Hidden(File, PathBuf),
    /// Removed when dropped.
    Temporary(NamedTempFile),
}

const PREFIX: &str = ".unibody-disk-";

/// A new file in this folder.
pub fn unnamed(folder: &Path) -> std::io::Result<Unnamed> {
    // As for any new file: rw-rw-rw- minus the umask.
    const MODE: u32 = 0o666;
    let mut options = File::options();
    options.read(true).write(true).mode(MODE).custom_flags(OFlag::O_TMPFILE.bits());
    if let Ok(file) = options.open(folder) {
        return Ok(Unnamed::Hidden(file, folder.to_owned()));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).permissions(Permissions::from_mode(MODE)).tempfile_in(folder).map(Unnamed::Temporary)
}

impl Unnamed {
    pub fn file(&self) -> &File {
        match self {
            Self::Hidden(file, _) => file,
            Self::Temporary(file) => file.as_file(),
        }
    }

    /// Gives it its name, which must be free.
    pub fn appear(self, path: &Path) -> std::io::Result<()> {
        match self {
            Self::Hidden(file, _) => link(&file, path),
            Self::Temporary(file) => file.persist_noclobber(path).map(drop).map_err(|e| e.error),
        }
    }

    /// Puts it in the place of another file.
    pub fn replace(self, path: &Path) -> std::io::Result<()> {
        match self {
            Self::Hidden(file, folder) => {
                let between = folder.join(format!("{PREFIX}{}", std::process::id()));
                link(&file, &between)?;
                std::fs::rename(&between, path)
            }
            Self::Temporary(file) => file.persist(path).map(drop).map_err(|e| e.error),
        }
    }
}

fn link(file: &File, path: &Path) -> std::io::Result<()> {
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(nix::unistd::linkat(AT_FDCWD, from.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?)
}

/// Refuses sizes that FAT cannot have.
pub fn check_size(size: u64) -> Result<()> {
    if !size.is_multiple_of(512) || !(LEAST_SIZE..=MOST_SIZE).contains(&size) {
        return Err(usage(format!(
            "a disk has from 128K to 2047G, in multiples of 512 bytes; {size} is not such a size"
        )));
    }
    Ok(())
}

/// Writes an empty FAT volume to a file of zeros.
pub fn format(mut file: &File) -> Result<()> {
    let mut id = [0; 4];
    File::open("/dev/urandom")?.read_exact(&mut id)?;
    let mut options = FormatVolumeOptions::new().volume_label(*b"UNIBODY    ").volume_id(u32::from_le_bytes(id));
    // Clusters the size of a page where FAT16 allows it: half as many allocations as with the usual 2 KiB.
    if (16 << 20..256 << 20).contains(&file.metadata()?.len()) {
        options = options.bytes_per_cluster(4096);
    }
    fatfs::format_volume(&mut StdIoWrapper::from(&mut file), options).map_err(|e| anyhow::anyhow!("{e}"))?;
    volume::count_free(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_makes_a_sound_volume() {
        let dir = tempfile::tempdir().unwrap();
        let mib = 1 << 20;
        let sizes =
            [LEAST_SIZE, 1 << 18, mib, 4 * mib, 4200 << 10, 8 * mib, (8 << 20) + 512, 12 * mib, 16 * mib, 17 * mib];
        let large =
            [64 * mib, 128 * mib, 255 * mib, 256 * mib, 511 * mib, 512 * mib, 513 * mib, 2048 * mib, 9000 * mib];
        for size in sizes.into_iter().chain(large) {
            let file = dir.path().join("d.img");
            create(&file, size).unwrap();
            assert!(volume::walk(&File::open(&file).unwrap()).unwrap().is_empty(), "{size}");
            crate::disk::tests::check(&file);
            std::fs::remove_file(&file).unwrap();
        }
    }
}
