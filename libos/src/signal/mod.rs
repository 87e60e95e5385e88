//! Signals inside the one process: actions, masks, queues, delivery on the program's stack.
//!
//! A signal is put into a queue (the thread's or the process's), a thread that does not block it is woken or
//! interrupted, and takes it on its way back to the program ([`deliver`]), when its kernel stack is empty. So a handler
//! may leave by siglongjmp: there is nothing to clean up.
//!
//! Locks: every queue and the table of actions have one `IrqSpinLock` (Rank::Signal) each; no two are held at once.
#![cfg_attr(not(unibody_kernel), allow(dead_code, reason = "host builds test the logic and never switch threads"))]

#[cfg(unibody_kernel)]
mod deliver;
#[cfg(unibody_kernel)]
mod frame;
mod mask;
mod post;
mod queue;
#[cfg(unibody_kernel)]
mod restart;
mod set;
pub mod signalfd;
#[cfg(unibody_kernel)]
mod sigreturn;
mod state;

#[cfg(unibody_kernel)]
pub use deliver::{deliver, fault};
pub use mask::{change_mask, set_mask, with_temporary_mask};
pub use post::{post_process, post_process_info, post_thread, raise_current};
pub use queue::{Info, QUEUE_MAX, Queue, code};
pub use set::*;
pub use state::{Action, SIG_DFL, SIG_IGN, ThreadSignals, sa};

use state::ignored;
use state::{ACTIONS, PROCESS};

/// No alternate stack (`ss_flags`).
pub const SS_DISABLE: usize = 2;
/// Running on the alternate stack.
pub const SS_ONSTACK: usize = 1;
/// Handlers disarm the alternate stack while they run on it.
pub const SS_AUTODISARM: usize = 1 << 31;

/// Changes what is done about a signal; what was done before. Dropping pending signals that are now ignored is
/// POSIX's wish (sigaction, "pending and ignored").
pub fn set_action(signo: i32, new: Option<Action>) -> Action {
    let old = {
        let mut t = ACTIONS.lock();
        let slot = &mut t[signo as usize - 1];
        let old = *slot;
        if let Some(a) = new {
            *slot = Action { mask: SigSet(a.mask).without(SigSet::UNBLOCKABLE).0, ..a };
        }
        old
    };
    if let Some(a) = new
        && ignored(signo, &a)
    {
        let set = SigSet::of(signo);
        PROCESS.with_pending(|q| q.flush(set));
        crate::sched::for_each_thread(|t| t.signals.with_pending(|q| q.flush(set)));
    }
    old
}

/// What is done about a signal: for `/proc/self/status`, and for the terminal's Ctrl-C.
pub fn get_action(signo: i32) -> Action {
    state::action(signo)
}

/// Takes a pending signal of `among`: the thread's own first, then the process's.
pub fn take_pending(among: SigSet) -> Option<Info> {
    let s = &crate::sched::current().signals;
    if s.pending().0 & among.0 == 0 {
        return None;
    }
    s.with_pending(|q| q.take(among)).or_else(|| PROCESS.with_pending(|q| q.take(among)))
}

/// Signals pending for the process as a whole.
pub fn process_pending() -> SigSet {
    SigSet(PROCESS.pending_set.load(core::sync::atomic::Ordering::SeqCst))
}
