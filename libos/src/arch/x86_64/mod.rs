//! x86-64: boot protocols and entry, descriptor tables, traps, the system call entry, page tables, interrupt controllers,
//! secondary processors.

/// What uname(2) calls it.
pub const MACHINE: &[u8] = b"x86_64";

mod apic;
pub mod backtrace;
pub mod boot;
pub mod clock;
pub mod cpu;
mod extable;
mod fpu;
mod frame;
mod gdt;
mod idt;
pub mod interrupts;
mod ioapic;
pub mod ipi;
mod mem;
pub mod page;
pub mod percpu;
pub mod signal_frame;
pub mod smp;
mod stub;
pub mod switch;
pub mod syscall;
mod syscall_instruction;
pub mod timer;
mod trap;
pub mod user;

pub use frame::TrapFrame;
