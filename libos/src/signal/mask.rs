//! The running thread's signal mask.

use super::post::retarget;
use crate::sched::{current, poke};
use libos_base::abi::SigSet;
use libos_base::{Errno, Result};

/// Sets the mask; returns the old one. Pending signals that it unblocks are taken when the call ends.
pub fn set_mask(new: SigSet) -> SigSet {
    let s = &current().signals;
    let old = s.blocked();
    s.set_blocked(new);
    // Signals that were left to this thread and are blocked now must be taken by another thread.
    retarget(s.blocked().without(old));
    if s.work_due() {
        poke(current());
    }
    old
}

/// Changes the mask; returns the old one.
pub fn change_mask(f: impl FnOnce(SigSet) -> SigSet) -> SigSet {
    set_mask(f(current().signals.blocked()))
}

/// Runs a wait under another mask (ppoll, pselect, epoll_pwait, sigsuspend). When a signal ended the wait, the mask
/// stays until its handler's frame has recorded the old one; otherwise the old one comes back at once.
pub fn with_temporary_mask<T>(mask: SigSet, f: impl FnOnce() -> Result<T>) -> Result<T> {
    let old = set_mask(mask);
    let r = f();
    if matches!(r, Err(Errno::EINTR | Errno::ERESTARTSYS | Errno::ERESTARTNOHAND)) && current().signals.work_due() {
        current().signals.restore_later(old);
        poke(current());
    } else {
        set_mask(old);
    }
    r
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    #[test]
    fn a_signal_during_the_wait_keeps_the_mask_for_the_handler() {
        let all = SigSet(!0);
        set_mask(all);
        let r: Result<()> = with_temporary_mask(SigSet::EMPTY, || {
            post_thread(current(), Info::kernel(SIGUSR1))?;
            Err(Errno::EINTR)
        });
        assert_eq!(r, Err(Errno::EINTR));
        // Still unblocked; the delivery restores the mask.
        assert_eq!(current().signals.blocked(), SigSet::EMPTY);
        assert_eq!(current().signals.take_restore(), Some(all.without(SigSet::UNBLOCKABLE)));
        assert_eq!(take_pending(all).unwrap().signo, SIGUSR1);
    }

    #[test]
    fn without_one_it_comes_back_at_once() {
        set_mask(SigSet::of(SIGHUP));
        assert_eq!(with_temporary_mask(SigSet::EMPTY, || Ok(5)), Ok(5));
        assert_eq!(current().signals.blocked(), SigSet::of(SIGHUP));
        set_mask(SigSet::EMPTY);
    }

    #[test]
    fn kill_and_stop_cannot_be_blocked() {
        set_mask(SigSet(!0));
        assert!(!current().signals.blocked().has(SIGKILL) && !current().signals.blocked().has(SIGSTOP));
        set_mask(SigSet::EMPTY);
    }
}
