//! Taking signals on the way back to the program.

use super::restart;
use crate::arch::fault::Fault;
use crate::arch::signal_frame as frame;
use crate::arch::upcall::ExitContext;
use crate::pending::{ACTIONS, Info, SIG_DFL, SIG_IGN};
use crate::sched::current;
use crate::{crash, exit, signal};
use libos_base::abi::signal::{DefaultAction as Act, SIGSEGV, SigSet, code, default_action, name};
use libos_base::abi::{ActionFlags, SigAction, StackFlags, StackT};

/// Takes every signal that is pending and not blocked: sets up handlers' frames, or ends the program. Then handles the
/// restart of an interrupted call. True when `ctx.regs` were changed.
pub fn deliver(ctx: &mut ExitContext<'_>) -> bool {
    let me = current();
    let mut handled = false;
    while let Some(info) = signal::take_pending(SigSet(!me.signals.blocked().0)) {
        let Some(action) = handler_for(info.signo) else {
            end_or_ignore(ctx, info.signo);
            continue;
        };
        if !handled {
            restart::before_handler(ctx, action.flags().contains(ActionFlags::RESTART));
        }
        handled = true;
        run_handler(ctx, &info, &action, 0);
        // What follows interrupts the handler, not the call.
        ctx.syscall = None;
    }
    let changed = handled || restart::without_handler(ctx);
    if let Some(m) = me.signals.take_restore() {
        signal::set_mask(m);
    }
    changed
}

/// The action, if it is a handler; SA_RESETHAND is seen to.
fn handler_for(signo: i32) -> Option<SigAction> {
    let mut table = ACTIONS.lock();
    let slot = &mut table[signo as usize - 1];
    let a = *slot;
    if a.handler == SIG_DFL || a.handler == SIG_IGN {
        return None;
    }
    if a.flags().contains(ActionFlags::RESETHAND) {
        slot.handler = SIG_DFL;
    }
    Some(a)
}

/// Carries out an action that is not a handler.
fn end_or_ignore(ctx: &ExitContext<'_>, signo: i32) {
    if signal::get_action(signo).handler == SIG_IGN {
        return;
    }
    match default_action(signo) {
        Act::Ignore | Act::Stop => {}
        Act::Terminate => exit::group(128 + signo),
        Act::Core => crash::fatal_signal(signo, ctx.regs, name(signo), ctx.regs.ip()),
    }
}

/// The alternate stack, as the program sees it now.
fn altstack_of(sp: usize) -> StackT {
    let mut stack = current().signals.altstack();
    if !stack.flags().intersects(StackFlags::DISABLE | StackFlags::AUTODISARM) && stack.holds(sp) {
        stack.flags |= StackFlags::ONSTACK.bits();
    }
    stack
}

fn run_handler(ctx: &mut ExitContext<'_>, info: &Info, action: &SigAction, fault_addr: u64) {
    let me = current();
    let sp = ctx.regs.sp();
    let stack = altstack_of(sp);
    let off = stack.flags().intersects(StackFlags::DISABLE | StackFlags::ONSTACK);
    let top = (action.flags().contains(ActionFlags::ONSTACK) && !off).then_some(stack.sp + stack.size);
    let blocked = me.signals.blocked();
    // sigsuspend and the like: the handler runs under the temporary mask, and returns to the old one.
    let saved = me.signals.take_restore().unwrap_or(blocked);
    let pushed = frame::push(ctx.regs, ctx.vectors, top, &info.to_bytes(), stack, saved, action.restorer, fault_addr);
    let Ok(f) = pushed else {
        libos_base::error!("no room on the program's stack for the handler of {}", name(info.signo));
        crash::fatal_signal(SIGSEGV, ctx.regs, "no room on the stack for a signal handler", sp);
    };
    if top.is_some() && stack.flags().contains(StackFlags::AUTODISARM) {
        me.signals.set_altstack(StackT { flags: StackFlags::DISABLE.bits(), ..stack });
    }
    let mut new = blocked.union(SigSet(action.mask));
    if !action.flags().contains(ActionFlags::NODEFER) {
        new = new.union(SigSet::of(info.signo));
    }
    signal::set_mask(new);
    frame::enter(ctx.regs, &f, action.handler, info.signo);
}

/// A fault of the program itself cannot wait, so if its signal is blocked or ignored, it ends the program (signal(7),
/// as Linux's force_sig).
pub fn fault(ctx: &mut ExitContext<'_>, fault: Fault) {
    let Fault { signo, code: si_code, addr, what } = fault;
    let blocked = current().signals.blocked().has(signo);
    match handler_for(signo) {
        Some(action) if !blocked => {
            let info = Info::fault(signo, si_code, if si_code == code::KERNEL { 0 } else { addr });
            run_handler(ctx, &info, &action, addr as u64);
        }
        _ => crash::fatal_signal(signo, ctx.regs, what, addr),
    }
}
