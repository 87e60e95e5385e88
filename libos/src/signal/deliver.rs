//! Taking signals on the way back to the program.

use super::frame::{self, StackT};
use super::queue::{Info, code};
use super::state::{ACTIONS, Action, SIG_DFL, SIG_IGN, sa};
use super::{SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, mask, restart};
use crate::sched::{self, ExitContext, current};
use core::sync::atomic::Ordering::Relaxed;
use libos_base::Errno;
use libos_base::abi::signal::{DefaultAction as Act, SigSet, default_action, name};

/// Takes every signal that is pending and not blocked: sets up handlers' frames, or ends the program. Then sees to the
/// restart of an interrupted call. True when `ctx.regs` were changed.
pub fn deliver(ctx: &mut ExitContext<'_>) -> bool {
    let me = current();
    let mut handled = false;
    while let Some(info) = super::take_pending(SigSet(!me.signals.blocked().0)) {
        let Some(action) = handler_for(info.signo) else {
            end_or_ignore(ctx, info.signo);
            continue;
        };
        if !handled {
            restart::before_handler(ctx, action.flags & sa::RESTART != 0);
        }
        handled = true;
        run_handler(ctx, &info, &action, 0);
        // What follows interrupts the handler, not the call.
        ctx.syscall = None;
    }
    let changed = handled || restart::without_handler(ctx);
    if let Some(m) = me.signals.take_restore() {
        mask::set_mask(m);
    }
    changed
}

/// The action, if it is a handler; SA_RESETHAND is seen to.
fn handler_for(signo: i32) -> Option<Action> {
    let mut table = ACTIONS.lock();
    let slot = &mut table[signo as usize - 1];
    let a = *slot;
    if a.handler == SIG_DFL || a.handler == SIG_IGN {
        return None;
    }
    if a.flags & sa::RESETHAND != 0 {
        slot.handler = SIG_DFL;
    }
    Some(a)
}

/// The action is not a handler.
fn end_or_ignore(ctx: &ExitContext<'_>, signo: i32) {
    if super::get_action(signo).handler == SIG_IGN {
        return;
    }
    match default_action(signo) {
        Act::Ignore | Act::Stop => {}
        Act::Terminate => sched::exit_process(128 + signo),
        Act::Core => crate::crash::fatal_signal(signo, ctx.regs, name(signo), ctx.regs.rip as usize),
    }
}

/// The alternate stack, as the program sees it now.
pub(super) fn altstack_of(sp: usize) -> StackT {
    let [base, size, flags] = [0, 1, 2].map(|i| current().signals.altstack[i].load(Relaxed));
    let on = flags & SS_DISABLE == 0 && sp > base && sp - base <= size;
    let flags = if flags & SS_AUTODISARM == 0 && on { flags | SS_ONSTACK } else { flags };
    StackT { sp: base, flags: flags as u32, pad: 0, size }
}

fn run_handler(ctx: &mut ExitContext<'_>, info: &Info, action: &Action, cr2: u64) {
    let me = current();
    let sp = ctx.regs.rsp as usize;
    let stack = altstack_of(sp);
    let off = stack.flags as usize & (SS_DISABLE | SS_ONSTACK) != 0;
    let top = (action.flags & sa::ONSTACK != 0 && !off).then_some(stack.sp + stack.size);
    let blocked = me.signals.blocked();
    // sigsuspend and the like: the handler runs under the temporary mask, and returns to the old one.
    let saved = me.signals.take_restore().unwrap_or(blocked);
    let pushed = frame::push(ctx.regs, ctx.xsave, top, info, stack, saved, action.restorer, cr2);
    let Ok(f) = pushed else {
        libos_base::error!("no room on the program's stack for the handler of {}", name(info.signo));
        crate::crash::fatal_signal(super::SIGSEGV, ctx.regs, "no room on the stack for a signal handler", sp);
    };
    if top.is_some() && stack.flags as usize & SS_AUTODISARM != 0 {
        me.signals.altstack[2].store(SS_DISABLE, Relaxed);
    }
    let mut new = blocked.union(SigSet(action.mask));
    if action.flags & sa::NODEFER == 0 {
        new = new.union(SigSet::of(info.signo));
    }
    mask::set_mask(new);
    let r = &mut *ctx.regs;
    r.rdi = info.signo as u64;
    r.rsi = f.info as u64;
    r.rdx = f.uc as u64;
    r.rax = 0;
    r.rsp = f.sp as u64;
    r.rip = action.handler as u64;
    r.rflags = sched::program_segments().rflags;
}

/// A fault of the program itself: cannot wait, so a blocked or ignored one ends the program (signal(7), as Linux's
/// force_sig).
pub fn fault(ctx: &mut ExitContext<'_>, signo: i32, si_code: i32, addr: usize, what: &'static str) {
    let blocked = current().signals.blocked().has(signo);
    match handler_for(signo) {
        Some(action) if !blocked => {
            let info = Info::fault(signo, si_code, if si_code == code::SI_KERNEL { 0 } else { addr });
            run_handler(ctx, &info, &action, addr as u64);
        }
        _ => crate::crash::fatal_signal(signo, ctx.regs, what, addr),
    }
}

/// What a call that was interrupted returns when it is not restarted.
pub(super) const INTERRUPTED: u64 = -(Errno::EINTR as i64) as u64;
