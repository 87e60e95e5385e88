//! x86-64: entry from the boot protocols, page tables until `mm` takes over, descriptor tables, traps, the system
//! call entry, interrupt controllers, secondary processors.

pub mod apic;
pub mod backtrace;
pub mod clock;
pub mod cpu;
pub mod early;
mod entry;
mod extable;
pub mod fpu;
pub mod frame;
mod gdt;
mod idt;
pub mod interrupts;
pub mod ioapic;
pub mod ipi;
mod mem;
pub mod percpu;
pub mod smp;
mod syscall_entry;
mod syscall_instruction;
pub mod timer;
mod trap;
pub mod user;

pub use idt::{build as build_idt, load as load_idt, vector};
pub use syscall_entry::{current_frame, libos_resume, syscall_caller};
