//! Restarting a call that a signal interrupted.
//!
//! A call is a function call, so "again" means: the registers as at the entry of `libos_sys_N`, with the return address
//! on the stack. libc's cancellation handler relies on this shape: it knows a call that has not happened yet by its
//! return address on top of the stack (libc-shim, `pthread_cancel.c`).

use super::deliver::INTERRUPTED;
use crate::sched::{ExitContext, call_frame, restart_code};
use libos_base::{Errno, user};

unsafe extern "C" {
    fn libos_syscall_entry();
}

/// A handler is about to run.
pub fn before_handler(ctx: &mut ExitContext<'_>, sa_restart: bool) {
    let Some((nr, args, result)) = &ctx.syscall else { return };
    match restart_code(result) {
        Some(Errno::ERESTARTSYS) if sa_restart => again(ctx.regs, *nr, args),
        Some(_) => ctx.regs.rax = INTERRUPTED,
        None => {}
    }
}

/// No handler ran: the program must not notice. True when the registers were changed.
pub fn without_handler(ctx: &mut ExitContext<'_>) -> bool {
    let Some((nr, args, result)) = &ctx.syscall else { return false };
    if restart_code(result).is_none() {
        return false;
    }
    again(ctx.regs, *nr, args);
    ctx.syscall = None;
    true
}

fn again(regs: &mut crate::arch::frame::TrapFrame, nr: u64, args: &[u64; 6]) {
    [regs.rdi, regs.rsi, regs.rdx, regs.rcx, regs.r8, regs.r9] = *args;
    let ret = regs.rip;
    // The stack below the return is the program's, and the call's return address was its last word.
    regs.rsp -= 8;
    if user::write(regs.rsp as usize, &ret).is_err() {
        // It was there a moment ago: another thread unmapped the stack. The program will fault by itself.
        regs.rsp += 8;
        regs.rax = INTERRUPTED;
        return;
    }
    // SAFETY: the thread is in a call, so its frame is there; `pad` holds the handler (see `libos_syscall_entry`).
    regs.rax = unsafe { (*call_frame()).pad };
    regs.r11 = nr;
    regs.rip = libos_syscall_entry as *const () as u64;
}
