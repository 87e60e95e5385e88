//! Interrupts between CPUs.

use super::idt::vector;
use super::{apic, percpu};

/// A set of CPUs, bit N for CPU N.
pub type CpuMask = u64;

/// All running CPUs but this one.
pub fn others_online() -> CpuMask {
    let n = percpu::count_online();
    let all = if n >= 64 { u64::MAX } else { (1 << n) - 1 };
    all & !(1 << super::cpu::id())
}

fn send_mask(mask: CpuMask, v: u8) {
    for cpu in 0..64 {
        if mask & 1 << cpu != 0 {
            send(cpu, v);
        }
    }
}

fn send(cpu: usize, v: u8) {
    if let Some(id) = percpu::apic_id(cpu) {
        apic::send(id, v);
    }
}

/// Makes these CPUs call `mm::tlb::on_ipi`.
pub fn send_tlb_flush(mask: CpuMask) {
    send_mask(mask, vector::TLB_FLUSH);
}

/// Makes a CPU call `sched::on_reschedule_ipi`.
pub fn reschedule(cpu: usize) {
    send(cpu, vector::RESCHEDULE);
}
