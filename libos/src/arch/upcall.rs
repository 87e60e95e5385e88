//! What entries, faults and interrupts need from the kernel above: direct calls, implemented in `libos/src/upcall.rs`.
#![expect(clippy::crate_in_macro_def, reason = "the macro that defines them is this crate's own")]

use super::TrapFrame;
use libos_base::Result;

/// The program as it is about to continue.
pub struct ExitContext<'a> {
    /// Its registers. At the end of a call, only those that a call preserves, its result, and the instruction and stack
    /// pointers are meaningful.
    pub regs: &'a mut TrapFrame,
    /// Its vector state, if it was interrupted.
    pub vectors: Option<*mut u8>,
    /// Number, arguments and result of the call that ends.
    pub syscall: Option<SyscallExit>,
}

/// Number, arguments, result.
pub type SyscallExit = (u64, [u64; 6], Result<usize>);

libos_base::upcalls! {
    ($)
    /// What the processor's entries lead to.
    trait Entry, defined by define_entry, on the host by ();
    /// The boot CPU has its final page tables and runs at the image's base.
    fn start(boot: &'static mut crate::arch::boot_info::BootInfo) -> !;
    /// A further CPU has arrived, on the stack that was prepared for it.
    fn run_cpu(number: usize) -> !;
    /// The one-shot timer went off.
    fn timer_interrupt();
    /// Another CPU wants this one to look at its queue.
    fn reschedule_interrupt();
    /// Another CPU wants this one to forget translations.
    fn flush_interrupt();
    /// The end of an interrupt that hit kernel code, with a reschedule due: interrupts off, preemption count 0.
    fn preempt_from_interrupt();
    /// A page fault; once it is resolved the instruction is run again. Interrupts are on if `can_block`.
    fn page_fault(fault: &crate::arch::fault::PageFault) -> core::result::Result<(), crate::arch::fault::Fault>;
    /// The program's instruction faulted. Interrupts on, on the thread's kernel stack.
    fn program_fault(context: &mut crate::arch::upcall::ExitContext<'_>, fault: crate::arch::fault::Fault);
    /// The program ends by a signal, with a report.
    fn fatal_signal(signo: i32, regs: &crate::arch::TrapFrame, what: &'static str, addr: usize) -> !;
    /// A fault of the kernel itself.
    fn kernel_fault(regs: &crate::arch::TrapFrame, what: &'static str, addr: usize) -> !;
    /// Work on the way out to the program. True: it continues with the context's registers, not with a plain return.
    fn exit_work(context: &mut crate::arch::upcall::ExitContext<'_>) -> bool;
    /// Continues the program with `regs`, after any pending work.
    fn enter_program(regs: crate::arch::TrapFrame) -> !;
    /// A handler returned: the context at `uc` continues. `area` has room for the vector state.
    fn sigreturn(uc: usize, area: &'static mut [u8]) -> !;
    /// A call by a number that is not linked into this image.
    fn not_linked(number: usize);
}
