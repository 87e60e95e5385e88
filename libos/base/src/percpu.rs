//! The head of each CPU's own data, reached through GS in single instructions.
//!
//! `libos` owns the rest of the structure; assembly and the spin locks use the offsets below.

use core::sync::atomic::{AtomicU32, AtomicUsize};

/// The part of the per-CPU block whose layout assembly knows. GS base points at it.
#[repr(C, align(64))]
pub struct Head {
    /// Address of this block.
    pub this: usize,
    /// Top of the running thread's kernel stack.
    pub kstack_top: AtomicUsize,
    /// Bottom of the running thread's kernel stack.
    pub kstack_bottom: AtomicUsize,
    /// Scratch for entry code that has no register to spare.
    pub scratch: AtomicUsize,
    /// While not zero the running thread must not be switched away.
    pub preempt_count: AtomicU32,
    /// Bits of [`work`]: looked at on every exit to the program.
    pub work: AtomicU32,
    /// Number of this CPU, from 0.
    pub cpu: u32,
    /// Interrupts whose handlers run: counted by the debug kernel only.
    pub in_interrupt: AtomicU32,
    /// The running thread (`*const libos::sched::Thread`).
    pub current: AtomicUsize,
}

/// Byte offsets in [`Head`].
pub mod offset {
    use super::Head;
    use core::mem::offset_of;
    /// [`Head::this`]
    pub const THIS: usize = offset_of!(Head, this);
    /// [`Head::kstack_top`]
    pub const KSTACK_TOP: usize = offset_of!(Head, kstack_top);
    /// [`Head::kstack_bottom`]
    pub const KSTACK_BOTTOM: usize = offset_of!(Head, kstack_bottom);
    /// [`Head::scratch`]
    pub const SCRATCH: usize = offset_of!(Head, scratch);
    /// [`Head::preempt_count`]
    pub const PREEMPT_COUNT: usize = offset_of!(Head, preempt_count);
    /// [`Head::work`]
    pub const WORK: usize = offset_of!(Head, work);
    /// [`Head::cpu`]
    pub const CPU: usize = offset_of!(Head, cpu);
    /// [`Head::in_interrupt`]
    pub const IN_INTERRUPT: usize = offset_of!(Head, in_interrupt);
    /// [`Head::current`]
    pub const CURRENT: usize = offset_of!(Head, current);
}

/// Bits of [`Head::work`].
pub mod work {
    /// Another thread should run.
    pub const RESCHED: u32 = 1;
    /// The running thread has a deliverable signal (or must exit).
    pub const SIGNAL: u32 = 2;
}

/// Forbids switching away from the running thread until the matching [`preempt_enable`]. Nests.
#[inline(always)]
pub fn preempt_disable() {
    #[cfg(unibody_kernel)]
    // SAFETY: one instruction on this CPU's own counter; GS always points at the per-CPU head in the kernel.
    unsafe {
        core::arch::asm!("inc dword ptr gs:[{o}]", o = const offset::PREEMPT_COUNT, options(nostack));
    }
}

/// Ends a [`preempt_disable`]; switches at once when that was the last and a reschedule is due.
#[inline(always)]
pub fn preempt_enable() {
    #[cfg(unibody_kernel)]
    {
        let (zero, work): (u8, u32);
        // SAFETY: single instructions on this CPU's own words. A switch between them is harmless: the flag read
        // is then that of the CPU the thread runs on now.
        unsafe {
            core::arch::asm!("dec dword ptr gs:[{o}]", "setz {z}", "mov {w:e}, dword ptr gs:[{k}]",
                o = const offset::PREEMPT_COUNT, k = const offset::WORK, z = out(reg_byte) zero, w = out(reg) work,
                options(nostack));
        }
        if zero != 0 && work & self::work::RESCHED != 0 {
            crate::upcall::preempt();
        }
    }
}

/// Turns interrupts off; whether they were on.
#[inline(always)]
pub(crate) fn interrupts_off() -> bool {
    #[cfg(unibody_kernel)]
    {
        let flags: u64;
        // SAFETY: reads the flags and turns interrupts off; restored by the guard.
        unsafe { core::arch::asm!("pushfq", "pop {}", "cli", out(reg) flags) };
        flags & 0x200 != 0
    }
    #[cfg(not(unibody_kernel))]
    false
}

/// Turns them on again if they were.
#[inline(always)]
pub(crate) fn restore_interrupts(enable: bool) {
    if enable {
        #[cfg(unibody_kernel)]
        // SAFETY: they were on when the guard was made.
        unsafe {
            core::arch::asm!("sti");
        }
    }
}
