//! Choosing the next thread and switching to it.

use super::cpu::{self, Cpu, Runner, after, cpu, this_cpu};
use super::hw;
use super::thread::{Thread, current, load_tls};
use super::urgency::{BEYOND, pace};
use crate::arch::MAX_CPUS;
use alloc::sync::Arc;
use core::sync::atomic::Ordering::*;
use libos_base::percpu::work::{RESCHED, SIGNAL};
use libos_base::sync::check;
use libos_base::time::monotonic_ns;

/// How the running thread leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Against its will: it stays runnable.
    Preempted,
    /// It lets others go first.
    Yield,
    /// Its state says parked; whatever unparks it enqueues it.
    Parked,
    /// Forever.
    Dead,
}

/// Runs the thread that should run now. Interrupts off, no lock held. Returns when the caller runs again.
pub(super) fn schedule(why: Leaving) {
    check::may_wait();
    let c = this_cpu();
    hw::clear_work(RESCHED);
    let now = monotonic_ns();
    let Some((prev, next)) = pick(c, why, now) else { return };
    // SAFETY: `next` is `Runner::current`, so it is alive; `prev` is alive until `finish` releases `Cpu::left`.
    // They are on distinct kernel stacks, and nobody else runs `next`: it came out of a queue with `on_cpu` clear.
    unsafe {
        let next = &*next;
        #[cfg(unibody_kernel)]
        {
            let head = hw::head();
            head.kstack_bottom.store(next.stack_range.0, Relaxed);
            head.kstack_top.store(next.stack_range.1, Relaxed);
            head.current.store(next as *const Thread as usize, Relaxed);
        }
        if next.is_program {
            load_tls(c, next.tls.load(Relaxed));
        }
        hw::switch((*prev).saved_sp.get(), *next.saved_sp.get());
    }
    finish();
}

/// Chooses the next thread; `None` when the running one continues.
fn pick(c: &'static Cpu, why: Leaving, now: u64) -> Option<(*const Thread, *const Thread)> {
    let mut r = c.run.lock_with_irqs_off();
    r.charge(now);
    r.kicked = false;
    let stays = matches!(why, Leaving::Preempted | Leaving::Yield);
    if stays && !r.is_idle() {
        leaves_runnable(&mut r, c, why);
    }
    let mut next = take(&mut r, c);
    let others = cpu::online_mask() & !(1 << c.id);
    if next.is_none() && others != 0 {
        drop(r);
        let stolen = steal(c, others);
        r = c.run.lock_with_irqs_off();
        // Something may have been queued in the meantime, even the thread that is leaving.
        next = take(&mut r, c);
        if let Some(t) = stolen {
            let v = t.vruntime.load(Relaxed).wrapping_add(r.queue.min_vruntime());
            t.vruntime.store(v, Relaxed);
            match next {
                None => next = Some(t),
                Some(_) => {
                    let at = r.place_of(&t);
                    r.queue.push(at, t);
                }
            }
        }
    }
    let next = next.unwrap_or_else(|| r.idle.clone());
    let idle = Arc::ptr_eq(&next, &r.idle);
    cpu::set_idle(c.id, idle);
    c.slice_end.store(u64::MAX, Relaxed);
    if !idle && r.queue.len() > 0 {
        c.start_slice(now);
    }
    if Arc::ptr_eq(&next, &r.current) {
        return None;
    }
    // Only its own CPU writes these, under the lock.
    let switches = &r.current.switches[stays as usize];
    switches.store(switches.load(Relaxed) + 1, Relaxed);
    next.last_cpu.store(c.id as u32, Relaxed);
    next.on_cpu.store(true, SeqCst);
    let prev = core::mem::replace(&mut r.current, next);
    let prev = Arc::into_raw(prev);
    debug_assert!(c.left.load(Relaxed).is_null());
    c.left.store(prev.cast_mut(), Relaxed);
    Some((prev, Arc::as_ptr(&r.current)))
}

/// Queues the running thread, which is not the idle one, again.
fn leaves_runnable(r: &mut Runner, c: &'static Cpu, why: Leaving) {
    let me = r.current.clone();
    if me.affinity.load(Relaxed) & 1 << c.id == 0 && cpu::online_mask() & me.affinity.load(Relaxed) != 0 {
        c.after.fetch_or(after::MOVES, SeqCst);
    } else if me.urgency.pace() == pace::REAL_TIME
        && let Some(beyond) = BEYOND.get()
    {
        (beyond.leaves)(r, c, why);
    } else {
        let mut v = me.vruntime.load(Relaxed);
        if why == Leaving::Yield
            && let Some(first) = r.queue.first()
            && (first.wrapping_sub(v) as i64) > 0
        {
            v = first;
            me.vruntime.store(v, Relaxed);
        }
        r.queue.push(v, me);
    }
}

/// The first thread that may run here. One whose mask changed while it waited is taken too, and handed on when it next
/// leaves the CPU; that is soon, because a reschedule is requested at once.
#[inline(always)]
fn take(r: &mut Runner, c: &Cpu) -> Option<Arc<Thread>> {
    let t = r.queue.pop()?;
    if t.affinity.load(Relaxed) & 1 << c.id == 0 && !Arc::ptr_eq(&t, &r.current) {
        hw::set_work(RESCHED);
    }
    Some(t)
}

/// A waiting thread of one of the `others`, its virtual runtime made relative. Each CPU begins with the one after it.
fn steal(c: &Cpu, others: u64) -> Option<Arc<Thread>> {
    let mut left = others.rotate_right(c.id as u32 + 1);
    while left != 0 {
        let i = left.trailing_zeros() as usize + 1;
        left &= left - 1;
        let Some(other) = cpu((c.id + i) % MAX_CPUS) else { continue };
        let Some(mut r) = other.run.try_lock() else { continue };
        let may = |t: &Arc<Thread>| t.affinity.load(Relaxed) & 1 << c.id != 0 && !t.on_cpu.load(Acquire);
        if let Some(t) = r.queue.steal(may) {
            let relative = t.vruntime.load(Relaxed).wrapping_sub(r.queue.min_vruntime());
            t.vruntime.store(relative, Relaxed);
            return Some(t);
        }
    }
    None
}

/// The second half of a switch, on the new thread's stack: the old thread has left its own.
#[inline(always)]
pub(super) fn finish() {
    let c = this_cpu();
    let left = c.left.load(Relaxed);
    c.left.store(core::ptr::null_mut(), Relaxed);
    // Pairs with `signal`: it sets the flag, then checks whether the thread is on a CPU; `pick` did the reverse.
    if current().signals.work_due() {
        hw::set_work(SIGNAL);
    } else {
        hw::clear_work(SIGNAL);
    }
    if !left.is_null() {
        // SAFETY: the reference that `pick` left there, once.
        let t = unsafe { Arc::from_raw(left) };
        let dead = t.dead.load(Relaxed);
        t.on_cpu.store(false, SeqCst);
        if c.after.load(Relaxed) != 0 {
            after_switch(c, &t);
        }
        if dead {
            super::exit::bury(t);
        }
    }
    // Threads waiting here could not be stolen while `left` was still on its stack.
    let idle = cpu::idle_mask() & !(1 << c.id);
    if idle != 0 && c.run.lock().queue.len() > 0 {
        kick(idle.trailing_zeros() as usize);
    }
}

/// What [`Cpu::after`] asks for, once `left` has left its stack.
#[cold]
fn after_switch(c: &'static Cpu, left: &Arc<Thread>) {
    let what = c.after.swap(0, SeqCst);
    let beyond = BEYOND.get();
    if what & after::MOVES != 0 {
        match beyond {
            Some(beyond) => (beyond.enqueue)(left.clone(), what & after::FRONT != 0),
            None => enqueue(left.clone()),
        }
    }
    if what & after::PULL != 0
        && let Some(beyond) = beyond
    {
        (beyond.pull)(c);
    }
}

fn kick(id: usize) {
    let Some(c) = cpu(id) else { return };
    let mut r = c.run.lock();
    if !r.kicked {
        r.kicked = true;
        hw::send_reschedule(id);
    }
}

/// Puts a runnable thread on a queue. The caller won the exchange of its state, so nobody else does.
pub(super) fn enqueue(t: Arc<Thread>) {
    if let Some(beyond) = BEYOND.get() {
        return (beyond.enqueue)(t, false);
    }
    let online = cpu::online_mask();
    let c = if online == 1 { this_cpu() } else { place(&t, online) };
    let mut r = c.run.lock();
    let v = r.queue.placed(t.vruntime.load(Relaxed));
    t.vruntime.store(v, Relaxed);
    r.queue.push(v, t);
    let now = monotonic_ns();
    let idle = r.is_idle();
    let switch = idle || r.is_behind(now);
    announce(c, &mut r, now, idle, switch);
}

/// A thread was queued at `c`, and is to run at once if `switch`.
#[inline(always)]
pub(super) fn announce(c: &'static Cpu, r: &mut Runner, now: u64, idle: bool, switch: bool) {
    if c.id == hw::cpu_id() {
        // Acted on when the lock is released, or at the end of the interrupt.
        if switch {
            hw::set_work(RESCHED);
        }
        if !idle {
            c.start_slice(now);
        }
    } else if !r.kicked && (switch || c.slice_end.load(Relaxed) == u64::MAX) {
        r.kicked = true;
        cpu::set_idle(c.id, false);
        hw::send_reschedule(c.id);
    }
}

/// The CPU for a thread that is to be queued.
pub(super) fn place(t: &Thread, online: u64) -> &'static Cpu {
    let last = t.last_cpu.load(Relaxed) as usize;
    let at = if t.on_cpu.load(SeqCst) {
        last
    } else {
        cpu::choose(last, t.affinity.load(Relaxed), cpu::idle_mask(), online)
    };
    cpu(at).expect("chosen among the CPUs that are up")
}

/// In the reschedule interrupt: another CPU queued something here, or posted a signal to the running thread.
pub fn on_reschedule_ipi() {
    let c = this_cpu();
    let mut r = c.run.lock();
    r.kicked = false;
    let now = monotonic_ns();
    if r.is_idle() || r.is_behind(now) || r.current.affinity.load(Relaxed) & 1 << c.id == 0 {
        hw::set_work(RESCHED);
    } else if r.queue.len() > 0 {
        c.start_slice(now);
    }
    if r.current.signals.work_due() {
        hw::set_work(SIGNAL);
    }
}

/// At the end of a slice (timer interrupt).
pub(crate) fn slice_ended(c: &Cpu, now: u64) {
    let mut r = c.run.lock();
    c.slice_end.store(u64::MAX, Relaxed);
    super::load::waited(r.queue.len());
    let over = match BEYOND.get() {
        Some(beyond) => (beyond.slice_is_over)(&mut r, now),
        None => r.slice_is_over(now),
    };
    if over {
        hw::set_work(RESCHED);
    } else if r.queue.len() > 0 && !r.is_idle() {
        c.start_slice(now);
    }
}

/// Makes the CPU that runs `t` check its work (`SIGNAL`) soon.
pub(crate) fn poke(t: &Thread) {
    let irq = hw::disable_interrupts();
    if t.on_cpu.load(SeqCst) {
        let at = t.cpu();
        if at == hw::cpu_id() {
            if core::ptr::eq(current(), t) {
                hw::set_work(SIGNAL);
            }
        } else {
            hw::send_reschedule(at);
        }
    }
    hw::restore_interrupts(irq);
}

/// Returns once every CPU that was running the program at the time of the call has passed a full memory barrier: each
/// answers an interrupt or has switched threads, and either is one.
pub fn barrier_everywhere() {
    core::sync::atomic::fence(SeqCst);
    let me = current();
    let own = me.affinity.load(SeqCst);
    let beyond = BEYOND.get();
    if let Some(beyond) = beyond {
        (beyond.hurry)(me, true);
    }
    for c in cpu::all().filter(|c| cpu::online_mask() & 1 << c.id != 0) {
        // Running there is a barrier that needs no answer.
        me.affinity.store(1 << c.id, SeqCst);
        migrate_now(me);
        core::sync::atomic::fence(SeqCst);
    }
    me.set_affinity(own);
    if let Some(beyond) = beyond {
        (beyond.hurry)(me, false);
    }
}

/// Whether a thread waits for the CPU that this one runs on.
pub fn is_wanted() -> bool {
    this_cpu().slice_end.load(Relaxed) != u64::MAX
}

/// Lets other threads run first.
pub fn yield_now() {
    let irq = hw::disable_interrupts();
    schedule(Leaving::Yield);
    hw::restore_interrupts(irq);
}

/// After a change of `t`'s mask: moves it off a CPU that it may no longer use.
pub(crate) fn migrate_now(t: &Thread) {
    if t.affinity() & 1 << t.cpu() != 0 {
        return;
    }
    if core::ptr::eq(t, current()) {
        yield_now();
    } else if t.on_cpu.load(SeqCst) {
        hw::send_reschedule(t.cpu());
    }
}

/// At the end of an interrupt that hit kernel code, on the thread's own stack, with its registers saved: interrupts
/// off, preemption count 0.
pub fn preempt_from_interrupt() {
    schedule(Leaving::Preempted);
}

/// On the way out to the program: lets other threads run first, if that is due. Interrupts on.
#[cfg(unibody_kernel)]
pub(crate) fn resched_if_due() {
    if hw::head().work.load(Relaxed) & RESCHED != 0 {
        let irq = hw::disable_interrupts();
        schedule(Leaving::Preempted);
        hw::restore_interrupts(irq);
    }
}

/// Called when `preempt_enable` found a reschedule due.
pub fn preempt() {
    if hw::may_switch() && cpu::is_up() {
        let irq = hw::disable_interrupts();
        schedule(Leaving::Preempted);
        hw::restore_interrupts(irq);
    }
}
