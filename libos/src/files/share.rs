//! Folders of the host, by virtio-9p.

use alloc::sync::Arc;
use alloc::vec::Vec;
use drivers::virtio::id;
use drivers::virtio::p9::P9;
use libos_base::sync::{Mutex, class};
use libos_base::{Errno, Result, user};
use libos_fs::filesystem::{FileSystem, Opened, Request};

crate::component!("share", optional, wanted by [open, openat, openat2], starts start);

/// The file system's name.
pub const NAME: &str = "9p";
static FOLDER: FileSystem = FileSystem::new(&[NAME], open);

extern "C" fn start() {
    super::offer(&FOLDER);
}

/// The folder with the tag that `request` names. ENODEV if there is none.
fn open(request: &Request<'_>) -> Result<Opened> {
    static DEVICES: Mutex<Vec<P9>> = Mutex::new(class::HOST_FOLDERS, Vec::new());
    let mut devices = DEVICES.lock();
    while let Some(device) = crate::devices::take_device(id::P9) {
        match P9::new(device) {
            Ok(d) => devices.push(d),
            Err(_) => libos_base::warn!("a virtio-9p device does not work"),
        }
    }
    let at = devices.iter().position(|d| d.tag == request.source).ok_or(Errno::ENODEV)?;
    let device = devices.swap_remove(at);
    drop(devices);
    libos_fs::sync::close_at_end();
    let root = libos_p9::attach(Arc::new(device))?;
    Ok(Opened { root, source: user::lossy(request.source), read_only: request.read_only })
}
