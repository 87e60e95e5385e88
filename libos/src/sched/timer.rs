//! Timers: one heap and one one-shot interrupt per CPU, set only when something is due or a slice must end.
//!
//! A timer sits in the heap of the CPU that set it. Expiry of a thread's own timer (the deadline of its park) happens
//! in the interrupt; every other timer's [`Expire::expire`] runs on a kernel thread, where it may lock and notify
//! freely. Heaps have room for every timer that exists, so setting one never allocates and never fails.

use super::cpu::all;
use super::heap::{self, Slot};
use super::{Thread, Unpark, cpu, slice_ended, spawn_kernel, this_cpu};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::*};
use libos_base::sync::{IrqSpinLock, Once, class};
use libos_base::thread::Park;
use libos_base::{Result, time};

/// Something with a timer.
pub trait Expire: Send + Sync {
    /// The deadline passed. Runs on a kernel thread with no lock held; two expiries in quick succession may give one
    /// call, so the owner must check the clock.
    fn expire(&self);
    /// In the interrupt, before that: a later deadline instead ([`u64::MAX`]: none), if there is nothing to do but to
    /// wake a thread. The heap's lock is held, so only what lives forever may have this: its timer must not end now.
    fn rests(&self, _now: u64) -> Option<u64> {
        None
    }
    /// The timer that `expire` belongs to.
    fn timer(&self) -> &Timer;
}

enum Action {
    Wake(Weak<Thread>),
    Call(Weak<dyn Expire>),
}

const NOWHERE: u32 = u32::MAX;

/// A deadline and what happens then. Calls to `set` and `cancel` on one timer must not run at the same time: they
/// come from its owner, under the owner's lock.
pub struct Timer {
    action: Action,
    /// The CPU whose heap it is in.
    cpu: AtomicU32,
    /// Its place there; guarded by the heap's lock.
    at: AtomicUsize,
    /// Its owner is in [`DUE`].
    queued: AtomicBool,
}

/// The entry of a heap: timers leave their heap before they are dropped.
#[derive(Clone, Copy)]
pub(crate) struct Entry(*const Timer);
// SAFETY: a pointer to a `Timer`, which is Sync, valid while it is in the heap.
unsafe impl Send for Entry {}
impl Slot for Entry {
    fn moved_to(&self, at: usize) {
        // SAFETY: in the heap, so alive; see `Timer::drop`.
        unsafe { (*self.0).at.store(at, Relaxed) };
    }
}
pub(crate) type Heap = heap::Heap<Entry>;

/// Timers that exist; every heap has room for them.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Timers that every heap has room for.
static ROOM: AtomicUsize = AtomicUsize::new(32);
/// Owners that the kernel thread must call.
static DUE: IrqSpinLock<Vec<Arc<dyn Expire>>> = IrqSpinLock::new(class::TIMERS_DUE, Vec::new());
static WORKER: Once<Arc<Thread>> = Once::new();

/// Makes room for one more timer in every heap. ENOMEM.
pub(super) fn reserve() -> Result<()> {
    let n = COUNT.fetch_add(1, Relaxed) + 1;
    if n <= room() {
        return Ok(());
    }
    let room = n.next_power_of_two();
    let made = all().try_for_each(|c| c.timers.lock().reserve(room));
    match made {
        Ok(()) => ROOM.fetch_max(room, Relaxed),
        Err(_) => COUNT.fetch_sub(1, Relaxed),
    };
    made
}

/// How much room a new CPU's heap must have.
pub(super) fn room() -> usize {
    ROOM.load(Relaxed)
}

fn worker() -> Result<&'static Arc<Thread>> {
    if let Some(w) = WORKER.get() {
        return Ok(w);
    }
    let t = spawn_kernel("timers", || {
        loop {
            let next = DUE.lock().pop();
            match next {
                Some(e) => {
                    e.timer().queued.store(false, SeqCst);
                    e.expire();
                }
                None => {
                    libos_base::thread::park(libos_base::thread::FOREVER, false);
                }
            }
        }
    })?;
    Ok(WORKER.set(|| t))
}

/// Makes an object that has a timer: `make` is passed what makes the timer. ENOMEM.
pub fn owned<T: Expire + 'static>(make: impl FnOnce(Weak<T>, fn(Weak<T>) -> Timer) -> T) -> Result<Arc<T>> {
    worker()?;
    let n = COUNT.load(Relaxed) + 1;
    {
        let mut due = DUE.lock();
        let want = n.saturating_sub(due.len());
        due.try_reserve(want)?;
    }
    reserve()?;
    Ok(Arc::new_cyclic(|me| make(me.clone(), |me| Timer::for_owner(me))))
}

impl Timer {
    /// A thread's timer: wakes it from its park. Room is made by the thread table.
    pub(super) fn for_thread(t: Weak<Thread>) -> Self {
        Self {
            action: Action::Wake(t),
            cpu: AtomicU32::new(NOWHERE),
            at: AtomicUsize::new(0),
            queued: AtomicBool::new(false),
        }
    }

    /// Calls `owner`, if it still exists at that time. Room was made by `owned`.
    fn for_owner(owner: Weak<dyn Expire>) -> Self {
        Self {
            action: Action::Call(owner),
            cpu: AtomicU32::new(NOWHERE),
            at: AtomicUsize::new(0),
            queued: AtomicBool::new(false),
        }
    }

    /// Sets it to monotonic time `deadline`, replacing any earlier setting. One in the past expires at once.
    pub fn set(&self, deadline: u64) {
        self.cancel();
        // The heap's lock keeps interrupts off; only once it is held is it certain which CPU this is.
        let mut c = this_cpu();
        let mut heap = loop {
            let heap = c.timers.lock();
            let now_on = this_cpu();
            if core::ptr::eq(now_on, c) {
                break heap;
            }
            drop(heap);
            c = now_on;
        };
        self.cpu.store(c.id as u32, Release);
        if heap.insert(deadline, Entry(self)) {
            c.arm(deadline);
        }
    }

    /// Unsets it; returns whether it was set. Once this returns, a thread's timer has no effect any more; `expire` of
    /// another may still be about to run.
    pub fn cancel(&self) -> bool {
        loop {
            let id = self.cpu.load(Acquire);
            if id == NOWHERE {
                // It may be expiring right now: then the heap's lock is held, and if it was ours, `cpu` came last.
                return false;
            }
            let Some(c) = cpu(id as usize) else { return false };
            let mut heap = c.timers.lock();
            if self.cpu.load(Acquire) == id {
                heap.remove(self.at.load(Relaxed));
                self.cpu.store(NOWHERE, Release);
                return true;
            }
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.cancel();
        COUNT.fetch_sub(1, Relaxed);
    }
}

/// This CPU's one-shot interrupt: wakes threads that are due, ends the slice, sets the next interrupt.
pub fn on_interrupt() {
    let c = this_cpu();
    let now = time::monotonic_ns();
    c.armed.store(u64::MAX, Relaxed);
    let mut call = false;
    let next = {
        let mut heap = c.timers.lock();
        while let Some(Entry(t)) = heap.pop_due(now) {
            // SAFETY: it was in the heap until now, and its owner cannot drop it without this lock.
            let t = unsafe { &*t };
            match &t.action {
                Action::Wake(thread) => {
                    // The thread is alive: it cancels this timer before it continues.
                    if let Some(thread) = thread.upgrade() {
                        thread.time_out();
                    }
                    t.cpu.store(NOWHERE, Release);
                }
                Action::Call(owner) => {
                    let owner = if t.queued.swap(true, SeqCst) { None } else { owner.upgrade() };
                    let rests = owner.as_ref().and_then(|owner| owner.rests(now));
                    if let Some(until) = rests {
                        t.queued.store(false, SeqCst);
                        if until < u64::MAX {
                            heap.insert(until, Entry(t));
                            continue;
                        }
                    }
                    t.cpu.store(NOWHERE, Release);
                    if let Some(owner) = owner.filter(|_| rests.is_none()) {
                        // There is room: every timer made room for itself, and is in here once.
                        DUE.lock().push(owner);
                        call = true;
                    }
                }
            }
        }
        heap.first()
    };
    if call && let Some(w) = WORKER.get() {
        w.unpark();
    }
    if now >= c.slice_end.load(Relaxed) {
        slice_ended(c, now);
    }
    super::load::look(|| now);
    c.arm(next.unwrap_or(u64::MAX).min(c.slice_end.load(Relaxed)));
}
