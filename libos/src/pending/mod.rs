//! Pending signals: the state that each thread and the process carry, which `signal` changes and `entry` acts on. It
//! stands below the scheduler, whose threads contain it.
//! Floor: machine.

mod queue;

pub use queue::{Entry, Expiry, Info, Queue};

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use libos_base::abi::signal::{DefaultAction as Act, SigSet, default_action};
use libos_base::abi::{SigAction, StackFlags, StackT};
use libos_base::sync::{IrqSpinLock, class};

/// Handler values.
pub const SIG_DFL: usize = 0;
/// See [`SIG_DFL`].
pub const SIG_IGN: usize = 1;

/// Signals of one thread.
pub struct ThreadSignals {
    /// Changed only by the thread itself.
    blocked: AtomicU64,
    /// Pending for this thread alone.
    pub(crate) own: Pending,
    /// The signals the thread waits for in sigtimedwait, though blocked.
    pub waited: AtomicU64,
    /// Alternate stack: base, size, flags. The thread's own.
    altstack: [AtomicUsize; 3],
    /// The mask to go back to after the delivery (sigsuspend, ppoll); valid when `restore` is set. The thread's own.
    saved_mask: AtomicU64,
    restore: AtomicBool,
    /// The thread must end at the next opportunity.
    pub(crate) killed: AtomicBool,
}

/// A queue, and which signals are in it, readable without the lock.
pub(crate) struct Pending {
    queue: IrqSpinLock<Queue>,
    set: AtomicU64,
}

/// Pending for the process.
pub(crate) static PROCESS: Pending = Pending::new();

/// What is done about each signal. All zeros at first: apart from [`PROCESS`], it lies in `.bss`.
pub(crate) static ACTIONS: IrqSpinLock<[SigAction; 64]> =
    IrqSpinLock::new(class::SIGNAL_ACTIONS, [SigAction { handler: SIG_DFL, flags: 0, restorer: 0, mask: 0 }; 64]);

/// What is done about a signal.
pub(crate) fn action(signo: i32) -> SigAction {
    ACTIONS.lock()[signo as usize - 1]
}

/// Whether a signal with this action has no effect.
pub(crate) fn ignored(signo: i32, a: &SigAction) -> bool {
    a.handler == SIG_IGN || (a.handler == SIG_DFL && matches!(default_action(signo), Act::Ignore | Act::Stop))
}

impl ThreadSignals {
    /// Nothing blocked, nothing pending.
    pub const fn new() -> Self {
        Self {
            blocked: AtomicU64::new(0),
            own: Pending::new(),
            waited: AtomicU64::new(0),
            altstack: [AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(StackFlags::DISABLE.bits() as usize)],
            saved_mask: AtomicU64::new(0),
            restore: AtomicBool::new(false),
            killed: AtomicBool::new(false),
        }
    }

    /// The alternate stack as it was set.
    pub fn altstack(&self) -> StackT {
        let [sp, size, flags] = [0, 1, 2].map(|i| self.altstack[i].load(Relaxed));
        StackT { sp, flags: flags as u32, pad: 0, size }
    }
    /// Sets it. Only for the thread itself.
    pub fn set_altstack(&self, to: StackT) {
        for (slot, v) in self.altstack.iter().zip([to.sp, to.size, to.flags as usize]) {
            slot.store(v, Relaxed);
        }
    }

    /// The mask.
    pub fn blocked(&self) -> SigSet {
        SigSet(self.blocked.load(SeqCst))
    }

    /// Only for the thread itself (or before it runs).
    pub(crate) fn set_blocked(&self, m: SigSet) {
        self.blocked.store(m.without(SigSet::UNBLOCKABLE).0, SeqCst);
    }

    /// Pending for this thread or for the process.
    pub fn pending(&self) -> SigSet {
        self.own.set().union(PROCESS.set())
    }

    /// Whether something must be done before the program continues.
    pub(crate) fn work_due(&self) -> bool {
        self.pending().without(self.blocked()).0 != 0 || self.killed.load(SeqCst) || self.restore.load(Relaxed)
    }

    /// Whether an interruptible wait must end; for threads of the program.
    pub(crate) fn interrupts_park(&self) -> bool {
        self.pending().without(self.blocked()).0 != 0 || self.killed.load(SeqCst)
    }

    /// Remembers the mask to restore after the next delivery.
    pub(crate) fn restore_later(&self, m: SigSet) {
        self.saved_mask.store(m.0, Relaxed);
        self.restore.store(true, Relaxed);
    }

    /// Takes the mask remembered by `restore_later`.
    pub(crate) fn take_restore(&self) -> Option<SigSet> {
        self.restore.swap(false, Relaxed).then(|| SigSet(self.saved_mask.load(Relaxed)))
    }
}

impl Pending {
    const fn new() -> Self {
        Self { queue: IrqSpinLock::new(class::SIGNALS, Queue::new()), set: AtomicU64::new(0) }
    }
    /// The signals in it.
    pub fn set(&self) -> SigSet {
        SigSet(self.set.load(SeqCst))
    }
    /// Changes the queue.
    pub fn with<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        let mut q = self.queue.lock();
        let r = f(&mut q);
        self.set.store(q.set().0, SeqCst);
        r
    }
}
