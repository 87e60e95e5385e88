//! How urgent a thread is: its policy, priority and nice value (sched(7)), and the priority that others have lent it.
//!
//! Ordinary threads are all there is until a program asks for another policy. What those need is in
//! [`realtime`](super::realtime), which a program without such calls does not link: it is reached through [`BEYOND`].

use super::cpu::{Cpu, Runner};
use super::run::Leaving;
use super::thread::Thread;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicI8, AtomicU8, AtomicU32, AtomicU64, Ordering::*};
use libos_base::abi::Policy;
use libos_base::sync::Provider;

/// The rank of kernel threads once there are real-time threads: above them all, as are interrupts, and the work that
/// Linux does right after them.
pub(super) const KERNEL: u8 = 100;

/// What a thread was set to. All zeros: SCHED_OTHER at nice value 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub policy: Policy,
    /// Its children start as ordinary threads (SCHED_RESET_ON_FORK).
    pub reset: bool,
    /// 1 to 99 for real-time policies, otherwise 0.
    pub priority: u8,
    /// -20 (most time) to 19 (least).
    pub nice: i8,
}

impl Setting {
    const RESET: u8 = 0x80;

    fn pack(self) -> u32 {
        let policy = self.policy.0 as u8 | if self.reset { Self::RESET } else { 0 };
        u32::from_le_bytes([policy, self.priority, self.nice as u8, 0])
    }

    fn unpack(v: u32) -> Self {
        let [policy, priority, nice, _] = v.to_le_bytes();
        Self {
            policy: Policy(i32::from(policy & !Self::RESET)),
            reset: policy & Self::RESET != 0,
            priority,
            nice: nice as i8,
        }
    }

    /// What a thread that this one makes starts with.
    fn inherited(self) -> Self {
        match self {
            Self { reset: false, .. } => self,
            Self { priority: 1.., .. } => Self { policy: Policy::OTHER, reset: false, priority: 0, nice: 0 },
            _ => Self { reset: false, nice: self.nice.max(0), ..self },
        }
    }
}

/// How fast virtual runtime passes for a thread that runs: [`weighted`](super::cpu::weighted) by a nice value, or one of
/// these.
pub(super) mod pace {
    /// SCHED_IDLE: 330 times as fast as usual. Linux's weights are 3 and 1024.
    pub const IDLE: i8 = 26;
    /// Not at all.
    pub const REAL_TIME: i8 = i8::MAX;
}

/// A thread's urgency.
pub(super) struct Urgency {
    setting: AtomicU32,
    /// The highest rank among those who wait for a lock that it holds.
    lent: AtomicU8,
    /// What it counts as: 0, a real-time priority, or [`KERNEL`]. This and `pace` follow from the others.
    rank: AtomicU8,
    pace: AtomicI8,
    /// How much of its turn under SCHED_RR is used up. Changed under its CPU's lock.
    pub turn_ns: AtomicU64,
}

impl Urgency {
    pub const fn new() -> Self {
        Self {
            setting: AtomicU32::new(0),
            lent: AtomicU8::new(0),
            rank: AtomicU8::new(0),
            pace: AtomicI8::new(0),
            turn_ns: AtomicU64::new(0),
        }
    }

    pub fn setting(&self) -> Setting {
        Setting::unpack(self.setting.load(SeqCst))
    }

    pub fn rank(&self) -> u8 {
        self.rank.load(Relaxed)
    }

    #[inline(always)]
    pub fn pace(&self) -> i8 {
        self.pace.load(Relaxed)
    }

    /// Changes the nice value alone.
    pub fn set_nice(&self, nice: i8) {
        let with = |v| Some(Setting { nice, ..Setting::unpack(v) }.pack());
        let _ = self.setting.fetch_update(SeqCst, SeqCst, with);
        self.settle();
    }

    /// Changes all of the setting. The caller sees to the thread's place.
    pub fn set(&self, to: Setting) {
        self.setting.store(to.pack(), SeqCst);
        self.settle();
    }

    /// Changes what was lent to it, likewise.
    pub fn lend(&self, rank: u8) {
        self.lent.store(rank, SeqCst);
        self.settle();
    }

    /// Makes it count as one of the kernel's, until the next change.
    pub fn lift(&self) {
        self.rank.store(KERNEL, Relaxed);
        self.pace.store(pace::REAL_TIME, Relaxed);
    }

    /// At the start of a thread that another one made, whose urgency is `from`.
    #[inline]
    pub fn inherit(&self, from: &Self) {
        let v = from.setting.load(Relaxed);
        if v != 0 {
            self.set(Setting::unpack(v).inherited());
        }
    }

    /// Derives rank and pace. Of several at once, the last one to look at the rest sees the last change of it.
    pub fn settle(&self) {
        loop {
            let from = (self.setting.load(SeqCst), self.lent.load(SeqCst));
            let s = Setting::unpack(from.0);
            let rank = s.priority.max(from.1);
            self.rank.store(rank, SeqCst);
            let pace = match s.policy {
                _ if rank > 0 => pace::REAL_TIME,
                Policy::IDLE => pace::IDLE,
                _ => s.nice,
            };
            self.pace.store(pace, SeqCst);
            if from == (self.setting.load(SeqCst), self.lent.load(SeqCst)) {
                return;
            }
        }
    }
}

/// What threads of policies other than SCHED_OTHER need from the scheduler.
pub(super) struct Beyond {
    /// In place of [`enqueue`](super::run::enqueue). With `true`, before its equals.
    pub enqueue: fn(Arc<Thread>, bool),
    /// The real-time thread that runs here has run for so many nanoseconds more, up to now.
    pub charge: fn(&mut Runner, u64),
    /// The real-time thread that runs here leaves and stays runnable.
    pub leaves: fn(&mut Runner, &'static Cpu, Leaving),
    /// A real-time thread that waits for another CPU may be more urgent than the one that runs here now.
    pub pull: fn(&'static Cpu),
    /// At the end of a slice: whether another thread should run.
    pub slice_is_over: fn(&mut Runner, u64) -> bool,
    /// Makes the running thread precede all others for a while, and no longer.
    pub hurry: fn(&Thread, bool),
    /// See [`lend`].
    pub lend: fn(&Arc<Thread>, u8),
}

/// Empty until a thread is given such a policy. So nobody has a rank before that.
pub(super) static BEYOND: Provider<Beyond> = Provider::new();

/// Lets `t` run as if it had this real-time priority, unless its own is higher: the highest of those who wait for what
/// it holds, 0 if none of them has one.
pub fn lend(t: &Arc<Thread>, rank: u8) {
    if let Some(beyond) = BEYOND.get() {
        (beyond.lend)(t, rank);
    }
}
