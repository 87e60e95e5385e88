//! Restarting a call that a signal interrupted.

use crate::arch::syscall;
use crate::arch::upcall::ExitContext;
use libos_base::{Errno, Result};

/// What an interrupted call returns when it is not restarted.
const INTERRUPTED: i64 = -(Errno::EINTR as i64);

/// The restart code, if this result means "a signal came before anything was done".
fn code(r: &Result<usize>) -> Option<Errno> {
    match r {
        Err(e @ (Errno::ERESTARTSYS | Errno::ERESTARTNOINTR | Errno::ERESTARTNOHAND)) => Some(*e),
        _ => None,
    }
}

/// A handler is about to run.
pub fn before_handler(ctx: &mut ExitContext<'_>, sa_restart: bool) {
    match ctx.syscall.as_ref().and_then(|(_, _, result)| code(result)) {
        Some(Errno::ERESTARTNOINTR) => again(ctx),
        Some(Errno::ERESTARTSYS) if sa_restart => again(ctx),
        Some(_) => ctx.regs.set_result(INTERRUPTED),
        None => {}
    }
}

/// No handler ran: the program must not notice. True when the registers were changed.
pub fn without_handler(ctx: &mut ExitContext<'_>) -> bool {
    if ctx.syscall.as_ref().and_then(|(_, _, result)| code(result)).is_none() {
        return false;
    }
    again(ctx);
    ctx.syscall = None;
    true
}

fn again(ctx: &mut ExitContext<'_>) {
    let Some((nr, args, _)) = &ctx.syscall else { return };
    // The stack was there a moment ago: another thread unmapped it. The program will fault by itself.
    if !syscall::restart(ctx.regs, *nr, args) {
        ctx.regs.set_result(INTERRUPTED);
    }
}
