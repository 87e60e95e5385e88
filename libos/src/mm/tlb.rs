//! Translations that other CPUs may still hold.
//!
//! One shoot-down at a time: the caller holds the space's mutex (or is the only one running). It is sent with
//! interrupts on and no spin lock held, because it waits for the other CPUs, which may themselves be waiting for a lock
//! or for us. A whole range costs one interrupt per CPU. Idle CPUs are left asleep: they flush when they wake.

use super::cpu;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use libos_base::layout::PAGE_SIZE;

/// Above this many pages it is cheaper to forget everything at once.
const SINGLE_MAX: usize = 32;

static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
/// CPUs that have not yet flushed.
static PENDING: AtomicU64 = AtomicU64::new(0);
/// CPUs that are asleep, and CPUs that missed a flush while asleep or have to make one soon.
static IDLE: AtomicU64 = AtomicU64::new(0);
static STALE: AtomicU64 = AtomicU64::new(0);

fn flush_here(range: Range<usize>) {
    if range.len() > SINGLE_MAX * PAGE_SIZE {
        return cpu::invalidate_all();
    }
    for addr in range.step_by(PAGE_SIZE) {
        cpu::invalidate_page(addr);
    }
}

/// Makes every CPU forget its translations of `range`, and of the tables that led there.
pub fn flush(range: Range<usize>) {
    if range.is_empty() {
        return;
    }
    libos_base::percpu::preempt_disable();
    flush_here(range.clone());
    let others = cpu::others_online();
    if others != 0 {
        START.store(range.start, SeqCst);
        END.store(range.end, SeqCst);
        // Sleeping CPUs are marked, then checked again: one that wakes in between either sees the mark or is
        // interrupted.
        let asleep = others & IDLE.load(SeqCst);
        STALE.fetch_or(asleep, SeqCst);
        let awake = others & !(asleep & IDLE.load(SeqCst));
        PENDING.store(awake, SeqCst);
        if awake != 0 {
            cpu::send_tlb_flush(awake);
        }
    }
    libos_base::percpu::preempt_enable();
    while PENDING.load(SeqCst) != 0 {
        core::hint::spin_loop();
    }
}

/// Makes every CPU forget all translations, the others soon: for rights that were removed from memory which nobody
/// uses. Interrupts are off.
pub fn flush_soon() {
    cpu::invalidate_all();
    let others = cpu::others_online();
    if others != 0 {
        STALE.fetch_or(others, SeqCst);
        cpu::send_tlb_flush(others & !IDLE.load(SeqCst));
    }
}

/// The other CPU's side of [`flush`]: called from the interrupt.
pub fn on_ipi() {
    cpu::pinned(|cpu| {
        let me = 1 << cpu;
        if STALE.load(SeqCst) & me != 0 {
            STALE.fetch_and(!me, SeqCst);
            cpu::invalidate_all();
        }
        if PENDING.load(SeqCst) & me != 0 {
            flush_here(START.load(SeqCst)..END.load(SeqCst));
            PENDING.fetch_and(!me, SeqCst);
        }
    });
}

/// This CPU is about to sleep and will touch no program memory until [`idle_exit`].
pub fn idle_enter() {
    cpu::pinned(|cpu| IDLE.fetch_or(1 << cpu, SeqCst));
}

/// This CPU is awake again. To be called before it runs a thread.
pub fn idle_exit() {
    cpu::pinned(|cpu| {
        let me = 1 << cpu;
        IDLE.fetch_and(!me, SeqCst);
        if STALE.load(SeqCst) & me != 0 {
            STALE.fetch_and(!me, SeqCst);
            cpu::invalidate_all();
        }
    });
}
