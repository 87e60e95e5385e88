//! The kernel. `docs/ARCHITECTURE.md` tells how it hangs together; `arch::entry` is where it starts.
#![cfg_attr(unibody_kernel, no_std)]

extern crate alloc;

#[cfg(unibody_kernel)]
pub mod syscall;

#[cfg(unibody_kernel)]
pub mod arch;
pub mod boot;
#[cfg(unibody_kernel)]
mod component;
#[cfg(unibody_kernel)]
pub mod console;
#[cfg(unibody_kernel)]
mod control;
#[cfg(unibody_kernel)]
pub mod crash;
#[cfg(all(unibody_kernel, debug_assertions))]
mod debug;
#[cfg(unibody_kernel)]
mod devices;
#[cfg(unibody_kernel)]
mod disk;
#[cfg(unibody_kernel)]
mod entropy;
#[cfg(unibody_kernel)]
pub mod exit;
#[cfg(unibody_kernel)]
mod fat;
pub mod futex;
#[cfg(unibody_kernel)]
mod hostdir;
#[cfg(unibody_kernel)]
mod kernel_info;
#[cfg(unibody_kernel)]
pub mod log;
pub mod mm;
#[cfg(unibody_kernel)]
mod mounts;
#[cfg(unibody_kernel)]
pub mod net;
pub mod process;
#[cfg(unibody_kernel)]
mod program_file;
#[cfg(unibody_kernel)]
mod rootfs;
pub mod sched;
pub mod signal;
pub mod timer;
#[cfg(unibody_kernel)]
mod upcall;
#[cfg(unibody_kernel)]
mod wallclock;
#[cfg(not(unibody_kernel))]
#[path = "wallclock/host.rs"]
mod wallclock;
