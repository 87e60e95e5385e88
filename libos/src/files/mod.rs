//! Files of this machine: the root archive, disks, volumes on them, folders of the host; and the mounts that boot
//! parameters ask for: disks (`SERIAL:PATH:FS[:ro][:OPTION]...`) and folders (`TAG:PATH[:ro]`).
//! Floor: parts.

mod disk;
mod fat;
mod proc;
pub mod program_file;
mod share;

use crate::exit;
use crate::params::{Params, parameters};
use alloc::vec::Vec;
use libos_base::sync::Provider;
use libos_base::{Errno, Result, user};
use libos_fs::filesystem::{self, FileSystem, Request};
use libos_fs::root;

/// Mounts all that; set once there is a file system.
static MOUNT: Provider<fn()> = Provider::new();

/// Hands the root archives and what boot knows to the root file system, which is built when the first path is used.
pub fn configure(image: &'static [u8], initrd: &'static [u8], params: &Params) {
    root::configure(root::Config {
        image,
        initrd,
        hostname: params.hostname.clone().unwrap_or_default(),
        cwd: params.cwd.clone().unwrap_or_default(),
        memory: crate::mm::stats().total * libos_base::layout::PAGE_SIZE,
    });
}

/// Registers a component's file system, which boot parameters can then name.
pub fn offer(kind: &'static FileSystem) {
    kind.register();
    MOUNT.provide(&(mount_all as fn()));
}

/// Mounts what was asked for, after all components have started. The program does not run without what it was promised.
pub fn start() {
    let p = parameters();
    if !p.disks.is_empty() || !p.shares.is_empty() {
        match MOUNT.get() {
            Some(mount) => mount(),
            None => {
                libos_base::error!("this image was built without file systems that can be mounted");
                exit::machine(127);
            }
        }
    }
}

fn mount_all() {
    let p = parameters();
    root::mounting(true);
    p.disks.iter().for_each(|spec| done("disk", spec, disk(spec)));
    p.shares.iter().for_each(|spec| done("host folder", spec, share(spec)));
    root::mounting(false);
}

fn done(what: &str, spec: &[u8], result: Result<()>) {
    if let Err(e) = result {
        libos_base::error!("{what} {}: cannot mount: {e}", user::lossy(spec));
        exit::machine(127);
    }
}

fn disk(spec: &[u8]) -> Result<()> {
    let mut fields = spec.split(|&b| b == b':');
    let mut next = || fields.next().ok_or(Errno::EINVAL);
    let (source, path, kind) = (next()?, next()?, next()?);
    let (flags, options): (Vec<_>, Vec<_>) = fields.partition(|f| *f == b"ro");
    filesystem::mount(kind, path, &Request { source, read_only: !flags.is_empty(), options: &options })
}

fn share(spec: &[u8]) -> Result<()> {
    let colon = spec.iter().position(|&b| b == b':').ok_or(Errno::EINVAL)?;
    let (source, path) = (&spec[..colon], &spec[colon + 1..]);
    let (path, read_only) = path.strip_suffix(b":ro").map_or((path, false), |path| (path, true));
    filesystem::mount(share::NAME.as_bytes(), path, &Request { source, read_only, options: &[] })
}
