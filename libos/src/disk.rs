//! Disks: the block devices of the machine, and the file systems on them that the program is to see.

/// Starts the disks that boot parameters name. Called once, before the program, when the part is linked.
pub fn start() {}
