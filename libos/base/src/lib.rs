//! The foundation of every part of the kernel.
//!
//! There are two builds. With `--cfg unibody_kernel` (set by the toolchain) this is the bare kernel: `no_std`, and the
//! `libos` crate defines what [`upcall`] declares. Without it this is a host build: the same types are built on `std`,
//! so that every subsystem's logic runs under plain `cargo test`.
#![cfg_attr(unibody_kernel, no_std)]

extern crate alloc;
// Types that several crates must name are reached by this name.
extern crate self as libos_base;

pub mod abi;
mod arch;
pub mod block;
pub mod bytes;
pub mod cred;
pub mod file;
#[cfg(not(unibody_kernel))]
#[path = "tests/host/mod.rs"]
mod host;
pub mod io;
pub mod layout;
pub mod limits;
pub mod log;
pub mod memory;
pub mod p9;
pub mod page;
pub mod page_tree;
pub mod percpu;
pub mod poll;
pub mod random;
pub mod rmap;
pub mod sync;
pub mod thread;
pub mod time;
pub mod upcall;
pub mod user;

#[doc(hidden)]
pub use libos_abi::zerocopy;
pub use libos_abi::{Errno, Result, errno};
pub use libos_abi::{calls, prelude};
