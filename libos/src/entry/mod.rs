//! Between the program and the kernel: what faults and interrupts of the program lead to, the way back to it with what must be done
//! before, signals delivered on its stack, and how its threads begin.
//! Floor: entry.

mod deliver;
pub mod fault;
mod restart;
mod sigreturn;
mod thread;
mod work;

pub use sigreturn::sigreturn;
pub use thread::{clone_thread, start_main};
pub use work::{enter_program, exit_work};
