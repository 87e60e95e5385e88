//! Changing stacks.
//!
//! Switching back returns where the switch was made, so only what the ABI makes a callee preserve counts: registers, the
//! x87 control word and MXCSR (System V ABI, 3.2.1, 3.2.3). Of the registers, the compiler saves those that it uses.
//! Interrupts are off throughout.

core::arch::global_asm!(
    r#"
    # Where a new thread is switched to: the arguments, and what it starts in.
    .section .text.libos_thread_start,"ax",@progbits
    .globl libos_thread_start
libos_thread_start:
    pop rdi
    pop rsi
    pop rax
    xor ebp, ebp
    call rax
    ud2
    .text
"#,
);

unsafe extern "C" {
    fn libos_thread_start();
}

/// Saves the running stack's pointer in `*save` and continues on `next`.
///
/// # Safety
/// `next` was saved by a switch or made by [`prepare`], and nothing has run on that stack since.
#[inline(always)]
pub unsafe fn switch(save: *mut usize, next: usize) {
    // SAFETY: the caller's. Every register is given up but RBX and RBP, which the compiler keeps to itself.
    unsafe {
        core::arch::asm!(
            "push rbp",
            "push rbx",
            "lea rax, [rip + 2f]",
            "push rax",
            "sub rsp, 8",
            "stmxcsr [rsp]",
            "fnstcw [rsp + 4]",
            "mov [rdi], rsp",
            "mov rsp, rsi",
            "ldmxcsr [rsp]",
            "fldcw [rsp + 4]",
            "add rsp, 8",
            "pop rax",
            // Not a return: processors predict those by counting calls.
            "jmp rax",
            "2: pop rbx",
            "pop rbp",
            inout("rdi") save => _,
            inout("rsi") next => _,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("sysv64"),
        );
    }
}

/// Lays out a new kernel stack so that the first switch to it calls `start` with `arguments`, interrupts off; returns
/// its pointer.
///
/// # Safety
/// `top` must be the 16-aligned top of an unused, mapped stack.
pub unsafe fn prepare(top: usize, start: extern "C" fn(usize, usize) -> !, arguments: [usize; 2]) -> usize {
    let [first, second] = arguments;
    const MXCSR: usize = 0x1f80;
    const X87_CW: usize = 0x037f;
    // The call in libos_thread_start is made with an aligned stack, as the ABI demands.
    let frame = [MXCSR | X87_CW << 32, libos_thread_start as *const () as usize, first, second, start as usize, 0];
    let sp = top - core::mem::size_of_val(&frame) - 8;
    // SAFETY: the caller's; the frame fits a fresh stack.
    unsafe { (sp as *mut [usize; 6]).write(frame) };
    sp
}
