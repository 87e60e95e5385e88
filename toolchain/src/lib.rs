//! The `unibody` command and the cross toolchain `x86_64-unikernel-*`.

pub mod apt;
pub mod build;
pub mod cli;
pub mod command;
pub mod disk;
pub mod failure;
pub mod files;
pub mod fingerprint;
pub mod hosted;
pub mod image;
pub mod lock;
pub mod output;
pub mod packages;
pub mod paths;
pub mod ports;
pub mod progress;
pub mod run;
pub mod size;
pub mod state;
pub mod sysroot;
pub mod vmm;
pub mod wrapper;
