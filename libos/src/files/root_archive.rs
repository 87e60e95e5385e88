//! Hands the root archives and the boot parameters to the file system.

use crate::params::Params;

/// Remembers them; the tree is built when the first path is used.
pub fn init(image: &'static [u8], initrd: &'static [u8], params: &Params) {
    libos_fs::root::configure(libos_fs::root::Config {
        image,
        initrd,
        hostname: params.hostname.clone().unwrap_or_default(),
        cwd: params.cwd.clone().unwrap_or_default(),
        memory: crate::mm::stats().total * libos_base::layout::PAGE_SIZE,
    });
}
