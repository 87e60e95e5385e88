//! What this module needs from the processor.

pub use crate::arch::cpu::{halt_until_interrupt, id as cpu_id, set_tls};
pub use crate::arch::ipi::reschedule as send_reschedule;
pub use crate::arch::percpu::{clear_work, current_thread, head, may_switch, scheduler, set_work};
pub use crate::arch::switch::{prepare, switch};
pub use crate::arch::timer::set_deadline;
pub use libos_base::percpu::{disable_interrupts, restore_interrupts};
