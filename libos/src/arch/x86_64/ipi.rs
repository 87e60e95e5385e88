//! Interrupts between CPUs.

use super::idt::vector;
use super::{apic, percpu};
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};

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

/// Makes these CPUs call `upcall::flush_interrupt`.
pub fn send_tlb_flush(mask: CpuMask) {
    send_mask(mask, vector::TLB_FLUSH);
}

/// Makes a CPU call `upcall::reschedule_interrupt`.
pub fn reschedule(cpu: usize) {
    send(cpu, vector::RESCHEDULE);
}

/// The machine is about to end: the other CPUs must stop where they are.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// Stops all other CPUs, whatever they are doing.
pub fn stop_others() {
    STOPPING.store(true, SeqCst);
    apic::send_nmi_to_others();
}

/// Whether [`stop_others`] was called.
pub(super) fn stopping() -> bool {
    STOPPING.load(SeqCst)
}
