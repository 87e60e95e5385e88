//! System calls: the one table, and the handlers by family.
//! Floor: calls.
//!
//! A program's call is a C call to `libos_sys_N`. The stub made from the table chooses between the call's two lives
//! (Linux process or VM); in a VM it goes through `libos_syscall_entry` (arch) to the handler on the thread's kernel
//! stack, unless it is a [`leaf`].

pub mod aio;
pub mod cred;
pub mod epoll;
pub mod fd;
pub mod file;
pub mod futex;
pub mod info;
pub mod leaf;
mod limit;
pub mod lock;
mod macros;
pub mod memfd;
pub mod memory;
pub mod message;
pub mod mqueue;
pub mod msg;
mod owner;
pub mod path;
pub mod poll;
pub mod prctl;
pub mod process;
mod readiness;
mod refused;
pub mod scheduling;
pub mod sem;
pub mod shm;
pub mod signal;
pub mod socket;
pub mod splice;
pub mod stat;
mod support;
pub mod table;
pub mod thread;
pub mod time;
mod unix;

pub use refused::unknown as not_linked;
