//! Disks: the block devices of the machine.

use crate::arch::cpu;
use crate::devices;
use drivers::virtio::blk::{Blk, Options};
use drivers::virtio::id;
use libos_base::block::{self, BlockDevice, SECTOR};
use libos_base::layout::PAGE_SIZE;

crate::component!("disk", optional, wanted by [open, openat, openat2], starts start);

/// Registers every virtio disk: `vda`, `vdb` and so on.
extern "C" fn start() {
    let memory = (crate::mm::stats().total * PAGE_SIZE) as u64;
    let options = Options::for_machine(memory, devices::machine().topology.cpus.len(), cpu::id);
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
