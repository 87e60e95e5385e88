//! The `syscall` instruction, for assembly that does not go through libc: it lands in the same table as the calls.
//!
//! Linux preserves everything but rax, rcx and r11, while our handlers are C functions: the rest is saved on the program's
//! stack, below the red zone. The way back is a jump, never SYSRET: there is no ring to return to.

use super::cpu::{MSR_EFER, read_msr, write_msr};
use super::fpu::{restore_vectors, save_vectors};
use super::gdt::CODE;
use core::arch::global_asm;

const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_FMASK: u32 = 0xc000_0084;
const SCE: u64 = 1;
/// Cleared on entry: direction, trap, alignment check.
const FMASK: u64 = 1 << 10 | 1 << 8 | 1 << 18;

global_asm!(
    r#"
    .section .text.libos_syscall_instruction,"ax",@progbits
    .globl libos_syscall_instruction
libos_syscall_instruction:
    lea rsp, [rsp - 128]
    push rcx
    push r11
    push rbx
    push rdi
    push rsi
    push rdx
    push r10
    push r8
    push r9
    mov rbx, rsp
    mov r11, rax
    sub rsp, [rip + LIBOS_XSAVE_SIZE]
    and rsp, -64
    mov rcx, rdx
"#,
    save_vectors!(),
    r#"
    mov rdx, rcx
    mov rcx, r10
    lea rax, [rip + __libos_tab_start]
3:  lea r10, [rip + __libos_tab_end]
    cmp rax, r10
    jae 5f
    cmp [rax], r11
    je 4f
    add rax, 16
    jmp 3b
4:  call [rax + 8]
    jmp 6f
5:  mov rdi, r11
    call libos_syscall_missing
6:  mov rcx, rax
"#,
    restore_vectors!(),
    r#"
    mov rax, rcx
    mov rsp, rbx
    pop r9
    pop r8
    pop r10
    pop rdx
    pop rsi
    pop rdi
    pop rbx
    popfq
    pop rcx
    lea rsp, [rsp + 128]
    jmp rcx
    .text
"#,
);

unsafe extern "C" {
    static libos_syscall_instruction: u8;
}

/// Prepares this CPU.
pub fn init() {
    write_msr(MSR_EFER, read_msr(MSR_EFER) | SCE);
    write_msr(MSR_STAR, (CODE as u64) << 32);
    write_msr(MSR_LSTAR, &raw const libos_syscall_instruction as u64);
    write_msr(MSR_FMASK, FMASK);
}
