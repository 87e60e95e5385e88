//! Copies between kernel and program memory that survive a bad address.

use core::arch::global_asm;
use core::ops::Range;
use libos_base::layout::{PROGRAM_END, PROGRAM_START};

// Eight bytes at a time, then the rest. A fault in the first loop goes to the byte-wise loop for what is left, which
// stops exactly at the first byte that cannot be copied; a fault there ends the copy. RCX always counts what is left.
global_asm!(
    r#"
    .section .text.libos_copy,"ax",@progbits
    .type libos_copy_raw,@function
libos_copy_raw:
    mov rcx, rdx
    shr rcx, 3
    and edx, 7
libos_copy_words:
    rep movsq
    mov ecx, edx
libos_copy_bytes:
    rep movsb
libos_copy_end:
    mov rax, rcx
    ret
libos_copy_rest:
    lea rcx, [rdx + 8 * rcx]
    jmp libos_copy_bytes
    .globl libos_copy_raw, libos_copy_words, libos_copy_bytes, libos_copy_end, libos_copy_rest
    .hidden libos_copy_raw, libos_copy_words, libos_copy_bytes, libos_copy_end, libos_copy_rest
    .text
"#
);

unsafe extern "C" {
    fn libos_copy_raw(dst: *mut u8, src: *const u8, len: usize) -> usize;
    static libos_copy_words: u8;
    static libos_copy_bytes: u8;
    static libos_copy_end: u8;
    static libos_copy_rest: u8;
    static __image_start: u8;
    static __image_end: u8;
    static __ktext_start: u8;
    static __ktext_end: u8;
    static __krodata_start: u8;
    static __krodata_end: u8;
    static __krelro_start: u8;
    static __krelro_end: u8;
    static __kdata_start: u8;
    static __kdata_end: u8;
}

/// Where to continue when the instruction at `rip` faulted, if it is one that may.
pub fn fixup(rip: usize) -> Option<usize> {
    if rip == &raw const libos_copy_words as usize {
        Some(&raw const libos_copy_rest as usize)
    } else if rip == &raw const libos_copy_bytes as usize {
        Some(&raw const libos_copy_end as usize)
    } else {
        crate::futex::word::fixup(rip)
    }
}

/// The whole image, `.bss` included.
pub fn image() -> Range<usize> {
    &raw const __image_start as usize..&raw const __image_end as usize
}

/// The kernel's parts of the image.
pub fn kernel_parts() -> [Range<usize>; 4] {
    let r = |start: *const u8, end: *const u8| start as usize..end as usize;
    [
        r(&raw const __ktext_start, &raw const __ktext_end),
        r(&raw const __krodata_start, &raw const __krodata_end),
        r(&raw const __krelro_start, &raw const __krelro_end),
        r(&raw const __kdata_start, &raw const __kdata_end),
    ]
}

/// Copies; the number of bytes NOT copied.
///
/// # Safety
/// The kernel side must be valid for `len`; the program side may be anything below `PROGRAM_END` that
/// [`program_range`] allows.
pub unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) -> usize {
    // SAFETY: the caller's; faults on the program side are fixed up.
    unsafe { libos_copy_raw(dst, src, len) }
}

/// Whether `addr .. addr + len` may hold program data: program memory, and no part of the kernel's image.
pub fn program_range(addr: usize, len: usize) -> bool {
    let Some(end) = addr.checked_add(len) else { return false };
    if addr < PROGRAM_START || end > PROGRAM_END {
        return false;
    }
    let image = image();
    let outside = |r: &Range<usize>| end <= r.start || addr >= r.end;
    outside(&image) || kernel_parts().iter().all(outside)
}
