//! The kernel. `docs/ARCHITECTURE.md` says how it fits together; it begins in `boot::start`.
//!
//! Its modules stand on floors, listed in `floors.txt` from the top down: a module names only modules on floors below
//! its own, which `cargo unibody test host/floors` checks.
#![cfg_attr(unibody_kernel, no_std)]
#![cfg_attr(not(unibody_kernel), allow(dead_code, unused_imports, reason = "host builds test the logic and never run"))]

extern crate alloc;

#[macro_use]
mod arch;

#[cfg(unibody_kernel)]
mod boot;
#[cfg(unibody_kernel)]
mod component;
#[cfg(unibody_kernel)]
mod console;
#[cfg(unibody_kernel)]
mod crash;
#[cfg(unibody_kernel)]
mod devices;
#[cfg(unibody_kernel)]
mod entropy;
#[cfg(unibody_kernel)]
mod entry;
#[cfg(unibody_kernel)]
mod exit;
#[cfg(unibody_kernel)]
mod files;
mod futex;
mod ipc;
#[cfg(unibody_kernel)]
mod kernel_info;
#[cfg(unibody_kernel)]
mod log;
mod mm;
#[cfg(unibody_kernel)]
mod net;
mod params;
mod pending;
mod process;
mod sched;
mod signal;
#[cfg(unibody_kernel)]
mod syscall;
mod timer;
#[cfg(unibody_kernel)]
mod upcall;
