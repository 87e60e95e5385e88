//! Changing stacks.
//!
//! A switch is a function call, so only what the ABI makes the callee preserve is saved: six registers, the x87
//! control word and MXCSR (System V ABI, 3.2.1, 3.2.3). Interrupts are off throughout.

core::arch::global_asm!(
    r#"
    .section .text.libos_switch,"ax",@progbits
    .globl libos_switch
libos_switch:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    sub rsp, 8
    stmxcsr [rsp]
    fnstcw [rsp + 4]
    mov [rdi], rsp
    mov rsp, rsi
    ldmxcsr [rsp]
    fldcw [rsp + 4]
    add rsp, 8
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

    # First return of a new thread: rbx = what it starts in, r12 and r13 = the arguments.
    .globl libos_thread_start
libos_thread_start:
    mov rdi, r12
    mov rsi, r13
    xor ebp, ebp
    call rbx
    ud2
    .text
"#,
);

unsafe extern "C" {
    /// Saves the running stack's pointer in `*save` and continues on `next`.
    pub fn libos_switch(save: *mut usize, next: usize);
    fn libos_thread_start();
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
    // control words, r15, r14, r13, r12, rbx, rbp, return address, and one slot so that the entry is aligned as
    // at the start of a function that was jumped to with an aligned stack (libos_thread_start calls on).
    let frame =
        [MXCSR | X87_CW << 32, 0, 0, second, first, start as usize, 0, libos_thread_start as *const () as usize, 0, 0];
    let sp = top - core::mem::size_of_val(&frame);
    // SAFETY: the caller's; the frame fits a fresh stack.
    unsafe { (sp as *mut [usize; 10]).write(frame) };
    sp
}
