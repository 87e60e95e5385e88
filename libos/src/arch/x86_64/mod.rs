//! x86-64: boot protocols and entry, descriptor tables, traps, the system call entry, page tables, interrupt controllers,
//! secondary processors.

/// What uname(2) calls it.
pub const MACHINE: &[u8] = b"x86_64";

#[cfg(unibody_kernel)]
mod apic;
#[cfg(unibody_kernel)]
pub mod backtrace;
#[cfg(unibody_kernel)]
pub mod boot;
#[cfg(unibody_kernel)]
pub mod clock;
#[cfg(unibody_kernel)]
pub mod cpu;
#[cfg(unibody_kernel)]
mod extable;
#[cfg(unibody_kernel)]
mod fpu;
#[cfg(unibody_kernel)]
mod frame;
#[cfg(unibody_kernel)]
mod gdt;
#[cfg(unibody_kernel)]
mod idt;
#[cfg(unibody_kernel)]
pub mod interrupts;
#[cfg(unibody_kernel)]
mod ioapic;
#[cfg(unibody_kernel)]
pub mod ipi;
#[cfg(unibody_kernel)]
mod mem;
pub mod page;
#[cfg(unibody_kernel)]
pub mod percpu;
#[cfg(unibody_kernel)]
pub mod signal_frame;
#[cfg(unibody_kernel)]
pub mod smp;
#[cfg(unibody_kernel)]
mod stub;
#[cfg(unibody_kernel)]
pub mod switch;
#[cfg(unibody_kernel)]
pub mod syscall;
#[cfg(unibody_kernel)]
mod syscall_instruction;
#[cfg(unibody_kernel)]
pub mod timer;
#[cfg(unibody_kernel)]
mod trap;
#[cfg(unibody_kernel)]
pub mod user;

#[cfg(unibody_kernel)]
pub use super::upcall::ExitContext;
#[cfg(unibody_kernel)]
pub use frame::TrapFrame;
