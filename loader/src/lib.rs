//! ELF: what an image must look like so that every loader starts it and its own boot code can rely on it.
//!
//! `no_std` without an allocator, so that a guest can check an image too. The wrapper checks each image it links, and
//! the command each image it starts: errors are reported on the host, rather than by a machine that stays silent.
#![cfg_attr(unibody_kernel, no_std)]
#![forbid(unsafe_code)]

mod bytes;
mod check;

pub use check::{Fault, check};

#[cfg(test)]
mod tests;
