//! Each CPU's part of the scheduler.

use super::hw;
use super::queue::{RunQueue, SLICE_NS, WAKE_GRANULARITY, stands_at};
use super::realtime::Budget;
use super::thread::{Affinity, Thread};
use super::timer::{self, Heap};
use super::urgency::{BEYOND, KERNEL, pace};
use crate::arch::MAX_CPUS;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering::*};
use libos_base::sync::{IrqSpinLock, class};
use libos_base::{Result, time};

static CPUS: [AtomicPtr<Cpu>; MAX_CPUS] = [const { AtomicPtr::new(core::ptr::null_mut()) }; MAX_CPUS];
static ONLINE: AtomicU64 = AtomicU64::new(0);
/// CPUs whose idle thread runs.
static IDLE: AtomicU64 = AtomicU64::new(0);

/// One CPU.
#[repr(align(64))]
pub(crate) struct Cpu {
    pub id: usize,
    pub run: IrqSpinLock<Runner>,
    /// Timers that expire on this CPU.
    pub timers: IrqSpinLock<Heap>,
    /// When the one-shot timer is set to fire; `u64::MAX`: it is not set.
    pub armed: AtomicU64,
    /// When the running thread's slice ends; `u64::MAX`: nobody is waiting.
    pub slice_end: AtomicU64,
    /// TLS pointer that is loaded here.
    pub tls: AtomicUsize,
    /// A reference to the thread that the last switch left; the thread that runs next releases it. It is this CPU's own,
    /// with interrupts off.
    pub left: AtomicPtr<Thread>,
    /// What else is to be done after the next switch: bits of [`after`].
    pub after: AtomicU8,
    /// When this scheduler started here.
    pub started: u64,
}

/// Bits of [`Cpu::after`].
pub(super) mod after {
    /// `left` is runnable but is to run elsewhere: it is enqueued when it is released.
    pub const MOVES: u8 = 1;
    /// And there, it precedes its equals.
    pub const FRONT: u8 = 2;
    /// A real-time thread may be waiting for another CPU. Other CPUs set this.
    pub const PULL: u8 = 4;
}

pub(crate) struct Runner {
    pub queue: RunQueue<Arc<Thread>>,
    pub current: Arc<Thread>,
    pub idle: Arc<Thread>,
    /// An interrupt that makes this CPU look at its queue is on its way.
    pub kicked: bool,
    /// When `current` started to run.
    pub since: u64,
    /// Of the real-time threads.
    pub budget: Budget,
}

impl Runner {
    /// Whether the idle thread runs.
    pub fn is_idle(&self) -> bool {
        Arc::ptr_eq(&self.current, &self.idle)
    }

    /// The running thread's virtual runtime as of `now`.
    pub fn live_vruntime(&self, now: u64) -> u64 {
        let t = &self.current;
        self.place_of(t).wrapping_add(weighted(now.saturating_sub(self.since), t.urgency.pace()))
    }

    /// Where a thread that is runnable stands in the queue.
    pub fn place_of(&self, t: &Thread) -> u64 {
        if t.urgency.pace() != pace::REAL_TIME {
            return t.vruntime.load(Relaxed);
        }
        self.real_time_place(t.urgency.rank())
    }

    /// Where a thread of this rank stands.
    #[cold]
    pub fn real_time_place(&self, rank: u8) -> u64 {
        stands_at(self.queue.min_vruntime(), rank, self.budget.spent && rank < KERNEL)
    }

    /// How far threads have come here.
    pub fn reached(&self, now: u64) -> u64 {
        if self.is_idle() { self.queue.min_vruntime() } else { self.live_vruntime(now) }
    }

    /// Accounts for the time that `current` has run since `since`.
    pub fn charge(&mut self, now: u64) {
        let delta = now.saturating_sub(self.since);
        self.since = now;
        let t = &self.current;
        t.ran_ns.store(t.ran_ns.load(Relaxed) + delta, Relaxed);
        let pace = t.urgency.pace();
        if pace == pace::REAL_TIME {
            if let Some(beyond) = BEYOND.get() {
                (beyond.charge)(self, delta);
            }
        } else if !self.is_idle() {
            let v = t.vruntime.load(Relaxed).wrapping_add(weighted(delta, pace));
            t.vruntime.store(v, Relaxed);
            self.queue.advance(Some(v));
        }
    }

    /// At the end of a slice: whether the current thread has caught up with the first waiter.
    pub fn slice_is_over(&self, now: u64) -> bool {
        self.queue.first().is_some_and(|first| (self.live_vruntime(now).wrapping_sub(first) as i64) >= 0)
    }

    /// Whether the first waiter is so far behind the current thread, which is not the idle one, that it should run.
    #[inline]
    pub fn is_behind(&self, now: u64) -> bool {
        let Some(first) = self.queue.first() else { return false };
        (self.live_vruntime(now).wrapping_sub(first.wrapping_add(WAKE_GRANULARITY)) as i64) > 0
    }
}

/// Nanoseconds run, scaled by the nice weight: each step is a factor of 1.25, as on Linux. For real-time threads none
/// pass.
pub(crate) fn weighted(ns: u64, pace: i8) -> u64 {
    if pace == pace::REAL_TIME {
        return 0;
    }
    let mut v = ns;
    for _ in 0..pace.unsigned_abs() {
        v = if pace > 0 { v + v / 4 } else { v - v / 5 };
    }
    v
}

impl Cpu {
    /// Starts the one-shot timer for `deadline` if it would fire later. Interrupts off, on this CPU.
    #[inline]
    pub fn arm(&self, deadline: u64) {
        if deadline < self.armed.load(Relaxed) {
            self.armed.store(deadline, Relaxed);
            hw::set_deadline(deadline);
        }
    }

    /// Begins a slice if a thread is waiting and no slice is running yet. Interrupts off, on this CPU.
    pub fn start_slice(&self, now: u64) {
        if self.slice_end.load(Relaxed) == u64::MAX {
            self.slice_end.store(now + SLICE_NS, Relaxed);
            self.arm(now + SLICE_NS);
        }
    }
}

/// Adds this CPU, with `idle` running on it.
pub(super) fn add(id: usize, idle: Arc<Thread>) -> Result<()> {
    let mut queue = RunQueue::new();
    queue.reserve(super::table::capacity())?;
    let now = time::monotonic_ns();
    let c = Box::new(Cpu {
        id,
        run: IrqSpinLock::new(
            class::RUN_QUEUE,
            Runner { queue, current: idle.clone(), idle, kicked: false, since: now, budget: Budget::default() },
        ),
        timers: IrqSpinLock::new(class::TIMERS, Heap::new()),
        armed: AtomicU64::new(u64::MAX),
        slice_end: AtomicU64::new(u64::MAX),
        tls: AtomicUsize::new(0),
        left: AtomicPtr::new(core::ptr::null_mut()),
        after: AtomicU8::new(0),
        started: now,
    });
    c.timers.lock().reserve(timer::room())?;
    CPUS[id].store(Box::leak(c), Release);
    Ok(())
}

/// Makes `c` this CPU's part, and marks it as online.
#[cfg(unibody_kernel)]
pub(super) fn enter(c: &'static Cpu) {
    hw::head().scheduler.store(c as *const Cpu as usize, Relaxed);
    ONLINE.fetch_or(1 << c.id, SeqCst);
}

/// A CPU by number, if it is up.
pub(crate) fn cpu(id: usize) -> Option<&'static Cpu> {
    // SAFETY: entries are null or leaked boxes.
    unsafe { CPUS.get(id)?.load(Acquire).as_ref() }
}

/// This CPU, if the scheduler runs on it. Stable only while interrupts or preemption are off.
#[inline]
fn try_this_cpu() -> Option<&'static Cpu> {
    #[cfg(unibody_kernel)]
    {
        // SAFETY: null, or a leaked box (`enter`).
        unsafe { (hw::scheduler() as *const Cpu).as_ref() }
    }
    #[cfg(not(unibody_kernel))]
    cpu(0)
}

/// This CPU. Stable only while interrupts or preemption are off.
#[inline]
pub(crate) fn this_cpu() -> &'static Cpu {
    try_this_cpu().expect("the scheduler runs on this CPU")
}

/// Whether the scheduler runs on this CPU.
pub(super) fn is_up() -> bool {
    try_this_cpu().is_some()
}

/// All CPUs that are up.
pub(super) fn all() -> impl Iterator<Item = &'static Cpu> {
    (0..MAX_CPUS).filter_map(cpu)
}

/// The CPUs that are up.
pub fn online_mask() -> Affinity {
    ONLINE.load(Relaxed)
}

pub(super) fn set_idle(id: usize, idle: bool) {
    if idle {
        IDLE.fetch_or(1 << id, SeqCst);
    } else if IDLE.load(Relaxed) & 1 << id != 0 {
        IDLE.fetch_and(!(1 << id), SeqCst);
    }
}

pub(crate) fn idle_mask() -> u64 {
    IDLE.load(SeqCst)
}

/// The CPU for a thread that woke: its last one if idle, otherwise an idle one, otherwise its last one.
pub(super) fn choose(last: usize, allowed: u64, idle: u64, online: u64) -> usize {
    let allowed = if allowed & online == 0 { online } else { allowed & online };
    let free = allowed & idle;
    if free & 1 << last != 0 || (free == 0 && allowed & 1 << last != 0) {
        last
    } else if free != 0 {
        free.trailing_zeros() as usize
    } else {
        allowed.trailing_zeros() as usize
    }
}

/// How long `t` has been running since its time was last booked.
pub(super) fn running_for(t: &Thread) -> u64 {
    if !t.on_cpu.load(SeqCst) {
        return 0;
    }
    let Some(c) = cpu(t.cpu()) else { return 0 };
    let r = c.run.lock();
    if core::ptr::eq(&*r.current, t) { time::monotonic_ns().saturating_sub(r.since) } else { 0 }
}

/// (total, idle) nanoseconds of one CPU since it started.
pub fn cpu_times(id: usize) -> Option<(u64, u64)> {
    let c = cpu(id)?;
    let idle = c.run.lock().idle.clone();
    Some((time::monotonic_ns().saturating_sub(c.started), idle.cpu_ns()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn woken_threads_prefer_warm_then_idle() {
        assert_eq!(choose(1, !0, 0b11, 0b11), 1);
        assert_eq!(choose(1, !0, 0b01, 0b11), 0);
        assert_eq!(choose(1, !0, 0, 0b11), 1);
        assert_eq!(choose(1, 0b01, 0b10, 0b11), 0);
        // A mask without any CPU that is up is ignored, as on Linux after a CPU was removed.
        assert_eq!(choose(0, 0b1000, 0b10, 0b11), 1);
    }

    #[test]
    fn nice_scales_by_a_quarter_a_step() {
        assert_eq!(weighted(1000, 0), 1000);
        assert_eq!(weighted(1000, 1), 1250);
        assert_eq!(weighted(1000, -1), 800);
        assert!(weighted(1000, 19) > 60_000 && weighted(1000, -20) < 20);
        assert!((300_000..350_000).contains(&weighted(1000, pace::IDLE)) && weighted(1000, pace::REAL_TIME) == 0);
    }
}
