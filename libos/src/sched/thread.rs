//! A thread.

use super::hw;
use super::state::State;
use super::timer::{self, Timer};
use super::urgency::{Setting, Urgency};
use crate::pending::ThreadSignals;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use libos_base::Result;
use libos_base::sync::{IrqSpinLock, class};

#[cfg(unibody_kernel)]
pub(super) type Stack = crate::mm::kstack::KStack;
#[cfg(not(unibody_kernel))]
pub(super) type Stack = ();

/// A set of CPUs: bit n is CPU n.
pub type Affinity = u64;

/// Longest name, as on Linux (TASK_COMM_LEN without the NUL).
pub const NAME_MAX: usize = 15;

/// What a thread, or all of them, have used.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    pub cpu_ns: u64,
    /// Voluntary and involuntary; to give way to others counts among the latter, as on Linux.
    pub switches: [u64; 2],
    /// Page faults: minor and major.
    pub faults: [u64; 2],
}

impl Usage {
    pub(super) fn add(&mut self, more: &Self) {
        self.cpu_ns += more.cpu_ns;
        for i in 0..2 {
            self.switches[i] += more.switches[i];
            self.faults[i] += more.faults[i];
        }
    }
}

/// One thread, of the program or of the kernel.
pub struct Thread {
    /// Thread id; the program's main thread has [`super::PID`]. 0: an idle thread.
    pub tid: u32,
    /// Belongs to the program: has program registers, signals, TLS.
    pub is_program: bool,
    pub(super) state: State,
    /// Still on its kernel stack (running, or being switched away from).
    pub(super) on_cpu: AtomicBool,
    /// Where it runs or ran last.
    pub(super) last_cpu: AtomicU32,
    pub(super) affinity: AtomicU64,
    pub(super) vruntime: AtomicU64,
    pub(super) urgency: Urgency,
    /// CPU time, up to the last switch.
    pub(super) ran_ns: AtomicU64,
    /// How often it waited for something / another thread took its place.
    pub(super) switches: [AtomicU64; 2],
    /// Page faults that were resolved without / by reading from a device. Changed only by the thread itself.
    faults: [AtomicU64; 2],
    /// Stack pointer while not running.
    pub(super) saved_sp: UnsafeCell<usize>,
    /// Kernel stack: bottom and top, 0 for idle threads (they keep the boot stacks).
    pub(super) stack_range: (usize, usize),
    pub(super) stack: UnsafeCell<Option<Stack>>,
    /// The program's TLS pointer.
    pub(super) tls: AtomicUsize,
    /// It is ending: its last switch puts it on no queue.
    pub(super) dead: AtomicBool,
    /// Wakes it at the deadline of a park.
    pub(super) timer: Timer,
    name: IrqSpinLock<[u8; NAME_MAX + 1]>,
    /// It waits for a time of day: a step of the wall clock unparks it.
    pub(crate) waits_for_wall: AtomicBool,
    /// CLONE_CHILD_CLEARTID / set_tid_address.
    pub clear_child_tid: AtomicUsize,
    /// set_robust_list.
    pub robust_list: AtomicUsize,
    /// Signals of this thread.
    pub signals: ThreadSignals,
    /// The locks that it holds.
    #[cfg(all(unibody_kernel, debug_assertions))]
    pub(crate) held: UnsafeCell<libos_base::sync::check::Held>,
}

// SAFETY: the `UnsafeCell`s have one owner at a time: `held` is the thread's own; `saved_sp` is written by the switch
// that leaves the thread and read by the one that enters it, ordered by the run queue lock and `on_cpu`; `stack` is set
// before the thread first runs and taken by the reaper after its last switch.
unsafe impl Sync for Thread {}
// SAFETY: as above; everything else is Send.
unsafe impl Send for Thread {}

impl Thread {
    /// A thread that is not running yet. `stack` is `None` for idle threads.
    pub(super) fn new(tid: u32, is_program: bool, stack: Option<Stack>, range: (usize, usize)) -> Result<Arc<Self>> {
        // Room for its timer; given back when the timer is dropped.
        timer::reserve()?;
        Ok(Arc::new_cyclic(|me| Thread {
            tid,
            is_program,
            state: State::new(),
            on_cpu: AtomicBool::new(false),
            last_cpu: AtomicU32::new(0),
            affinity: AtomicU64::new(u64::MAX),
            vruntime: AtomicU64::new(0),
            urgency: Urgency::new(),
            ran_ns: AtomicU64::new(0),
            switches: [const { AtomicU64::new(0) }; 2],
            faults: [const { AtomicU64::new(0) }; 2],
            saved_sp: UnsafeCell::new(0),
            stack_range: range,
            stack: UnsafeCell::new(stack),
            tls: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
            timer: Timer::for_thread(me.clone()),
            name: IrqSpinLock::new(class::THREAD_NAME, [0; NAME_MAX + 1]),
            waits_for_wall: AtomicBool::new(false),
            clear_child_tid: AtomicUsize::new(0),
            robust_list: AtomicUsize::new(0),
            signals: ThreadSignals::new(),
            #[cfg(all(unibody_kernel, debug_assertions))]
            held: UnsafeCell::new(libos_base::sync::check::Held::new()),
        }))
    }

    /// Its name, NUL-padded.
    pub fn name(&self) -> [u8; NAME_MAX + 1] {
        *self.name.lock()
    }

    /// Names it; a name that is too long is cut, as on Linux.
    pub fn set_name(&self, name: &[u8]) {
        let mut buf = [0; NAME_MAX + 1];
        let n = name.iter().position(|&b| b == 0).unwrap_or(name.len()).min(NAME_MAX);
        buf[..n].copy_from_slice(&name[..n]);
        *self.name.lock() = buf;
    }

    /// CPUs it may run on.
    pub fn affinity(&self) -> Affinity {
        self.affinity.load(Relaxed)
    }

    /// Changes the mask, and moves the thread if it must. `mask` has a CPU that is up.
    pub fn set_affinity(&self, mask: Affinity) {
        self.affinity.store(mask, SeqCst);
        super::migrate_now(self);
    }

    /// CPU time used, in nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        self.ran_ns.load(Relaxed) + super::cpu::running_for(self)
    }

    /// What it has used.
    pub fn usage(&self) -> Usage {
        let both = |counts: &[AtomicU64; 2]| [0, 1].map(|i| counts[i].load(Relaxed));
        Usage { cpu_ns: self.cpu_ns(), switches: both(&self.switches), faults: both(&self.faults) }
    }

    /// How often it waited for something.
    pub fn waits(&self) -> u64 {
        self.switches[0].load(Relaxed)
    }

    /// Counts a page fault of the running thread.
    pub fn count_fault(&self, major: bool) {
        let count = &self.faults[usize::from(major)];
        count.store(count.load(Relaxed) + 1, Relaxed);
    }

    /// Nice value.
    pub fn nice(&self) -> i8 {
        self.urgency.setting().nice
    }

    /// Sets the nice value.
    pub fn set_nice(&self, v: i8) {
        self.urgency.set_nice(v.clamp(-20, 19));
    }

    /// What policy and priority it was given.
    pub fn setting(&self) -> Setting {
        self.urgency.setting()
    }

    /// Its priority among real-time threads, 0 if it is not one; with what was lent to it.
    pub fn rank(&self) -> u8 {
        self.urgency.rank()
    }

    /// Whether it is running, or would be if it had a processor.
    pub fn is_runnable(&self) -> bool {
        !self.state.is_parked()
    }

    /// `R`unning or runnable, `S`leeping (a signal wakes it), `D` (none does), as in `/proc/*/stat`.
    pub fn state_letter(&self) -> char {
        match (self.state.is_parked(), self.state.is_interruptible()) {
            (false, _) => 'R',
            (true, true) => 'S',
            (true, false) => 'D',
        }
    }

    /// CPU it runs on or ran on last.
    pub fn cpu(&self) -> usize {
        self.last_cpu.load(Relaxed) as usize
    }

    /// Whether it was told to end.
    pub fn is_killed(&self) -> bool {
        self.signals.killed.load(Relaxed)
    }

    /// The program's TLS pointer.
    pub fn tls(&self) -> usize {
        self.tls.load(Relaxed)
    }

    /// Changes the running thread's TLS pointer.
    pub fn set_own_tls(&self, v: usize) {
        let irq = hw::disable_interrupts();
        self.tls.store(v, Relaxed);
        load_tls(super::this_cpu(), v);
        hw::restore_interrupts(irq);
    }
}

/// The running thread. The reference is valid for as long as the caller runs; do not hand it to another thread.
#[cfg(unibody_kernel)]
#[inline]
pub fn current() -> &'static Thread {
    // SAFETY: every switch sets it to the thread that runs here, which lives at least until the last switch away
    // from it.
    unsafe { &*(hw::current_thread() as *const Thread) }
}

/// The running thread; `None` before the scheduler runs on this CPU.
#[cfg(unibody_kernel)]
pub fn try_current() -> Option<&'static Thread> {
    // SAFETY: as in `current`, or null.
    unsafe { (hw::current_thread() as *const Thread).as_ref() }
}

#[cfg(not(unibody_kernel))]
#[path = "tests/current.rs"]
mod host;
#[cfg(not(unibody_kernel))]
pub use host::{current, try_current};

/// Number and name of the running thread, for reports. Works in any state of the kernel.
pub fn describe_current() -> (u32, ThreadName) {
    try_current().map_or((0, ThreadName([0; NAME_MAX + 1])), |t| {
        // A report must not wait for a lock.
        (t.tid, ThreadName(t.name.try_lock().map_or([0; NAME_MAX + 1], |n| *n)))
    })
}

/// A name that can be printed.
pub struct ThreadName(pub [u8; NAME_MAX + 1]);

impl core::fmt::Display for ThreadName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let end = self.0.iter().position(|&b| b == 0).unwrap_or(self.0.len());
        f.write_str(core::str::from_utf8(&self.0[..end]).unwrap_or("?"))
    }
}

/// A counted reference to the running thread.
pub fn current_arc() -> Arc<Thread> {
    arc_of(current())
}

/// A counted reference to a thread; every thread lives in an `Arc`.
pub(super) fn arc_of(t: &Thread) -> Arc<Thread> {
    // SAFETY: `Thread::new` is the only way to make one and puts it into an Arc, which is alive while borrowed.
    unsafe {
        Arc::increment_strong_count(t);
        Arc::from_raw(t)
    }
}

/// Makes `v` the TLS pointer of this CPU, `c`, unless it is. Interrupts off.
pub(super) fn load_tls(c: &super::cpu::Cpu, v: usize) {
    if c.tls.load(Relaxed) != v {
        c.tls.store(v, Relaxed);
        hw::set_tls(v);
    }
}
