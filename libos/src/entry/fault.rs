//! Faults.

use super::deliver;
use crate::arch::fault::{By, Fault, PageFault};
use crate::arch::upcall::ExitContext;
use crate::signal::SIGKILL;
use crate::{crash, mm, sched, signal};

/// A page fault by the program, or by the kernel on the program's memory.
pub fn page_fault(fault: &PageFault) -> Result<(), Fault> {
    let me = sched::current();
    let before = libos_fs::cache::pages_moved().0;
    let result = mm::fault::handle(fault);
    if result.is_ok() {
        // A major one is one during which pages were read, be it by another thread: whether this one had to wait for
        // the disk is a matter of a few microseconds.
        me.count_fault(libos_fs::cache::pages_moved().0 != before);
    }
    // A call that runs out of memory ends first, as it may hold locks; the program ends with it.
    if fault.by == By::Call && result.is_err_and(|f| f.signo == SIGKILL) {
        signal::post_process(SIGKILL);
    }
    result
}

/// An instruction of the program faulted. Interrupts are on, on the thread's kernel stack. A handler runs, or the
/// program ends with a report.
pub fn program_fault(context: &mut ExitContext<'_>, fault: Fault) {
    if !sched::current().is_program {
        crash::kernel_fault(context.regs, fault.what, fault.addr);
    }
    deliver::fault(context, fault);
}
