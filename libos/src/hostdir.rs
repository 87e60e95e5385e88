//! Folders of the host, by virtio-9p.

use crate::boot::parameters;
use alloc::sync::Arc;
use alloc::vec::Vec;
use drivers::virtio::{id, p9};
use libos_base::{Errno, Result, user};
use libos_fs::process::AT_FDCWD;
use libos_p9::{Payload, Transport};

/// A device as the protocol wants it.
struct Link(p9::P9);

impl Transport for Link {
    fn max_pages(&self) -> usize {
        self.0.max_pages()
    }
    fn call(&self, request: &[u8], payload: Payload<'_>, reply: &mut [u8]) -> Result<usize> {
        let payload = match payload {
            Payload::None => p9::Payload::None,
            Payload::Out(pages, n) => p9::Payload::Out(pages, n),
            Payload::In(pages, n) => p9::Payload::In(pages, n),
        };
        self.0.call(request, payload, reply)
    }
    fn post(&self, request: &[u8]) -> bool {
        self.0.post(request)
    }
}

/// Mounts the folders that boot parameters name. Called once, before the program, when the part is linked; the program
/// does not start without them.
pub fn start() {
    let shares = &parameters().shares;
    if shares.is_empty() {
        return;
    }
    let mut devices = Vec::new();
    while let Some(device) = crate::devices::take_device(id::P9) {
        match p9::P9::new(device) {
            Ok(d) => devices.push(d),
            Err(_) => libos_base::warn!("a virtio-9p device does not work"),
        }
    }
    libos_fs::sync::close_at_end();
    for spec in shares {
        if let Err(e) = mount(spec, &mut devices) {
            libos_base::error!("host folder {}: cannot mount: {e}", user::lossy(spec));
            crate::exit::process(127);
        }
    }
}

/// Mounts `TAG:PATH[:ro]` from the device with that tag. ENODEV: there is none.
fn mount(spec: &[u8], devices: &mut Vec<p9::P9>) -> Result<()> {
    let colon = spec.iter().position(|&b| b == b':').ok_or(Errno::EINVAL)?;
    let (tag, path) = (&spec[..colon], &spec[colon + 1..]);
    let (path, read_only) = match path.strip_suffix(b":ro") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let at = devices.iter().position(|d| d.tag == tag).ok_or(Errno::ENODEV)?;
    let source = user::lossy(tag);
    let root = libos_p9::attach(Arc::new(Link(devices.swap_remove(at))))?;
    let process = libos_fs::process();
    libos_fs::ramfs::populate::make_dirs(process, path)?;
    let on = process.lookup(AT_FDCWD, path, true)?;
    libos_fs::mount::mount(on, root, &source, read_only).map(|_| ())
}
