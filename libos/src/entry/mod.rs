//! Between the program and the kernel: where faults and interrupts of the program lead, the way back and the work done
//! before it, signals delivered on the program's stack, and how its threads begin.
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
