//! Vector state: saved in full when a thread is interrupted; a voluntary switch keeps only what the ABI demands.

use super::cpu::cpuid;
use core::arch::asm;

/// State components that are saved: x87, SSE, AVX, and AVX-512's three.
const WANTED: u64 = 0b1110_0111;
const LEGACY_SIZE: u64 = 512;
/// AVX's component.
const AVX: u64 = 1 << 2;

/// Read by the assembly that saves and restores: bytes of the save area (a multiple of 64), and the XSAVE mask (0: FXSAVE).
#[unsafe(no_mangle)]
static mut LIBOS_XSAVE_SIZE: u64 = LEGACY_SIZE;
#[unsafe(no_mangle)]
static mut LIBOS_XSAVE_MASK: u64 = 0;
/// Read by the assembly that copies and fills, the C library's too: whether AVX's registers may be used.
#[unsafe(export_name = "libos_avx")]
static mut LIBOS_AVX: bool = false;

/// Assembly: saves the vector state at the stack pointer, which is a multiple of 64, or loads it from there. Clobbers
/// RAX and RDX. The header must be clean: XSAVE only sets bits in it.
macro_rules! save_vectors {
    () => {
        r#"
    mov rax, [rip + LIBOS_XSAVE_MASK]
    test rax, rax
    je 91f
    xor edx, edx
    .set i, 512
    .rept 8
    mov [rsp + i], rdx
    .set i, i + 8
    .endr
    mov rdx, rax
    shr rdx, 32
    xsave64 [rsp]
    jmp 92f
91: fxsave64 [rsp]
92:
"#
    };
}
macro_rules! restore_vectors {
    () => {
        r#"
    mov rax, [rip + LIBOS_XSAVE_MASK]
    test rax, rax
    je 93f
    mov rdx, rax
    shr rdx, 32
    xrstor64 [rsp]
    jmp 94f
93: fxrstor64 [rsp]
94:
"#
    };
}
pub(super) use {restore_vectors, save_vectors};

/// Enables the state components this CPU has. Once on each CPU, before any interrupt.
pub fn init() {
    let features = cpuid(1, 0).ecx;
    if features & 1 << 26 == 0 {
        return;
    }
    let leaf = cpuid(13, 0);
    let mask = ((leaf.edx as u64) << 32 | leaf.eax as u64) & WANTED;
    // SAFETY: CPUID reports XSAVE and these components. All CPUs write the same values.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") mask as u32, in("edx") (mask >> 32) as u32, options(nostack));
        LIBOS_XSAVE_SIZE = (cpuid(13, 0).ebx as u64).next_multiple_of(64);
        LIBOS_XSAVE_MASK = mask;
        LIBOS_AVX = mask & AVX != 0 && features & 1 << 28 != 0;
    }
}

/// Bytes of a save area.
pub fn area_size() -> usize {
    // SAFETY: written before threads exist.
    unsafe { LIBOS_XSAVE_SIZE as usize }
}

/// The XSAVE component mask; 0 when only FXSAVE exists.
pub fn area_mask() -> u64 {
    // SAFETY: as above.
    unsafe { LIBOS_XSAVE_MASK }
}
