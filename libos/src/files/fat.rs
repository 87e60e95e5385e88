//! FAT volumes on disks and their partitions.

use alloc::format;
use libos_base::block;
use libos_base::{Errno, Result};
use libos_fat::{Refused, Volume, partition};
use libos_fs::filesystem::{FileSystem, Opened, Request};
use unibody_proto::number;

crate::component!("fat", wanted by ["disk"], starts start);

static FAT: FileSystem = FileSystem::new(&["fat", "vfat"], open);

extern "C" fn start() {
    super::offer(&FAT);
}

/// The volume on the disk with the serial number that `request` names. Logs why if none can be used.
fn open(request: &Request<'_>) -> Result<Opened> {
    let mut part = None;
    for option in request.options {
        let n = option.strip_prefix(b"partition=").and_then(number::decimal).and_then(|n| n.try_into().ok());
        part = Some(n.ok_or(Errno::EINVAL)?);
    }
    let serial = core::str::from_utf8(request.source).map_err(|_| Errno::EINVAL)?;
    let disk = block::find(serial).ok_or(Errno::ENODEV)?;
    let open = partition::find(disk.clone(), part).and_then(|on| Volume::open(on, request.read_only));
    let root = open.map_err(|refused| match refused {
        Refused::Error(e) => e,
        Refused::Unusable(why) => {
            libos_base::error!("{}: no FAT volume that can be used: {why}", disk.name());
            Errno::EINVAL
        }
    })?;
    libos_fs::sync::close_at_end();
    let read_only = request.read_only || root.vol.is_read_only();
    Ok(Opened { source: format!("/dev/{}", root.vol.dev.name()), root, read_only })
}
