//! memcpy and friends for the kernel: compiler_builtins exports none on this target.
//!
//! Vector moves in a loop rather than `rep movsb`: under emulation every repetition costs a whole instruction, and on
//! hardware the start-up of `rep` costs more than most kernel copies. AVX's from half a KiB on, where there is AVX.
//! Interrupts save vector state, so this is safe anywhere.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .text.libos_mem,"ax",@progbits
    .globl memmove
    .type memmove,@function
memmove:
    mov rax, rdi
    sub rax, rsi
    cmp rax, rdx
    jb 20f                    # dst inside [src, src+n): copy backwards
    .globl memcpy
    .type memcpy,@function
memcpy:
    mov rax, rdi
    cmp rdx, 16
    jb 5f
    cmp rdx, 32
    ja 1f
    movups xmm0, [rsi]
    movups xmm1, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm1
    ret
1:  cmp rdx, 512
    jae 50f
51: movups xmm4, [rsi + rdx - 16]     # the tail, before anything is overwritten
    lea r8, [rdi + rdx - 16]
    sub rdx, 64
    jb 3f
2:  movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + 32]
    movups xmm3, [rsi + 48]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    movups [rdi + 32], xmm2
    movups [rdi + 48], xmm3
    add rsi, 64
    add rdi, 64
    sub rdx, 64
    jae 2b
3:  add rdx, 64
    cmp rdx, 16
    jbe 4f
    movups xmm0, [rsi]
    movups [rdi], xmm0
    cmp rdx, 32
    jbe 4f
    movups xmm0, [rsi + 16]
    movups [rdi + 16], xmm0
    cmp rdx, 48
    jbe 4f
    movups xmm0, [rsi + 32]
    movups [rdi + 32], xmm0
4:  movups [r8], xmm4
    ret
5:  cmp edx, 8
    jb 6f
    mov rcx, [rsi]
    mov r8, [rsi + rdx - 8]
    mov [rdi], rcx
    mov [rdi + rdx - 8], r8
    ret
6:  cmp edx, 4
    jb 7f
    mov ecx, [rsi]
    mov r8d, [rsi + rdx - 4]
    mov [rdi], ecx
    mov [rdi + rdx - 4], r8d
    ret
7:  test edx, edx
    je 9f
    movzx ecx, byte ptr [rsi]
    mov [rdi], cl
    cmp edx, 1
    je 9f
    # two or three bytes: the first is written, and an overlapping source is at most two behind
    movzx ecx, byte ptr [rsi + 1]
    movzx r8d, byte ptr [rsi + rdx - 1]
    mov [rdi + 1], cl
    mov [rdi + rdx - 1], r8b
9:  ret
50: cmp byte ptr [rip + libos_avx], 0
    je 51b
    vmovups ymm8, [rsi + rdx - 32]     # as above
    lea r8, [rdi + rdx - 32]
    sub rdx, 256
52: .irp i, 0, 1, 2, 3, 4, 5, 6, 7
    vmovups ymm\i, [rsi + 32 * \i]
    .endr
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7
    vmovups [rdi + 32 * \i], ymm\i
    .endr
    add rsi, 256
    add rdi, 256
    sub rdx, 256
    jae 52b
    add rdx, 256 - 32
    jle 54f
53: vmovups ymm0, [rsi]
    vmovups [rdi], ymm0
    add rsi, 32
    add rdi, 32
    sub rdx, 32
    ja 53b
54: vmovups [r8], ymm8
    vzeroupper
    ret
20: mov rax, rdi
    cmp rdx, 16
    jb 25f
21: sub rdx, 16
    jb 22f
    movups xmm0, [rsi + rdx]
    movups [rdi + rdx], xmm0
    jmp 21b
22: add rdx, 16
25: test rdx, rdx
    je 27f
26: movzx ecx, byte ptr [rsi + rdx - 1]
    mov [rdi + rdx - 1], cl
    dec rdx
    jne 26b
27: ret

    .globl memset
    .type memset,@function
memset:
    mov rax, rdi
    movzx ecx, sil
    mov r8, 0x0101010101010101
    imul rcx, r8
    cmp rdx, 16
    jb 3f
    movq xmm0, rcx
    punpcklqdq xmm0, xmm0
    cmp rdx, 512
    jae 8f
9:  lea r8, [rdi + rdx - 16]
    sub rdx, 64
    jb 2f
1:  movups [rdi], xmm0
    movups [rdi + 16], xmm0
    movups [rdi + 32], xmm0
    movups [rdi + 48], xmm0
    add rdi, 64
    sub rdx, 64
    jae 1b
2:  add rdx, 64
    cmp rdx, 16
    jbe 4f
    movups [rdi], xmm0
    cmp rdx, 32
    jbe 4f
    movups [rdi + 16], xmm0
    cmp rdx, 48
    jbe 4f
    movups [rdi + 32], xmm0
4:  movups [r8], xmm0
    ret
3:  cmp edx, 8
    jb 5f
    mov [rdi], rcx
    mov [rdi + rdx - 8], rcx
    ret
5:  test edx, edx
    je 7f
6:  mov [rdi + rdx - 1], cl
    dec edx
    jne 6b
7:  ret
8:  cmp byte ptr [rip + libos_avx], 0
    je 9b
    vinsertf128 ymm0, ymm0, xmm0, 1
    lea r8, [rdi + rdx - 32]
    sub rdx, 512
52: .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovups [rdi + 32 * \i], ymm0
    .endr
    add rdi, 512
    sub rdx, 512
    jae 52b
    add rdx, 512 - 32
    jle 54f
53: vmovups [rdi], ymm0
    add rdi, 32
    sub rdx, 32
    ja 53b
54: vmovups [r8], ymm0
    vzeroupper
    ret

    .globl bcmp
    .globl memcmp
    .type memcmp,@function
bcmp:
memcmp:
    cmp rdx, 8
    jb 3f
1:  mov rax, [rsi]
    mov rcx, [rdi]
    cmp rax, rcx
    jne 2f
    add rsi, 8
    add rdi, 8
    sub rdx, 8
    cmp rdx, 8
    jae 1b
    jmp 3f
2:  bswap rax
    bswap rcx
    cmp rcx, rax
    sbb eax, eax
    or eax, 1
    ret
3:  test rdx, rdx
    je 5f
4:  movzx eax, byte ptr [rdi]
    movzx ecx, byte ptr [rsi]
    sub eax, ecx
    jne 6f
    inc rdi
    inc rsi
    dec rdx
    jne 4b
5:  xor eax, eax
6:  ret

    .globl strlen
strlen:
    mov rax, rdi
1:  cmp byte ptr [rax], 0
    je 2f
    inc rax
    jmp 1b
2:  sub rax, rdi
    ret
    .text
"#
);
