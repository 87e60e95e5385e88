//! What this module needs from the processor. Host builds have one "CPU" and never switch.

#[cfg(unibody_kernel)]
mod imp {
    use crate::arch::{cpu, frame::SyscallFrame};
    use core::sync::atomic::Ordering::Relaxed;
    use libos_base::percpu::offset;

    pub use crate::arch::cpu::{
        disable_interrupts, halt_until_interrupt, id as cpu_id, restore_interrupts, set_fs_base,
    };
    pub use crate::arch::frame;
    pub use crate::arch::ipi::reschedule as send_reschedule;
    pub use crate::arch::percpu::head;
    pub use crate::arch::timer::set_deadline;

    /// Address of the running thread's structure: one instruction, so always that of the caller.
    #[inline(always)]
    pub fn current_ptr() -> usize {
        let v: usize;
        // SAFETY: reads this CPU's word.
        unsafe { core::arch::asm!("mov {}, gs:[{}]", out(reg) v, const offset::CURRENT, options(nostack, readonly)) };
        v
    }

    /// Sets bits in this CPU's work word.
    #[inline(always)]
    pub fn set_work(bits: u32) {
        // SAFETY: one instruction on this CPU's own word.
        unsafe { core::arch::asm!("or dword ptr gs:[{}], {:e}", const offset::WORK, in(reg) bits, options(nostack)) };
    }

    /// Clears bits in this CPU's work word.
    #[inline(always)]
    pub fn clear_work(bits: u32) {
        // SAFETY: as above.
        unsafe { core::arch::asm!("and dword ptr gs:[{}], {:e}", const offset::WORK, in(reg) !bits, options(nostack)) };
    }

    /// Whether this CPU may switch threads now.
    pub fn may_switch() -> bool {
        cpu::interrupts_enabled() && head().preempt_count.load(Relaxed) == 0
    }

    /// The running thread's system call frame. Only while it is in a call.
    pub fn call_frame() -> *mut SyscallFrame {
        crate::arch::current_frame()
    }
}

#[cfg(not(unibody_kernel))]
mod imp {
    pub fn cpu_id() -> usize {
        0
    }
    pub fn disable_interrupts() -> bool {
        false
    }
    pub fn restore_interrupts(_: bool) {}
    pub fn halt_until_interrupt() {}
    pub fn set_fs_base(_: usize) {}
    pub fn send_reschedule(_: usize) {}
    pub fn set_deadline(_: u64) {}
    pub fn set_work(_: u32) {}
    pub fn clear_work(_: u32) {}
    pub fn may_switch() -> bool {
        false
    }
}

pub use imp::*;
