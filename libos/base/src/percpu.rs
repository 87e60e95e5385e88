//! The head of each CPU's own data, accessed in single instructions (`arch`).
//!
//! `libos` owns the rest of the structure; assembly and the spin locks know the part below.

use crate::arch;
use core::sync::atomic::{AtomicU32, AtomicUsize};

/// The part of the per-CPU block whose layout assembly knows.
#[repr(C, align(64))]
pub struct Head {
    /// Address of this block.
    pub this: usize,
    /// Top of the running thread's kernel stack.
    pub kstack_top: AtomicUsize,
    /// Bottom of the running thread's kernel stack.
    pub kstack_bottom: AtomicUsize,
    /// While this is not zero, the running thread must not be switched out.
    pub preempt_count: AtomicU32,
    /// Bits of [`work`], checked on every exit to the program.
    pub work: AtomicU32,
    /// Number of this CPU, from 0.
    pub cpu: u32,
    /// Interrupt handlers running on this CPU; counted only by the debug kernel.
    pub in_interrupt: AtomicU32,
    /// The running thread (`*const libos::sched::Thread`).
    pub current: AtomicUsize,
    /// This CPU's part of the scheduler (`*const libos::sched::Cpu`); 0 before it has one.
    pub scheduler: AtomicUsize,
}

/// Bits of [`Head::work`].
pub mod work {
    /// Another thread should run.
    pub const RESCHED: u32 = 1;
    /// The running thread has a deliverable signal (or must exit).
    pub const SIGNAL: u32 = 2;
}

/// Prevents the running thread from being switched out until the matching [`preempt_enable`]. Nests.
#[inline(always)]
pub fn preempt_disable() {
    arch::preempt_count_up();
}

/// Ends a [`preempt_disable`]; switches at once if it was the outermost one and a reschedule is due.
#[inline(always)]
pub fn preempt_enable() {
    arch::preempt_count_down(crate::upcall::preempt);
}

/// Turns interrupts off. Returns whether they were on.
#[inline(always)]
pub fn disable_interrupts() -> bool {
    arch::interrupts_off()
}

/// Turns interrupts on again if they were on.
#[inline(always)]
pub fn restore_interrupts(enable: bool) {
    if enable {
        arch::interrupts_on();
    }
}
