//! Segments and the task state segment: all code is ring 0; the TSS exists for its interrupt stacks.

use super::percpu::PerCpu;

/// 64-bit code.
pub const CODE: u16 = 0x08;
/// Flat data.
pub const DATA: u16 = 0x10;
const TSS: u16 = 0x18;

/// Landing stacks (interrupt stack table indices). Each is only a pad: see `trap.rs`.
#[derive(Clone, Copy)]
pub enum Ist {
    /// Interrupts and most exceptions.
    Trap = 1,
    /// Non-maskable interrupts.
    Nmi = 2,
    /// Double faults and machine checks.
    Fatal = 3,
}

/// 64-bit TSS (Intel SDM 3A, 8.7).
#[repr(C, packed(4))]
pub struct Tss {
    reserved0: u32,
    rsp: [u64; 3],
    reserved1: u64,
    ist: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    iomap: u16,
}

/// What LGDT and LIDT read.
#[repr(C, packed)]
pub(super) struct Pointer {
    pub limit: u16,
    pub base: u64,
}

/// Fills and loads this CPU's GDT and TSS.
pub fn load(cpu: &mut PerCpu) {
    for (i, s) in cpu.stacks.iter().enumerate() {
        cpu.tss.ist[i] = s.top();
    }
    // No I/O bitmap: it begins past the segment's end.
    cpu.tss.iomap = size_of::<Tss>() as u16;
    let base = &raw const cpu.tss as u64;
    let limit = size_of::<Tss>() as u64 - 1;
    cpu.gdt = [
        0,
        0x00af_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        limit & 0xffff | (base & 0xff_ffff) << 16 | 0x89 << 40 | (limit >> 16 & 0xf) << 48 | (base >> 24 & 0xff) << 56,
        base >> 32,
    ];
    let p = Pointer { limit: size_of_val(&cpu.gdt) as u16 - 1, base: cpu.gdt.as_ptr() as u64 };
    // SAFETY: the table is per-CPU data that lives forever; the selectors match it. The far return reloads CS.
    unsafe {
        core::arch::asm!(
            "lgdt [{p}]",
            "push {code}", "lea {t}, [rip + 2f]", "push {t}", "retfq", "2:",
            "mov ds, {d:x}", "mov es, {d:x}", "mov ss, {d:x}",
            "xor {t:e}, {t:e}", "mov fs, {t:x}",
            "ltr {tss:x}",
            p = in(reg) &p, code = const CODE as i32, t = out(reg) _, d = in(reg) DATA as u32, tss = in(reg) TSS as u32,
        );
    }
}
