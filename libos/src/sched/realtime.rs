//! SCHED_FIFO, SCHED_RR, SCHED_BATCH and SCHED_IDLE (sched(7)).
//!
//! A real-time thread runs before every ordinary one and before those of a lower priority, on whichever processor it may
//! use: one that becomes runnable goes where the least urgent thread runs; one that is pushed aside goes on elsewhere if
//! it can; and a processor whose thread leaves looks whether a more urgent one waits at another ([`pull`]).
//!
//! The kernel's own threads precede them all, so that a program that computes at priority 99 has its timers, network and
//! files. And of each second real-time threads get 950 ms if an ordinary thread waits for the same processor, as with
//! Linux's `sched_rt_runtime_us`: until the second is over they stand behind the ordinary ones
//! ([`stands_at`]).

use super::cpu::{self, Cpu, Runner, after, this_cpu};
use super::queue::{SLEEP_CREDIT, SLICE_NS, stands_at};
use super::run::{self, Leaving};
use super::thread::Thread;
use super::urgency::{BEYOND, Beyond, KERNEL, Setting, Urgency, pace};
use super::{for_each_thread, online_mask};
use alloc::sync::Arc;
use core::sync::atomic::Ordering::*;
use libos_base::abi::Policy;
use libos_base::time::{NS, monotonic_ns};

/// The turn of a SCHED_RR thread among its equals (Linux: `sched_rr_timeslice_ms`).
pub const TURN_NS: u64 = 100_000_000;
/// How much of each second real-time threads get while others wait.
const SHARE_NS: u64 = NS / 100 * 95;

static THIS: Beyond = Beyond { enqueue, charge, leaves, pull, slice_is_over, hurry, lend };

/// What real-time threads have used of the second that began at `from`.
#[derive(Default)]
pub(crate) struct Budget {
    from: u64,
    used: u64,
    /// It is used up.
    pub spent: bool,
}

/// Changes policy, priority and nice value of a thread.
pub fn set(t: &Arc<Thread>, to: Setting) {
    if to.policy != Policy::OTHER && BEYOND.get().is_none() {
        BEYOND.provide(&THIS);
        for_each_thread(|t| {
            if !t.is_program {
                change(t, |u| u.lift());
            }
        });
    }
    change(t, |u| u.set(to));
}

fn lend(t: &Arc<Thread>, rank: u8) {
    change(t, |u| u.lend(rank));
}

fn hurry(t: &Thread, on: bool) {
    if on {
        t.urgency.lift();
    } else {
        change(&super::thread::arc_of(t), |u| u.settle());
    }
}

/// Changes `t`'s urgency and puts it where it then belongs: behind its equals if it became more urgent, before them if
/// less, as in sched(7).
fn change(t: &Arc<Thread>, f: impl FnOnce(&Urgency)) {
    let before = (t.urgency.rank(), t.urgency.pace());
    if BEYOND.get().is_none() {
        return f(&t.urgency);
    }
    // What it ran until now, it ran as what it was.
    for c in cpu::all() {
        let mut r = c.run.lock();
        if Arc::ptr_eq(&r.current, t) {
            r.charge(monotonic_ns());
        }
    }
    f(&t.urgency);
    if before != (t.urgency.rank(), t.urgency.pace()) {
        place_anew(t, t.urgency.rank() < before.0);
    }
}

/// Whoever queues a thread looks at its urgency under the queue's lock: either that is the new one, or the thread is
/// found here.
fn place_anew(t: &Arc<Thread>, front: bool) {
    for c in cpu::all() {
        let mut r = c.run.lock();
        if Arc::ptr_eq(&r.current, t) {
            if front {
                let v = r.queue.placed(t.vruntime.load(Relaxed));
                t.vruntime.store(v, Relaxed);
            }
            let now = monotonic_ns();
            if r.is_behind(now) {
                run::announce(c, &mut r, now, false, true);
            }
            drop(r);
            return pull(c);
        }
        let waits = r.queue.take(|other| Arc::ptr_eq(other, t));
        drop(r);
        if let Some(t) = waits {
            return enqueue(t, front);
        }
    }
}

/// The other CPUs that are up.
fn others(c: &Cpu) -> impl Iterator<Item = &'static Cpu> {
    let others = online_mask() & !(1 << c.id);
    cpu::all().filter(move |other| others & 1 << other.id != 0)
}

/// How urgent what a CPU runs is: the idle thread less than any other.
fn level(r: &Runner) -> i16 {
    if r.is_idle() { -1 } else { r.current.urgency.rank().into() }
}

/// The CPU for a thread that is to be queued: if it is a real-time thread, the one that runs the least urgent thread.
fn place(t: &Thread) -> &'static Cpu {
    let online = online_mask();
    if online == 1 {
        return this_cpu();
    }
    if t.urgency.rank() == 0 || t.on_cpu.load(SeqCst) {
        return run::place(t, online);
    }
    let (last, affinity) = (t.cpu(), t.affinity.load(Relaxed));
    let may = if affinity & online == 0 { online } else { affinity & online };
    // Where it ran last comes first among equals, and last where it would have to wait for ordinary threads.
    let all = cpu::all().filter(|c| may & 1 << c.id != 0);
    let least = all.min_by_key(|c| {
        let r = c.run.lock();
        (r.budget.spent, level(&r), c.id != last)
    });
    least.expect("one of those that are up")
}

fn enqueue(t: Arc<Thread>, front: bool) {
    let c = place(&t);
    let mut r = c.run.lock();
    let now = monotonic_ns();
    refresh(&mut r, now);
    let policy = t.urgency.setting().policy;
    let (rank, real_time) = (t.urgency.rank(), t.urgency.pace() == pace::REAL_TIME);
    let v = if real_time {
        r.place_of(&t)
    } else {
        let credit = if policy == Policy::OTHER { SLEEP_CREDIT } else { 0 };
        let slice = cpu::weighted(SLICE_NS, t.urgency.pace().max(0));
        let v = r.queue.placed_within(t.vruntime.load(Relaxed), credit, 4 * slice);
        t.vruntime.store(v, Relaxed);
        v
    };
    if front {
        r.queue.push_front(v, t);
    } else {
        r.queue.push(v, t);
    }
    // Those that compute in the background wait for the end of the slice.
    let waits = !real_time && matches!(policy, Policy::BATCH | Policy::IDLE);
    let idle = r.is_idle();
    let switch = idle || !waits && r.is_behind(now);
    run::announce(c, &mut r, now, idle, switch);
    drop(r);
    if real_time && !switch {
        let others = || others(c);
        others().for_each(|other| {
            other.after.fetch_or(after::PULL, SeqCst);
        });
        // One of them may have turned to a less urgent thread after `place` looked, and before it was to look itself.
        if let Some(other) = others().find(|other| level(&other.run.lock()) < rank.into()) {
            pull(other);
        }
    }
}

fn charge(r: &mut Runner, delta: u64) {
    if !r.current.is_program {
        return;
    }
    let turn = &r.current.urgency.turn_ns;
    turn.store(turn.load(Relaxed) + delta, Relaxed);
    let b = &mut r.budget;
    if r.since.saturating_sub(b.from) >= NS {
        (b.from, b.used) = (r.since, 0);
    } else {
        b.used += delta;
    }
}

/// Lets real-time threads go first again if their second is over.
fn refresh(r: &mut Runner, now: u64) {
    if r.budget.spent && now.saturating_sub(r.budget.from) >= NS {
        r.budget = Budget { from: now, used: 0, spent: false };
        place_all(r);
    }
}

/// After a change of where real-time threads stand.
fn place_all(r: &mut Runner) {
    let (now, spent) = (r.queue.min_vruntime(), r.budget.spent);
    r.queue.place_anew(|t| {
        let rank = t.urgency.rank();
        (t.urgency.pace() == pace::REAL_TIME).then(|| stands_at(now, rank, spent && rank < KERNEL))
    });
}

fn is_turn_over(t: &Thread) -> bool {
    t.urgency.setting().policy == Policy::RR && t.urgency.turn_ns.load(Relaxed) >= TURN_NS
}

fn slice_is_over(r: &mut Runner, now: u64) -> bool {
    if r.is_idle() {
        return true;
    }
    r.charge(now);
    refresh(r, now);
    if r.current.urgency.pace() != pace::REAL_TIME {
        return r.slice_is_over(now);
    }
    let others_wait = || r.queue.iter().any(|t| t.urgency.pace() != pace::REAL_TIME);
    if r.current.is_program && !r.budget.spent && r.budget.used >= SHARE_NS && others_wait() {
        r.budget.spent = true;
        place_all(r);
        return true;
    }
    let Some(first) = r.queue.first() else { return false };
    match r.place_of(&r.current).wrapping_sub(first) as i64 {
        0 => is_turn_over(&r.current),
        ahead => ahead > 0,
    }
}

fn leaves(r: &mut Runner, c: &'static Cpu, why: Leaving) {
    let me = r.current.clone();
    let over = why == Leaving::Preempted && is_turn_over(&me);
    if over {
        me.urgency.turn_ns.store(0, Relaxed);
    }
    let front = why == Leaving::Preempted && !over;
    if front && online_mask() != 1 << c.id {
        c.after.fetch_or(after::MOVES | after::FRONT, SeqCst);
        return;
    }
    let v = r.place_of(&me);
    if front {
        r.queue.push_front(v, me);
    } else {
        r.queue.push(v, me);
    }
}

/// Fetches a thread that waits elsewhere and is more urgent than what runs at `c`. While there are real-time threads
/// that wait, this is done again after the next switch there.
fn pull(c: &'static Cpu) {
    c.after.fetch_and(!after::PULL, SeqCst);
    let mine = level(&c.run.lock()).max(0);
    let (mut found, mut more) = (None, false);
    for other in others(c) {
        let mut r = other.run.lock();
        let usable = |t: &Arc<Thread>| t.affinity.load(Relaxed) & 1 << c.id != 0 && !t.on_cpu.load(Acquire);
        if found.is_none() && !r.budget.spent {
            found = r.queue.take(|t| i16::from(t.urgency.rank()) > mine && usable(t));
        }
        more |= r.queue.iter().any(|t| t.urgency.rank() > 0);
    }
    if more {
        c.after.fetch_or(after::PULL, SeqCst);
    }
    if let Some(t) = found {
        enqueue(t, false);
    }
}
