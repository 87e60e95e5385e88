//! Virtual machine monitors: today QEMU.

pub mod accel;
pub mod machine;
pub mod qemu;
pub mod spawn;
