//! Who looks at the card.
//!
//! Under load its interrupt is off: a thread that has nothing left to do looks at the card itself before it sleeps, and
//! goes on with what it finds. Only a thread that does sleep arms the interrupt, and then that thread is woken, not the
//! network thread. This is what NAPI does with its poll loop, in the thread that wants the data.
//!
//! A program may also compute for long while the interrupt is off, or waits where nobody looks. So it is off only while
//! every processor is busy, and is asked for again when nobody has looked for [`LATER`]; one that finds no sleeper is put
//! off for [`SOON`].
//!
//! Who looks sees to the stack's timers, too. Nearly all of them are cancelled or put off before they are due, so while
//! threads look, the network thread waits for none. It takes over again from the one who checks that they do, so a timer
//! may be late by two of those checks.

use crate::net::Net;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use libos_base::sync::{IrqSpinLock, class};
use libos_base::thread::{self, Park, Wake};
use libos_base::time::{self, NS};

/// How long an interrupt may be put off.
const SOON: u64 = NS / 1000;
/// How often it is checked whether threads look by themselves.
pub const LATER: u64 = 4 * SOON;
/// Looks in a row before a thread goes back to its own work.
const LOOKS: usize = 4;

/// See the module.
pub(crate) struct Watch {
    sleepers: IrqSpinLock<Sleepers>,
    /// The card's interrupt wakes one of them. Written under the lock.
    occupied: AtomicBool,
    /// The card has interrupted since the last look.
    pub interrupted: AtomicBool,
    /// How often threads have looked, and how often as of the last [`Net::overdue`].
    looks: AtomicU32,
    seen: AtomicU32,
    /// The same as of the network thread's last round.
    stepped: AtomicU32,
    /// A timer may be waited for by nobody but who looks.
    owed: AtomicBool,
    /// The network thread is to wait for timers itself.
    handed: AtomicBool,
    /// It does not. Its own.
    pub relieved: AtomicBool,
}

/// Who looks at the card, for [`Hooks::later`](crate::config::Hooks::later).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Somebody has looked since this was last asked.
    Now,
    /// Nobody has, but a thread has armed the interrupt, or is on its way to look, and no timer is waited for here.
    Asleep,
    No,
}

struct Sleepers {
    /// Whom the interrupt wakes: the last to come, unless it is awake.
    last: Option<Sleeper>,
    count: usize,
}

struct Sleeper {
    thread: Arc<dyn Park>,
    called: bool,
}

impl Watch {
    pub const fn new() -> Self {
        Self {
            sleepers: IrqSpinLock::new(class::NET_SLEEPER, Sleepers { last: None, count: 0 }),
            occupied: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            looks: AtomicU32::new(0),
            seen: AtomicU32::new(0),
            stepped: AtomicU32::new(0),
            owed: AtomicBool::new(false),
            handed: AtomicBool::new(false),
            relieved: AtomicBool::new(false),
        }
    }

    /// A thread is about to sleep. It takes the place of an earlier one, which is idle for longer.
    fn enter(&self, thread: &Arc<dyn Park>) {
        let mut sleepers = self.sleepers.lock();
        sleepers.count += 1;
        let earlier = sleepers.last.replace(Sleeper { thread: thread.clone(), called: false });
        self.occupied.store(true, Ordering::Relaxed);
        drop(sleepers);
        // Not under the lock: it may be the last that is left of that thread.
        drop(earlier);
    }

    /// It is awake. Returns whether the card has called it, and whether others sleep.
    fn leave(&self, thread: &Arc<dyn Park>) -> (bool, bool) {
        let mut sleepers = self.sleepers.lock();
        sleepers.count -= 1;
        let others = sleepers.count > 0;
        let left = sleepers.last.take_if(|s| Arc::ptr_eq(&s.thread, thread));
        self.occupied.store(sleepers.last.is_some(), Ordering::Relaxed);
        drop(sleepers);
        (left.is_some_and(|s| s.called), others)
    }

    /// Wakes the sleeper, if there is one.
    fn call(&self) -> bool {
        let mut sleepers = self.sleepers.lock();
        let Some(s) = &mut sleepers.last else { return false };
        s.called = true;
        s.thread.unpark();
        true
    }

    /// A thread has looked at the card.
    pub fn looked(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// For the network thread: whether others have looked since it last asked, and will.
    pub fn relieves(&self) -> bool {
        let looks = self.looks.load(Ordering::Relaxed);
        let looked = self.stepped.swap(looks, Ordering::Relaxed) != looks;
        !self.handed.swap(false, Ordering::Relaxed) && looked
    }
}

impl Net {
    /// For a thread that has nothing to do: takes in what the card has.
    pub fn look(&self) {
        if self.has_card {
            self.poll();
        }
    }

    /// [`thread::park`], interruptibly, by a thread that looks at the card when that has something. Wake-ups may be
    /// spurious.
    pub fn park(&self, deadline_ns: u64) -> Wake {
        if !self.has_card {
            return thread::park(deadline_ns, true);
        }
        let me = thread::current();
        self.watch.enter(&me);
        let more = self.arm();
        let wake = if more { Wake::Token } else { thread::park(deadline_ns, true) };
        let (called, others) = self.watch.leave(&me);
        if !called && !more {
            return wake;
        }
        self.poll();
        // It has something to do now, and looks again when that is done: no interrupt is needed meanwhile, unless
        // somebody else waits for what may come.
        if others || !self.hooks().later(LATER) {
            self.take_in();
        }
        // Frames that never end must not keep signals and the deadline away.
        match wake {
            Wake::Token => match thread::park(0, true) {
                Wake::Timeout if time::monotonic_ns() < deadline_ns => Wake::Token,
                wake => wake,
            },
            wake => wake,
        }
    }

    /// Has the card interrupt for what comes, after what has come by then is taken in.
    fn take_in(&self) {
        for _ in 0..LOOKS {
            if !self.arm() {
                return;
            }
            self.poll();
        }
        self.put_off(SOON);
    }

    /// For the card's interrupt.
    pub fn interrupt(&self) {
        self.watch.interrupted.store(true, Ordering::Release);
        if !self.watch.call() {
            self.put_off(SOON);
        }
    }

    fn put_off(&self, ns: u64) {
        if !self.hooks().later(ns) {
            self.wake_worker();
        }
    }

    /// Who has looked since the last call of this.
    pub fn watched(&self) -> Watched {
        let looks = self.watch.looks.load(Ordering::Relaxed);
        if self.watch.seen.swap(looks, Ordering::Relaxed) != looks {
            Watched::Now
        } else if self.watch.occupied.load(Ordering::Relaxed) && !self.watch.owed.load(Ordering::SeqCst) {
            Watched::Asleep
        } else {
            Watched::No
        }
    }

    /// For [`Hooks::later`](crate::config::Hooks::later).
    pub fn overdue(&self) {
        match self.watched() {
            Watched::Now => self.put_off(LATER),
            Watched::Asleep => {}
            Watched::No => self.hand_over(),
        }
    }

    /// Nobody looks: the network thread does, and waits for timers and the card. Called in interrupts, too.
    pub fn hand_over(&self) {
        self.watch.owed.store(false, Ordering::SeqCst);
        self.watch.handed.store(true, Ordering::Relaxed);
        self.wake_worker();
    }

    /// Whether the network thread need not wait for the stack's timers, since somebody looks or it is handed them.
    pub(crate) fn looks_later(&self) -> bool {
        // Before the question: who checks may do so just now.
        self.watch.owed.store(true, Ordering::SeqCst);
        self.hooks().later(LATER)
    }
}
