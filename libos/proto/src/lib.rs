//! What both the host tool and the guest kernel know: boot parameters, the control protocol, the image note, and the
//! archive format of root file systems. Nothing here allocates in the guest; the writing halves exist only on the host.
#![cfg_attr(unibody_kernel, no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod control;
pub mod cpio;
#[cfg(not(unibody_kernel))]
pub mod cpio_writer;
pub mod net;
pub mod note;
pub mod number;
pub mod params;
pub mod rlimit;
pub mod terminal;

/// Name of the image's own file among those that the VMM passes to the guest (QEMU's `-fw_cfg`).
pub const IMAGE_FILE: &str = "opt/org.unibody/image";

/// Folders that every root has, parents first, with their permissions; `/dev` holds more.
pub const FOLDERS: &[(&str, u32)] = &[
    ("/dev", 0o755),
    ("/etc", 0o755),
    ("/proc", 0o555),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/tmp", 0o1777),
    ("/var", 0o755),
    ("/var/cache", 0o755),
    ("/var/lib", 0o755),
    ("/var/log", 0o755),
    ("/var/tmp", 0o1777),
];

/// Names of the virtio-console ports that carry the program's and the kernel's streams.
pub mod port {
    /// Standard input and standard output of the program.
    pub const STDIO: &str = "org.unibody.stdio";
    /// Standard error of the program.
    pub const STDERR: &str = "org.unibody.stderr";
    /// The control protocol (see [`crate::control`]).
    pub const CONTROL: &str = "org.unibody.control";
}
