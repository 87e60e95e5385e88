//! What this module needs from the processor. Host builds have one "CPU" and never switch.

#[cfg(unibody_kernel)]
mod imp {
    pub use crate::arch::cpu::{disable_interrupts, halt_until_interrupt, id as cpu_id, restore_interrupts, set_tls};
    pub use crate::arch::ipi::reschedule as send_reschedule;
    pub use crate::arch::percpu::{clear_work, current_thread, head, may_switch, scheduler, set_work};
    pub use crate::arch::switch::{libos_switch, prepare};
    pub use crate::arch::timer::set_deadline;
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
    pub fn set_tls(_: usize) {}
    pub fn send_reschedule(_: usize) {}
    pub fn set_deadline(_: u64) {}
    pub fn set_work(_: u32) {}
    pub fn clear_work(_: u32) {}
    pub fn may_switch() -> bool {
        false
    }
    pub unsafe fn libos_switch(_save: *mut usize, _next: usize) {
        unreachable!("host builds do not switch");
    }
    pub unsafe fn prepare(_top: usize, _start: extern "C" fn(usize, usize) -> !, _arguments: [usize; 2]) -> usize {
        0
    }
}

pub use imp::*;
