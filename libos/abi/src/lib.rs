//! The Linux ABI (x86-64) as data: what a program and its kernel agree on, with no code that acts on it.
//!
//! ```text
//! call       a row: number, name, arguments, result, how far it is supported
//! table      every row                              -> dispatch, docs/SUPPORT.md, `unibody inspect`, the C library's stubs
//! arg        what a register holds                  -> the types of the kernel's handlers
//! constants  numbers and flags with their C names   -> handlers and decoder
//! signal     signal numbers and sets             -> queues and masks
//! layout     structures in program memory           -> copies to and from the program, and decoder
//! decode     a call, its registers and its result   -> the line that strace would print
//! ```
//! Everything below the kernel may use this crate, and so may the host tool: it has no unsafe code and needs no
//! allocator. `tests/headers.rs` checks names and layouts against the system's own headers.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;
// So that `layout!` can use the same names inside and outside.
extern crate self as libos_abi;

mod macros;

pub mod arg;
pub mod call;
pub mod constants;
pub mod decode;
pub mod errno;
pub mod layout;
pub mod signal;
pub mod table;

/// The names used in the lines of the table: types of arguments.
pub mod prelude {
    pub use crate::arg::*;
    pub use crate::constants::*;
    pub use crate::layout::*;
}

pub use call::{Call, Support};
pub use errno::{Errno, Result};
#[doc(hidden)]
pub use zerocopy;
