//! The little that memory management needs from the processor, and its host stand-ins.

#[cfg(unibody_kernel)]
pub use crate::arch::{
    cpu::{invalidate_all, invalidate_page},
    percpu::{may_switch, pinned},
};

#[cfg(not(unibody_kernel))]
mod host {
    pub fn pinned<R>(f: impl FnOnce(usize) -> R) -> R {
        f(0)
    }
    pub fn invalidate_page(_: usize) {}
    pub fn invalidate_all() {}
    pub fn may_switch() -> bool {
        false
    }
}
#[cfg(not(unibody_kernel))]
pub use host::*;
