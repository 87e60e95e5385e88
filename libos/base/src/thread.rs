//! Parking: the one way a thread waits. Wait queues, futexes, poll and sleeps are built on it.

use crate::{Result, upcall};
use alloc::boxed::Box;
use alloc::sync::Arc;

/// The process ID: there is one program thread group. The main thread has the same number. It is not 1, for number 1
/// is init: kill(-1) would not be a signal to the program's own group, and nobody expects to be told apart from init.
pub const PID: u32 = 2;
/// init, root's. Nothing of it exists but its number: it can be sent signals, which it ignores, as Linux's ignores those
/// it has no handler for (kill(2)).
pub const INIT: u32 = 1;

/// The function a thread runs.
pub type Job = Box<dyn FnOnce() + Send>;

/// A thread that can be woken. It has a one-slot token, like `std::thread::park`: an `unpark` before the `park` makes
/// that `park` return at once. Wake-ups may be spurious, so callers check their condition in a loop.
pub trait Park: Send + Sync {
    /// Stores the token and makes the thread runnable. May be called with interrupts off and from interrupts.
    fn unpark(&self);
}

/// Why [`park`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Wake {
    /// The token was there, or the wake-up was spurious.
    Token = 0,
    /// The deadline passed.
    Timeout = 1,
    /// A signal that the thread does not block is pending (interruptible parks only).
    Interrupted = 2,
}

/// No deadline.
pub const FOREVER: u64 = u64::MAX;

/// The running thread.
pub fn current() -> Arc<dyn Park> {
    upcall::current_thread()
}

/// Blocks until unparked, until the monotonic clock reaches `deadline_ns` ([`FOREVER`]: never), or, if
/// `interruptible`, until a signal is pending. Must not be called with a spin lock held.
pub fn park(deadline_ns: u64, interruptible: bool) -> Wake {
    if interruptible {
        crate::poll::settle();
    }
    upcall::park(deadline_ns, interruptible)
}

/// Starts a kernel thread that nobody joins. ENOMEM, EAGAIN.
pub fn spawn(name: &'static str, f: impl FnOnce() + Send + 'static) -> Result<()> {
    upcall::spawn(name, Box::new(f))
}
