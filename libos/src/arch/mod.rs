//! The processor, the ground floor: it names nothing of the kernel. What entries, faults and interrupts lead to is
//! reached through [`upcall`], which the top floor implements.
//! Floor: ground.
//!
//! `CONTRACT.md` lists what an architecture provides. x86-64 is the only one; its names and its assembly stay in its
//! folder, and the rest of the kernel says `arch::NAME`.

pub mod boot_info;
pub mod fault;
pub mod image;
#[cfg(unibody_kernel)]
#[macro_use]
pub mod upcall;

#[cfg(all(unibody_kernel, target_arch = "x86_64"))]
mod x86_64;
#[cfg(all(unibody_kernel, target_arch = "x86_64"))]
pub use x86_64::*;

// The only part of an architecture that host builds need.
#[cfg(not(unibody_kernel))]
#[path = "x86_64/page.rs"]
pub mod page;

/// The maximum number of CPUs: the width of the CPU masks.
pub const MAX_CPUS: usize = 64;
