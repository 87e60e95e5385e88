//! Disks: the block devices of the machine, and the file systems on them that the program is to see.

use crate::arch::cpu;
use crate::boot::parameters;
use crate::devices;
use drivers::virtio::blk::{Blk, Options};
use drivers::virtio::id;
use libos_base::block::{self, BlockDevice, SECTOR};
use libos_base::layout::PAGE_SIZE;
use libos_base::{Errno, Result, user};
use libos_fat::{Refused, Volume, partition};
use unibody_proto::number;

/// Starts the disks of the machine and mounts those that boot parameters name. Called once, before the program, when the
/// part is linked; the program does not start without them.
pub fn start() {
    find_devices();
    for spec in &parameters().disks {
        if let Err(e) = mount(spec) {
            libos_base::error!("disk {}: cannot mount: {e}", user::lossy(spec));
            crate::exit::process(127);
        }
    }
}

/// Registers every virtio disk: `vda`, `vdb` and so on.
fn find_devices() {
    let memory = (crate::mm::stats().total * PAGE_SIZE) as u64;
    let options = Options::for_machine(memory, devices::cpu_apic_ids().len(), cpu::id);
    let mut letter = b'a';
    while let Some(device) = devices::take_device(id::BLOCK) {
        let name = [b'v', b'd', letter];
        let name = core::str::from_utf8(&name).unwrap_or("vd?");
        match Blk::new(device, name, &options) {
            Ok(disk) => {
                let (kib, serial) = ((disk.sectors() * SECTOR) >> 10, disk.serial());
                let ro = if disk.read_only() { ", read-only" } else { "" };
                libos_base::info!("{name}: {kib} KiB in blocks of {}{ro}, serial {serial:?}", disk.block_size());
                if block::register(disk.clone()).is_err() {
                    libos_base::error!("{name}: no memory for the disk");
                }
            }
            Err(_) => libos_base::error!("{name}: the virtio disk does not work"),
        }
        letter = (letter + 1).min(b'z');
    }
}

/// Mounts `SERIAL:PATH:FS[:ro][:partition=N]`. Says why when that fails.
fn mount(spec: &[u8]) -> Result<()> {
    let mut fields = spec.split(|&b| b == b':');
    let mut next = || fields.next().ok_or(Errno::EINVAL);
    let (serial, path, kind) = (next()?, next()?, next()?);
    let (mut read_only, mut part) = (false, None);
    for field in fields {
        match field.strip_prefix(b"partition=") {
            Some(n) => part = Some(number::decimal(n).and_then(|n| n.try_into().ok()).ok_or(Errno::EINVAL)?),
            None if field == b"ro" => read_only = true,
            None => return Err(Errno::EINVAL),
        }
    }
    if !matches!(kind, b"fat" | b"vfat") {
        return Err(Errno::ENODEV);
    }
    let serial = core::str::from_utf8(serial).map_err(|_| Errno::EINVAL)?;
    let disk = block::find(serial).ok_or(Errno::ENODEV)?;
    let open = partition::find(disk.clone(), part).and_then(|on| Volume::open(on, read_only));
    let root = open.map_err(|refused| match refused {
        Refused::Error(e) => e,
        Refused::Because(why) => {
            libos_base::error!("{}: no FAT volume that can be used: {why}", disk.name());
            Errno::EINVAL
        }
    })?;
    let vol = &root.vol;
    let (read_only, source) = (read_only || vol.is_read_only(), alloc::format!("/dev/{}", vol.dev.name()));
    libos_fs::root::mount(path, root, &source, read_only)?;
    libos_fs::sync::close_at_end();
    Ok(())
}
