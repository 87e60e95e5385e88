//! Access to program memory that survives a bad address: the basis of [`libos_base::user`] and futexes. Each
//! instruction that may fault has its entry in the exception table.

use super::extable::fixup;
use core::arch::global_asm;

// Eight bytes at a time, then the rest. A fault in the first loop goes to the byte-wise loop for what is left, which
// stops exactly at the first byte that cannot be copied; a fault there ends the copy. RCX always counts what is left.
// Long copies begin with blocks in AVX's registers; a block that faults is copied again in the other way.
global_asm!(
    r#"
    .section .text.libos_user_copy,"ax",@progbits
    .type libos_user_copy,@function
    .globl libos_user_copy
    .hidden libos_user_copy
libos_user_copy:
    cmp rdx, 256
    jae .Lcopy_long
.Lcopy_short:
    mov rcx, rdx
    shr rcx, 3
    and edx, 7
.Lcopy_words:
    rep movsq
    mov ecx, edx
.Lcopy_bytes:
    rep movsb
.Lcopy_end:
    mov rax, rcx
    ret
.Lcopy_rest:
    lea rcx, [rdx + 8 * rcx]
    jmp .Lcopy_bytes
.Lcopy_long:
    cmp byte ptr [rip + libos_avx], 0
    je .Lcopy_short
    mov rcx, rdx
    and rcx, -256
    neg rcx
    sub rsi, rcx
    sub rdi, rcx
    add rdx, rcx
.Lcopy_block:
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7
.Lcopy_load\i:
    vmovups ymm\i, [rsi + rcx + 32 * \i]
"#,
    fixup!("libos_user_copy", ".Lcopy_load\\i", ".Lcopy_blocks_end"),
    r#"
    .endr
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7
.Lcopy_store\i:
    vmovups [rdi + rcx + 32 * \i], ymm\i
"#,
    fixup!("libos_user_copy", ".Lcopy_store\\i", ".Lcopy_blocks_end"),
    r#"
    .endr
    add rcx, 256
    jnz .Lcopy_block
.Lcopy_blocks_end:
    vzeroupper
    add rsi, rcx
    add rdi, rcx
    sub rdx, rcx
    jmp .Lcopy_short
"#,
    fixup!("libos_user_copy", ".Lcopy_words", ".Lcopy_rest"),
    fixup!("libos_user_copy", ".Lcopy_bytes", ".Lcopy_end"),
    ".text",
);

// A word, or two of eight bytes. 0, or -EFAULT.
global_asm!(
    r#"
    .section .text.libos_user_store,"ax",@progbits
    .globl libos_user_store, libos_user_store_pair
    .hidden libos_user_store, libos_user_store_pair
libos_user_store:
    mov [rdi], esi
    xor eax, eax
    ret
libos_user_store_pair:
    mov [rdi], rsi
.Lstore_second:
    mov [rdi + 8], rdx
    xor eax, eax
    ret
.Lstore_fault:
    mov rax, -{efault}
    ret
"#,
    fixup!("libos_user_store", "libos_user_store", ".Lstore_fault"),
    fixup!("libos_user_store", "libos_user_store_pair", ".Lstore_fault"),
    fixup!("libos_user_store", ".Lstore_second", ".Lstore_fault"),
    ".text",
    efault = const libos_base::Errno::EFAULT as i32,
);

// The word as it was in EAX, or all ones in RAX.
global_asm!(
    r#"
    .section .text.libos_user_word,"ax",@progbits
    .globl libos_user_load, libos_user_exchange
    .hidden libos_user_load, libos_user_exchange
libos_user_load:
    mov eax, [rdi]
    ret
libos_user_exchange:
    mov eax, esi
.Lword_exchange:
    lock cmpxchg [rdi], edx
    mov eax, eax
    ret
.Lword_fault:
    mov rax, -1
    ret
"#,
    fixup!("libos_user_word", "libos_user_load", ".Lword_fault"),
    fixup!("libos_user_word", ".Lword_exchange", ".Lword_fault"),
    ".text",
);

unsafe extern "C" {
    fn libos_user_copy(dst: *mut u8, src: *const u8, len: usize) -> usize;
    fn libos_user_store(addr: usize, word: u32) -> isize;
    fn libos_user_store_pair(addr: usize, first: u64, second: u64) -> isize;
    fn libos_user_load(addr: usize) -> u64;
    fn libos_user_exchange(addr: usize, old: u32, new: u32) -> u64;
}

/// Copies to, from, or within program memory; returns the number of bytes NOT copied.
///
/// # Safety
/// The kernel side must be valid for `len`; the program side may be anything that `mm::image::program_range` allows.
pub unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) -> usize {
    // SAFETY: the caller's; faults on the program side are fixed up.
    unsafe { libos_user_copy(dst, src, len) }
}

/// Stores a word; returns what a call returns: 0, or EFAULT's number, negative. Needs no stack.
///
/// # Safety
/// `addr` is anything that `mm::image::program_range` allows.
pub unsafe fn store(addr: usize, word: u32) -> isize {
    // SAFETY: the caller's; a fault is fixed up.
    unsafe { libos_user_store(addr, word) }
}

/// The same for two words of eight bytes.
///
/// # Safety
/// As for [`store`], for all 16 bytes.
pub unsafe fn store_pair(addr: usize, first: u64, second: u64) -> isize {
    // SAFETY: the caller's; faults are fixed up.
    unsafe { libos_user_store_pair(addr, first, second) }
}

/// Loads a word; `None` when it cannot be read.
///
/// # Safety
/// `addr` is anything that `mm::image::program_range` allows.
pub unsafe fn load(addr: usize) -> Option<u32> {
    // SAFETY: the caller's; a fault is fixed up.
    u32::try_from(unsafe { libos_user_load(addr) }).ok()
}

/// Stores `new` in a word if it is `old`; returns what was there, `None` when it cannot be written.
///
/// # Safety
/// `addr` is anything that `mm::image::program_range` allows.
pub unsafe fn compare_exchange(addr: usize, old: u32, new: u32) -> Option<u32> {
    // SAFETY: the caller's; a fault is fixed up.
    u32::try_from(unsafe { libos_user_exchange(addr, old, new) }).ok()
}
