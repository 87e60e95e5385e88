//! The interrupt descriptor table: one stub per vector, shared by all CPUs.

use super::gdt::{CODE, Ist, Pointer};
use core::arch::global_asm;

/// Vector numbers.
pub mod vector {
    pub const NMI: u8 = 2;
    pub const DOUBLE_FAULT: u8 = 8;
    pub const PAGE_FAULT: u8 = 14;
    pub const MACHINE_CHECK: u8 = 18;
    /// First vector for devices.
    pub const DEVICE_FIRST: u8 = 0x30;
    /// Last vector for devices.
    pub const DEVICE_LAST: u8 = 0xdf;
    /// Local APIC timer.
    pub const TIMER: u8 = 0xf0;
    /// Another CPU wants this one to reschedule.
    pub const RESCHEDULE: u8 = 0xf1;
    /// TLB shootdown.
    pub const TLB_FLUSH: u8 = 0xf2;
    /// Spurious (low nibble must be f on old APICs).
    pub const SPURIOUS: u8 = 0xff;
}

/// An exception's name.
pub fn name(v: u8) -> &'static str {
    match v {
        0 => "division by zero",
        1 => "debug trap",
        2 => "non-maskable interrupt",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range exceeded",
        6 => "invalid instruction",
        7 => "device not available",
        8 => "double fault",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack segment fault",
        13 => "general protection fault (non-canonical address?)",
        14 => "page fault",
        16 => "x87 floating-point exception",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD floating-point exception",
        20 => "virtualisation exception",
        21 => "control protection exception",
        _ => "unexpected exception",
    }
}

// An exception's stub has 16 bytes, an interrupt's 8, so that addresses can be computed: every image carries all of them.
// Exceptions 8, 10-14, 17, 21, 29, 30 push an error code themselves (Intel SDM 3A, table 6-1). The byte that an interrupt
// pushes is sign-extended; libos_trap_interrupt turns it into vector and error code.
global_asm!(
    r#"
    .section .text.libos_vectors,"ax",@progbits
    .balign 16
    .globl libos_vectors
libos_vectors:
    .set v, 0
    .rept {exceptions}
    .org libos_vectors + v * 16
    .if (v == 8) || (v >= 10 && v <= 14) || (v == 17) || (v == 21) || (v == 29) || (v == 30)
    .else
    push 0
    .endif
    push v
    .if (v == 2) || (v == 8) || (v == 18)
    jmp libos_trap_fatal
    .else
    jmp libos_trap_common
    .endif
    .set v, v + 1
    .endr
    .rept 256 - {exceptions}
    .org libos_vectors + ({exceptions} + v) * 8
    .byte 0x6a, v                        # push imm8
    jmp libos_trap_interrupt
    .set v, v + 1
    .endr
    .text
"#,
    exceptions = const EXCEPTIONS,
);

/// Vectors below are exceptions.
const EXCEPTIONS: u64 = 32;

unsafe extern "C" {
    static libos_vectors: u8;
}

#[repr(C, align(16))]
struct Table(core::cell::UnsafeCell<[[u64; 2]; 256]>);
// SAFETY: written by the boot CPU before any other runs.
unsafe impl Sync for Table {}
static TABLE: Table = Table(core::cell::UnsafeCell::new([[0; 2]; 256]));

/// Fills the table. Boot CPU, once.
pub fn build() {
    let base = &raw const libos_vectors as u64;
    for v in 0..256u64 {
        let ist = match v as u8 {
            vector::NMI => Ist::Nmi,
            vector::DOUBLE_FAULT | vector::MACHINE_CHECK => Ist::Fatal,
            _ => Ist::Trap,
        };
        let addr = base + v * 8 + v.min(EXCEPTIONS) * 8;
        // Interrupt gates: interrupts stay off until the frame has left the landing pad.
        let low = addr & 0xffff | (CODE as u64) << 16 | (ist as u64) << 32 | 0x8e << 40 | (addr >> 16 & 0xffff) << 48;
        // SAFETY: boot CPU only, before the table is loaded.
        unsafe { (*TABLE.0.get())[v as usize] = [low, addr >> 32] };
    }
}

/// Loads the table on this CPU.
pub fn load() {
    let p = Pointer { limit: 4095, base: TABLE.0.get() as u64 };
    // SAFETY: the table is complete and lives forever.
    unsafe { core::arch::asm!("lidt [{}]", in(reg) &p) };
}
