//! The local interrupt controller: x2APIC when the firmware or CPU has it, else memory-mapped (Intel SDM 3A, 11).

use super::cpu::{MSR_APIC_BASE, cpuid, read_msr, write_msr};
use super::idt::vector;
use core::sync::atomic::{AtomicUsize, Ordering};
use libos_base::percpu::{disable_interrupts, restore_interrupts};

const ID: u32 = 0x02;
const TASK_PRIORITY: u32 = 0x08;
const EOI: u32 = 0x0b;
const SPURIOUS: u32 = 0x0f;
const COMMAND: u32 = 0x30;
const COMMAND_HIGH: u32 = 0x31;
const LVT_TIMER: u32 = 0x32;
const LVT_LINT0: u32 = 0x35;
const LVT_LINT1: u32 = 0x36;
const LVT_ERROR: u32 = 0x37;
const TIMER_INITIAL: u32 = 0x38;
const TIMER_CURRENT: u32 = 0x39;
const TIMER_DIVIDE: u32 = 0x3e;

const MASKED: u32 = 1 << 16;
const BASE_ENABLE: u64 = 1 << 11;
const BASE_X2: u64 = 1 << 10;
/// MMIO base, or 1 in x2APIC mode; 0 before `init`.
static BASE: AtomicUsize = AtomicUsize::new(0);
const X2: usize = 1;

fn read(reg: u32) -> u32 {
    match BASE.load(Ordering::Relaxed) {
        X2 => read_msr(0x800 + reg) as u32,
        // SAFETY: the mapped register page.
        base => unsafe { ((base + reg as usize * 16) as *const u32).read_volatile() },
    }
}

fn write(reg: u32, v: u32) {
    match BASE.load(Ordering::Relaxed) {
        X2 => write_msr(0x800 + reg, v as u64),
        // SAFETY: the mapped register page.
        base => unsafe { ((base + reg as usize * 16) as *mut u32).write_volatile(v) },
    }
}

/// Decides the mode for all CPUs, and enables the boot CPU's controller. `map` makes its registers reachable.
pub fn init(map: fn(u64, usize) -> usize) {
    let x2 = cpuid(1, 0).ecx & 1 << 21 != 0;
    let base = if x2 { X2 } else { map(read_msr(MSR_APIC_BASE) & 0xf_ffff_f000, 4096) };
    BASE.store(base, Ordering::Relaxed);
    init_cpu();
}

/// Enables this CPU's controller.
pub fn init_cpu() {
    let mode = if BASE.load(Ordering::Relaxed) == X2 { BASE_ENABLE | BASE_X2 } else { BASE_ENABLE };
    write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | mode);
    write(SPURIOUS, 0x100 | vector::SPURIOUS as u32);
    write(TASK_PRIORITY, 0);
    write(LVT_LINT0, MASKED);
    write(LVT_LINT1, 4 << 8);
    write(LVT_ERROR, MASKED);
    write(LVT_TIMER, MASKED);
    write(TIMER_DIVIDE, 0b0011); // by 16
}

/// This CPU's id.
pub fn id() -> u32 {
    let v = read(ID);
    if BASE.load(Ordering::Relaxed) == X2 { v } else { v >> 24 }
}

/// End of interrupt.
pub fn acknowledge() {
    write(EOI, 0);
}

fn command(apic_id: u32, low: u32) {
    if BASE.load(Ordering::Relaxed) == X2 {
        write_msr(0x800 + COMMAND, (apic_id as u64) << 32 | low as u64);
        return;
    }
    // Two writes make one command: an interrupt between them could send its own.
    let on = disable_interrupts();
    while read(COMMAND) & 1 << 12 != 0 {
        core::hint::spin_loop();
    }
    write(COMMAND_HIGH, apic_id << 24);
    write(COMMAND, low);
    restore_interrupts(on);
}

/// Sends an interrupt.
pub fn send(apic_id: u32, v: u8) {
    command(apic_id, 0x4000 | v as u32);
}

/// Sends a non-maskable interrupt to all other CPUs.
pub fn send_nmi_to_others() {
    if BASE.load(Ordering::Relaxed) != 0 {
        command(0, 0xc_4400);
    }
}

/// Sends INIT.
pub fn send_init(apic_id: u32) {
    command(apic_id, 0xc500);
}

/// Sends start-up at physical page `page`.
pub fn send_startup(apic_id: u32, page: u8) {
    command(apic_id, 0x4600 | page as u32);
}

/// One-shot mode with the TIMER vector.
pub fn use_one_shot_mode() {
    write(LVT_TIMER, vector::TIMER as u32);
}

/// Interrupts after `ticks` (0: never).
pub fn start_timer(ticks: u32) {
    write(TIMER_INITIAL, ticks);
}

/// TSC-deadline mode with the TIMER vector.
pub fn use_deadline_mode() {
    write(LVT_TIMER, 2 << 17 | vector::TIMER as u32);
    // SAFETY: orders the register write before the first deadline (SDM 3A, 11.5.4.1).
    unsafe { core::arch::asm!("mfence", options(nostack)) };
}

/// Starts counting down from the maximum, without interrupts, to measure the rate.
pub fn start_counting() {
    write(LVT_TIMER, MASKED);
    write(TIMER_INITIAL, u32::MAX);
}

/// Ticks counted since [`start_counting`].
pub fn counted() -> u32 {
    u32::MAX - read(TIMER_CURRENT)
}
