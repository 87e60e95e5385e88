//! Folders of the host, by virtio-9p.

/// Mounts the folders that boot parameters name. Called once, before the program, when the part is linked.
pub fn start() {}
