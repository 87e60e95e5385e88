//! The park/unpark protocol of one thread: a single atomic word.
//!
//! ```text
//! RUNNING --unpark--> TOKEN --park--> RUNNING (returns at once)
//! RUNNING --park----> PARKED | PARKED_INT
//! PARKED* --unpark--> TOKEN         \
//! PARKED* --timer---> TIMED_OUT      } the one who wins this exchange enqueues the thread
//! PARKED_INT -signal> INTERRUPTED   /
//! ```
//! "RUNNING" means running or waiting in a run queue.

use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use libos_base::thread::Wake;

const RUNNING: u32 = 0;
const TOKEN: u32 = 1;
const PARKED: u32 = 2;
const PARKED_INT: u32 = 3;
const TIMED_OUT: u32 = 4;
const INTERRUPTED: u32 = 5;

/// See the module's documentation.
pub struct State(AtomicU32);

impl State {
    /// Running, no token.
    pub const fn new() -> Self {
        Self(AtomicU32::new(RUNNING))
    }

    /// Consumes a token, if there is one; returns whether there was.
    pub fn take_token(&self) -> bool {
        // The thread itself is the only one to take it.
        self.0.load(SeqCst) == TOKEN && self.0.compare_exchange(TOKEN, RUNNING, SeqCst, SeqCst).is_ok()
    }

    /// Goes to sleep; false when a token arrived first (it is consumed).
    pub fn begin_park(&self, interruptible: bool) -> bool {
        let to = if interruptible { PARKED_INT } else { PARKED };
        if self.0.compare_exchange(RUNNING, to, SeqCst, SeqCst).is_ok() {
            return true;
        }
        self.0.store(RUNNING, SeqCst);
        false
    }

    /// What ended the park. Called by the thread itself once it runs again.
    pub fn end_park(&self) -> Wake {
        match self.0.swap(RUNNING, SeqCst) {
            TIMED_OUT => Wake::Timeout,
            INTERRUPTED => Wake::Interrupted,
            _ => Wake::Token,
        }
    }

    /// Leaves a token; true when the thread was parked and the caller must enqueue it.
    pub fn unpark(&self) -> bool {
        matches!(self.0.swap(TOKEN, SeqCst), PARKED | PARKED_INT)
    }

    /// The deadline passed; true when the caller must enqueue the thread.
    pub fn time_out(&self) -> bool {
        [PARKED, PARKED_INT].into_iter().any(|from| self.0.compare_exchange(from, TIMED_OUT, SeqCst, SeqCst).is_ok())
    }

    /// A signal came; true when the caller must enqueue the thread.
    pub fn interrupt(&self) -> bool {
        self.0.compare_exchange(PARKED_INT, INTERRUPTED, SeqCst, SeqCst).is_ok()
    }

    /// Whether it is parked, for the thread list.
    pub fn is_parked(&self) -> bool {
        matches!(self.0.load(SeqCst), PARKED | PARKED_INT)
    }

    /// Whether a signal would wake it.
    pub fn is_interruptible(&self) -> bool {
        self.0.load(SeqCst) == PARKED_INT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_before_park_is_not_lost_and_is_spent_once() {
        let s = State::new();
        assert!(!s.unpark());
        assert!(!s.unpark());
        assert!(!s.begin_park(false));
        assert!(s.begin_park(false));
        assert!(s.unpark());
        assert_eq!(s.end_park(), Wake::Token);
        assert!(!s.take_token());
    }

    #[test]
    fn exactly_one_waker_enqueues() {
        let s = State::new();
        assert!(s.begin_park(true));
        assert!(s.time_out());
        assert!(!s.time_out());
        assert!(!s.interrupt());
        assert!(!s.unpark());
        // The token that came after the time-out counts as the reason, so it is not lost.
        assert_eq!(s.end_park(), Wake::Token);
    }

    #[test]
    fn signals_leave_uninterruptible_sleepers_alone() {
        let s = State::new();
        assert!(s.begin_park(false));
        assert!(!s.interrupt());
        assert!(s.unpark());
    }
}
