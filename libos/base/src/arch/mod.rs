//! What locks and preemption need from the processor: this CPU's own words, interrupts, call chains. The rest of the
//! architecture interface is in `libos/src/arch`, with a list of both (`CONTRACT.md`).

#[cfg(all(unibody_kernel, target_arch = "x86_64"))]
mod x86_64;
#[cfg(all(unibody_kernel, target_arch = "x86_64"))]
pub use x86_64::*;

#[cfg(not(unibody_kernel))]
pub use crate::host::processor::*;
