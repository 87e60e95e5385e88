//! The little that memory management needs from the processor.

pub use crate::arch::cpu::{invalidate_all, invalidate_page};
pub use crate::arch::ipi::{others_online, send_tlb_flush};
pub use crate::arch::percpu::{may_switch, pinned};
