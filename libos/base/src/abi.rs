//! The ABI crate's types, constants and layouts.

pub use libos_abi::arg::*;
pub use libos_abi::constants::*;
pub use libos_abi::layout::*;
pub use libos_abi::signal;
