//! The first instructions, for every boot protocol.
//!
//! - PVH (Xen's x86/HVM direct boot ABI): 32-bit protected mode, `ebx` = start info.
//! - multiboot2 (3.3, I386 machine state): the same, `eax` = magic, `ebx` = information.
//! - Linux 64-bit protocol (Documentation/arch/x86/boot.rst): long mode, `rsi` = zero page.
//!
//! All of them end in [`super::early::stage1`] in long mode, with the first GiB mapped one to one and a small stack. The
//! image runs at the address it was linked for until then; nothing here needs a relocation. The linker script writes the
//! PVH note and the multiboot2 header, because only there is an absolute address a link-time constant in a static PIE.

use core::arch::global_asm;

/// How the image was started.
#[expect(dead_code, reason = "made by the assembly below")]
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Protocol {
    Pvh = 0,
    Multiboot2 = 1,
    Linux64 = 2,
}

// AT&T syntax: only there does the assembler accept differences of symbols in addresses.
global_asm!(
    r#"
    .section .text.libos_boot,"ax",@progbits
    .code32
    .globl unibody_pvh_start
unibody_pvh_start:
    movl $0, %esi
    jmp 1f
    .globl unibody_mb2_start
unibody_mb2_start:
    movl $1, %esi
1:  cli
    cld
    # Where are we? No stack yet: borrow a word of conventional memory, and put it back.
    movl $0x8ff0, %edi
    movl (%edi), %edx
    leal 4(%edi), %esp
    call 2f
2:  popl %ebp
    movl %edx, (%edi)
    movl %ebx, %edi
    leal (LIBOS_BOOT_STACK_END - 2b)(%ebp), %esp
    # UEFI firmware leaves paging bits set.
    xorl %eax, %eax
    movl %eax, %cr4
    movl $0x11, %eax
    movl %eax, %cr0

    # The first GiB, one to one, 2 MiB pages.
    leal (LIBOS_BOOT_PD - 2b)(%ebp), %eax
    movl $0x83, %ecx
3:  movl %ecx, (%eax)
    movl $0, 4(%eax)
    addl $8, %eax
    addl $0x200000, %ecx
    cmpl $0x40000083, %ecx
    jb 3b
    leal (LIBOS_BOOT_PD - 2b)(%ebp), %eax
    orl $3, %eax
    leal (LIBOS_BOOT_PDPT - 2b)(%ebp), %edx
    movl %eax, (%edx)
    orl $3, %edx
    leal (LIBOS_BOOT_PML4 - 2b)(%ebp), %eax
    movl %edx, (%eax)
    movl %eax, %cr3
    movl $0x620, %eax                    # PAE, and SSE: compiled code uses it
    movl %eax, %cr4
    movl $0xc0000080, %ecx               # EFER: LME, NXE
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl $0x80010013, %eax               # PG, WP, ET, MP, PE
    movl %eax, %cr0
    # The descriptor pointer is built on the stack: no absolute addresses here.
    leal (90f - 2b)(%ebp), %eax
    pushl %eax
    pushl $0x170000                      # limit 23 in the upper half
    lgdt 2(%esp)
    leal (4f - 2b)(%ebp), %eax
    pushl $8
    pushl %eax
    lretl
    .code64
4:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %edi, %edi                      # boot information
    movl %esi, %esi                      # protocol
    leaq LIBOS_BOOT_STACK_END(%rip), %rsp
    xorl %ebp, %ebp
    call {stage1}
    ud2

    .globl unibody_linux64_start
unibody_linux64_start:
    cli
    cld
    movq %rsi, %rdi
    movl $2, %esi
    # Our own first GiB: the loader's tables may lie anywhere.
    leaq LIBOS_BOOT_PD(%rip), %rax
    movl $0x83, %ecx
5:  movq %rcx, (%rax)
    addq $8, %rax
    addq $0x200000, %rcx
    cmpq $0x40000083, %rcx
    jb 5b
    leaq LIBOS_BOOT_PD + 3(%rip), %rax
    leaq LIBOS_BOOT_PDPT(%rip), %rdx
    movq %rax, (%rdx)
    addq $3, %rdx
    leaq LIBOS_BOOT_PML4(%rip), %rax
    movq %rdx, (%rax)
    movq %rax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl $0x620, %eax
    movq %rax, %cr4
    movl $0x80010013, %eax
    movq %rax, %cr0
    leaq LIBOS_BOOT_STACK_END(%rip), %rsp
    leaq 90f(%rip), %rax
    pushq %rax
    subq $8, %rsp
    movw $23, 6(%rsp)
    lgdt 6(%rsp)
    addq $16, %rsp
    leaq 6f(%rip), %rax
    pushq $8
    pushq %rax
    lretq
6:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %ebp, %ebp
    call {stage1}
    ud2

    .balign 8
90: .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff

    .section .bss.libos_boot,"aw",@nobits
    .balign 4096
    .globl LIBOS_BOOT_PML4
LIBOS_BOOT_PML4: .skip 4096
LIBOS_BOOT_PDPT: .skip 4096
LIBOS_BOOT_PD: .skip 4096
    .globl LIBOS_BOOT_STACK
LIBOS_BOOT_STACK: .skip 16384
    .globl LIBOS_BOOT_STACK_END
LIBOS_BOOT_STACK_END:
    .text
"#,
    stage1 = sym super::early::stage1,
    options(att_syntax)
);
