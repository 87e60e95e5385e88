//! Signals inside the one process: sending them, actions, masks, signalfd.
//! Floor: signals.
//!
//! A signal is put into a queue (the thread's or the process's); a thread that does not block it is woken or
//! interrupted, and takes it on its way back to the program (`entry`), when its kernel stack is empty. So a handler
//! may leave by siglongjmp: there is nothing to clean up.
//!
//! Locks: every queue and the table of actions have one `IrqSpinLock` each.

mod mask;
mod post;
pub mod signalfd;

pub use crate::pending::{Entry, Expiry, Info, Queue, SIG_IGN};
pub use libos_base::abi::signal::*;
pub use mask::{change_mask, set_mask, with_temporary_mask};
pub use post::{Sent, post_process, post_process_busy, post_process_info, post_thread, post_timer, raise_current};

use crate::pending::{ACTIONS, PROCESS, action, ignored};
use libos_base::abi::SigAction;
use libos_base::sync::Provider;

/// What timers do when a signal is no longer ignored, and when SIGALRM is taken. Set by the first timer of the kind, so
/// that a program without timers links none of it.
pub static ON_HEEDED: Provider<fn(i32)> = Provider::new();
/// See [`ON_HEEDED`].
pub static ON_ALARM_TAKEN: Provider<fn()> = Provider::new();

/// Changes what is done about a signal; what was done before. Dropping pending signals that are now ignored is
/// POSIX's wish (sigaction, "pending and ignored").
pub fn set_action(signo: i32, new: Option<SigAction>) -> SigAction {
    let old = {
        let mut t = ACTIONS.lock();
        let slot = &mut t[signo as usize - 1];
        let old = *slot;
        if let Some(a) = new {
            *slot = SigAction { mask: SigSet(a.mask).without(SigSet::UNBLOCKABLE).0, ..a };
        }
        old
    };
    let Some(new) = new else { return old };
    if ignored(signo, &new) {
        let drop_all = |take: &dyn Fn() -> Option<Entry>| {
            while let Some(e) = take() {
                if let Some((timer, number)) = e.timer {
                    timer.ignored(number);
                }
            }
        };
        let set = SigSet::of(signo);
        drop_all(&|| PROCESS.with(|q| q.take(set)));
        crate::sched::for_each_thread(|t| drop_all(&|| t.signals.own.with(|q| q.take(set))));
    } else if old.handler == SIG_IGN
        && let Some(heeded) = ON_HEEDED.get()
    {
        heeded(signo);
    }
    old
}

/// What is done about a signal: for `/proc/self/status`, and for the terminal's Ctrl-C.
pub fn get_action(signo: i32) -> SigAction {
    action(signo)
}

/// Takes a pending signal of `among`: the thread's own first, then the process's.
pub fn take_pending(among: SigSet) -> Option<Info> {
    let s = &crate::sched::current().signals;
    if s.pending().0 & among.0 == 0 {
        return None;
    }
    loop {
        let own = s.own.with(|q| q.take(among));
        let of_process = own.is_none();
        let Entry { mut info, timer } = own.or_else(|| PROCESS.with(|q| q.take(among)))?;
        if of_process
            && info.signo == SIGALRM
            && let Some(taken) = ON_ALARM_TAKEN.get()
        {
            taken();
        }
        let Some((timer, number)) = timer else { return Some(info) };
        // A void signal is dropped as if it had never been sent.
        if let Some(overrun) = timer.taken(number) {
            info.word16 = info.word16 as u32 as u64 | (overrun as u64) << 32;
            return Some(info);
        }
    }
}

/// The queue for a timer's signal: that of the thread with this number (`None`: it has ended), or the process's.
pub fn for_timers<R>(tid: Option<u32>, f: impl FnOnce(&mut Queue) -> R) -> Option<R> {
    match tid {
        None => Some(PROCESS.with(f)),
        Some(tid) => crate::sched::find(tid).map(|t| t.signals.own.with(f)),
    }
}
