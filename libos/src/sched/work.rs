//! What is done on the way back to the program.

use super::hw;
use super::run::{Leaving, schedule};
use super::thread::current;
use core::sync::atomic::Ordering::Relaxed;
use hw::frame::TrapFrame;
use libos_base::percpu::work::{RESCHED, SIGNAL};
use libos_base::sync::check;
use libos_base::{Errno, Result};

/// The program as it is about to go on.
pub struct ExitContext<'a> {
    /// Its registers. At the end of a call only the callee-saved ones, rax, rip and rsp mean something.
    pub regs: &'a mut TrapFrame,
    /// Its vector state, if it was interrupted.
    pub xsave: Option<*mut u8>,
    /// Number, arguments and result of the call that ends.
    pub syscall: Option<SyscallExit>,
}

/// Number, arguments, result.
pub type SyscallExit = (u64, [u64; 6], Result<usize>);

/// Reschedules, ends the thread, delivers signals, restarts the call. Interrupts on, on the thread's kernel stack with
/// nothing below. True: the program goes on with `ctx.regs` (all of them), not with a plain return.
pub fn exit_work(ctx: &mut ExitContext<'_>) -> bool {
    let me = current();
    let mut changed = false;
    loop {
        if me.is_killed() {
            super::exit::exit_thread();
        }
        if hw::head().work.load(Relaxed) & RESCHED != 0 {
            let irq = hw::disable_interrupts();
            schedule(Leaving::Preempted);
            hw::restore_interrupts(irq);
        }
        changed |= crate::signal::deliver(ctx);
        // Cleared first, looked at second: what is posted in between sets it again.
        hw::clear_work(SIGNAL);
        if !me.signals.work_due() {
            return changed;
        }
    }
}

/// Continues the program with `regs`, work done first. The caller's kernel stack is given up.
pub(crate) fn enter_program(mut regs: TrapFrame, xsave: Option<*mut u8>) -> ! {
    loop {
        check::nothing_held("the exit to the program");
        hw::disable_interrupts();
        if hw::head().work.load(Relaxed) == 0 && !current().signals.work_due() {
            // SAFETY: `regs` is a program context with interrupts on and the program's segments; `xsave`, if any, is a
            // valid save area that lives on this stack until it has been loaded.
            unsafe { crate::arch::libos_resume(&regs, xsave.map_or(core::ptr::null(), |p| p)) }
        }
        hw::restore_interrupts(true);
        exit_work(&mut ExitContext { regs: &mut regs, xsave, syscall: None });
    }
}

/// The program's instruction at `regs.rip` faulted. Interrupts on, on the thread's kernel stack. A handler runs, or the
/// program ends with a report.
pub fn on_fault(regs: &mut TrapFrame, xsave: *mut u8, signo: i32, code: i32, addr: usize, what: &'static str) {
    let me = current();
    if !me.is_program {
        crate::crash::kernel_fault(regs, what, addr);
    }
    crate::signal::fault(&mut ExitContext { regs, xsave: Some(xsave), syscall: None }, signo, code, addr, what);
}

/// For the restart logic: whether this result means "a signal came before anything was done".
pub(crate) fn restart_code(r: &Result<usize>) -> Option<Errno> {
    match r {
        Err(e @ (Errno::ERESTARTSYS | Errno::ERESTARTNOHAND)) => Some(*e),
        _ => None,
    }
}
