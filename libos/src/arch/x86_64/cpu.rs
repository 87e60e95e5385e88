//! Wrappers around instructions.

use super::TrapFrame;
use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, CpuidResult};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, Ordering};
use libos_base::percpu::Head;

pub(super) const MSR_APIC_BASE: u32 = 0x1b;
pub(super) const MSR_TSC_DEADLINE: u32 = 0x6e0;
pub(super) const MSR_EFER: u32 = 0xc000_0080;
pub(super) const MSR_FS_BASE: u32 = 0xc000_0100;
pub(super) const MSR_GS_BASE: u32 = 0xc000_0101;

const CR0_MP: u64 = 1 << 1;
const CR0_EM: u64 = 1 << 2;
const CR0_TS: u64 = 1 << 3;
const CR0_NE: u64 = 1 << 5;
const CR0_WP: u64 = 1 << 16;
const CR0_NW: u64 = 1 << 29;
const CR0_CD: u64 = 1 << 30;
const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_UMIP: u64 = 1 << 11;
const CR4_OSXSAVE: u64 = 1 << 18;
const CR4_SMEP: u64 = 1 << 20;
const CR4_PAE: u64 = 1 << 5;
const CR4_PGE: u64 = 1 << 7;

/// Runs CPUID.
pub(super) fn cpuid(leaf: u32, sub: u32) -> CpuidResult {
    __cpuid_count(leaf, sub)
}

/// Largest basic leaf.
pub(super) fn max_leaf() -> u32 {
    cpuid(0, 0).eax
}

/// Sets the control registers as this kernel wants them: WP, SMEP, UMIP, NXE.
pub(super) fn setup_control_registers() {
    let leaf1 = cpuid(1, 0);
    let leaf7 = if max_leaf() >= 7 { cpuid(7, 0) } else { cpuid(0x8000_0000, 0) };
    let mut cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_PGE;
    if max_leaf() >= 7 {
        if leaf7.ebx & 1 << 7 != 0 {
            cr4 |= CR4_SMEP;
        }
        if leaf7.ecx & 1 << 2 != 0 {
            cr4 |= CR4_UMIP;
        }
    }
    if leaf1.ecx & 1 << 26 != 0 {
        cr4 |= CR4_OSXSAVE;
    }
    // SAFETY: only features that CPUID reports are switched on; paging stays as it is.
    unsafe {
        asm!("mov cr4, {}", in(reg) cr4);
        let mut cr0: u64;
        asm!("mov {}, cr0", out(reg) cr0);
        cr0 = cr0 & !(CR0_EM | CR0_TS | CR0_NW | CR0_CD) | CR0_MP | CR0_NE | CR0_WP;
        asm!("mov cr0, {}", in(reg) cr0);
        asm!("fninit");
        asm!("ldmxcsr [{}]", in(reg) &0x1f80u32);
    }
    super::fpu::init();
    super::syscall_instruction::init();
}

/// Reads a model-specific register.
pub(super) fn read_msr(msr: u32) -> u64 {
    let (lo, hi): (u32, u32);
    // SAFETY: callers name registers that exist on every x86-64 CPU or that CPUID reported.
    unsafe { asm!("rdmsr", in("ecx") msr, out("eax") lo, out("edx") hi, options(nomem, nostack)) };
    (hi as u64) << 32 | lo as u64
}

/// Writes a model-specific register.
pub(super) fn write_msr(msr: u32, v: u64) {
    // SAFETY: as in `read_msr`; the values are this crate's own.
    unsafe { asm!("wrmsr", in("ecx") msr, in("eax") v as u32, in("edx") (v >> 32) as u32, options(nostack)) };
}

/// Sets the running thread's TLS pointer.
pub fn set_tls(v: usize) {
    write_msr(MSR_FS_BASE, v as u64);
}

/// Number of this CPU. Only stable while preemption is off.
pub fn id() -> usize {
    let v: u32;
    // SAFETY: GS points at the per-CPU head.
    unsafe { asm!("mov {:e}, gs:[{}]", out(reg) v, const offset_of!(Head, cpu), options(nostack, readonly)) };
    v as usize
}

/// What the program is told about this processor (AT_HWCAP).
pub fn hwcap() -> u64 {
    cpuid(1, 0).edx.into()
}

/// The processor's name, with whatever padding it has; empty if it has none.
pub fn brand() -> alloc::vec::Vec<u8> {
    let mut brand = alloc::vec::Vec::new();
    if cpuid(0x8000_0000, 0).eax >= 0x8000_0004 {
        for leaf in 0x8000_0002..=0x8000_0004 {
            let r = cpuid(leaf, 0);
            for word in [r.eax, r.ebx, r.ecx, r.edx] {
                brand.extend(word.to_le_bytes());
            }
        }
    }
    brand.retain(|&b| b != 0);
    brand
}

/// The caller's registers, as far as a backtrace needs them. `ip` says where it is.
#[inline(always)]
pub fn here(ip: usize) -> TrapFrame {
    let (rbp, rsp): (u64, u64);
    // SAFETY: reads two registers.
    unsafe { asm!("mov {}, rbp", "mov {}, rsp", out(reg) rbp, out(reg) rsp) };
    TrapFrame { rip: ip as u64, rbp, rsp, ..TrapFrame::default() }
}

/// Forgets this CPU's translation of one page.
#[inline]
pub fn invalidate_page(addr: usize) {
    // SAFETY: only costs a page walk. The memory clobber keeps page-table writes before it.
    unsafe { asm!("invlpg [{}]", in(reg) addr, options(nostack)) };
}

/// Forgets all of this CPU's translations of the program half (none of them is global).
pub fn invalidate_all() {
    // SAFETY: reloads the same page tables.
    unsafe { asm!("mov {t}, cr3", "mov cr3, {t}", t = out(reg) _, options(nostack)) };
}

/// Whether interrupts are on.
pub fn interrupts_enabled() -> bool {
    let f: u64;
    // SAFETY: reads the flags.
    unsafe { asm!("pushfq", "pop {}", out(reg) f) };
    f & super::frame::RFLAGS_IF != 0
}

/// Turns interrupts on.
pub fn enable_interrupts() {
    // SAFETY: the descriptor tables are in place before any caller runs.
    unsafe { asm!("sti", options(nostack)) };
}

/// Enables interrupts and sleeps until the next one, with no window between (STI's shadow).
pub fn halt_until_interrupt() {
    // SAFETY: as in `enable_interrupts`.
    unsafe { asm!("sti", "hlt", options(nostack)) };
}

/// Stops this CPU for good.
pub fn stop() -> ! {
    loop {
        // SAFETY: nothing runs here any more.
        unsafe { asm!("cli", "hlt", options(nostack)) };
    }
}

/// Reads the time stamp counter.
#[inline]
pub(super) fn rdtsc() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The name of the random number generator.
pub const GENERATOR: &str = "RDRAND";

/// A hardware random number, if there is a generator and it answers.
pub fn hardware_random() -> Option<u64> {
    /// Determined once: under a hypervisor CPUID is slow. 0: not yet; 1: there is none.
    static KNOWN: AtomicU8 = AtomicU8::new(0);
    let known = match KNOWN.load(Ordering::Relaxed) {
        0 => 1 + (cpuid(1, 0).ecx >> 30 & 1) as u8,
        known => known,
    };
    KNOWN.store(known, Ordering::Relaxed);
    if known == 1 {
        return None;
    }
    for _ in 0..16 {
        let (v, ok): (u64, u8);
        // SAFETY: CPUID reports RDRAND.
        unsafe { asm!("rdrand {}", "setc {}", out(reg) v, out(reg_byte) ok, options(nomem, nostack)) };
        if ok != 0 {
            return Some(v);
        }
    }
    None
}

/// The faulting address of the last page fault. Only right before interrupts are enabled again.
pub(super) fn fault_address() -> usize {
    let v: usize;
    // SAFETY: reads CR2.
    unsafe { asm!("mov {}, cr2", out(reg) v, options(nomem, nostack)) };
    v
}
