//! Work that is done on the way back to the program.

use super::deliver;
use crate::arch::upcall::ExitContext;
use crate::arch::{TrapFrame, percpu, syscall};
use crate::sched::{self, current};
use core::sync::atomic::Ordering::Relaxed;
use libos_base::percpu::{disable_interrupts, restore_interrupts, work::SIGNAL};
use libos_base::sync::check;

/// Reschedules, ends the thread, delivers signals, restarts the call. Interrupts on, on the thread's kernel stack with
/// nothing below. True: the program continues with `ctx.regs` (all of them), not with a plain return.
pub fn exit_work(ctx: &mut ExitContext<'_>) -> bool {
    let me = current();
    let mut changed = false;
    loop {
        if me.is_killed() {
            sched::exit_thread();
        }
        sched::resched_if_due();
        changed |= deliver::deliver(ctx);
        // Cleared first, checked second: a signal posted in between sets it again.
        percpu::clear_work(SIGNAL);
        if !me.signals.work_due() {
            return changed;
        }
    }
}

/// Continues the program with `regs`, after any pending work. The caller's kernel stack is given up.
pub fn enter_program(mut regs: TrapFrame, vectors: Option<*mut u8>) -> ! {
    loop {
        check::nothing_held("the exit to the program");
        disable_interrupts();
        if percpu::head().work.load(Relaxed) == 0 && !current().signals.work_due() {
            // SAFETY: `regs` is a program context with interrupts on and the program's segments; `vectors`, if any, is a
            // valid save area that lives on this stack until it has been loaded.
            unsafe { syscall::resume(&regs, vectors) }
        }
        restore_interrupts(true);
        exit_work(&mut ExitContext { regs: &mut regs, vectors, syscall: None });
    }
}
