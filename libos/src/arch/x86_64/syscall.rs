//! From a program's call to its handler, on the thread's kernel stack.
//!
//! Every `libos_sys_N` stub jumps here with the handler in `rax` and the number in `r11d`. The call is a C call: the
//! handler preserves the callee-saved registers itself, so the quick way out restores nothing but the stack
//! pointer. The frame exists for what is not quick: signals, restarts, new threads, backtraces.

use super::extable::fixup;
use super::frame::{SyscallFrame, TrapFrame};
use super::percpu;
use crate::arch::upcall::{self, ExitContext};
use core::arch::global_asm;
use core::mem::{offset_of, size_of};
use core::sync::atomic::Ordering;
use libos_base::abi::Out;
use libos_base::percpu::Head;
use libos_base::{Errno, Result, user};

/// The debug kernel checks that no locks are held.
#[cfg(debug_assertions)]
macro_rules! leaving {
    () => {
        "mov rdi, rax\ncall libos_leaving"
    };
}
#[cfg(not(debug_assertions))]
macro_rules! leaving {
    () => {
        ""
    };
}

global_asm!(
    r#"
    # Two bytes that the stubs of leaf calls test together. 1 as a Linux process: set by the startup code, read by every
    # stub. Not 0 while calls are traced: then leaf calls enter the kernel like all others.
    .section .data.libos_hosted,"aw",@progbits
    .balign 2
    .globl libos_hosted
libos_hosted: .byte 0
libos_traced: .byte 0

    .section .text.libos_syscall_entry,"ax",@progbits
    .globl libos_syscall_entry
    .type libos_syscall_entry,@function
libos_syscall_entry:
    lea r10, [rsp + 8]
    mov rsp, gs:[{kstack_top}]
    push rax                             # pad: keeps the frame 16-aligned
    push r10
.Lentry_return:
    push [r10 - 8]
.Lentry_frame:
    push r11
    push r9
    push r8
    push rcx
    push rdx
    push rsi
    push rdi
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    call rax
"#,
    leaving!(),
    r#"
    # An interrupt between this look and the return would leave its work undone: `trap.rs` sends such a
    # thread back to this label.
    .globl libos_exit_check
libos_exit_check:
    cmp dword ptr gs:[{work}], 0
    jne 1f
    lea rcx, [rax + 516]                 # an internal restart code (512..516) must not leave
    cmp rcx, 4
    jbe 1f
    mov rcx, [rsp + {rsp_}]
    lea rsp, [rcx - 8]
    .globl libos_exit_end
libos_exit_end:
    ret                                  # the call's own: processors predict returns by counting calls
1:  mov rdi, rsp
    mov rsi, rax
    call {slow}
    jmp libos_exit_check

    # libos_resume(regs: *const TrapFrame, vectors: *const u8 or 0): becomes the program with all its registers, as a trap returns.
    .globl libos_resume
libos_resume:
    cli
    mov rbx, rdi
    test rsi, rsi
    je libos_trap_return_registers
    mov rsp, rsi
    jmp libos_trap_return

    # The program's stack went away between its call and here: no address to return to.
.Lentry_lost:
    push 0
    jmp .Lentry_frame

    # A call of a number that is in no table or not in this image. The number is in RDI.
    .section .text.libos_syscall_missing,"ax",@progbits
    .globl libos_syscall_missing
libos_syscall_missing:
    mov rax, -{enosys}
    cmp byte ptr [rip + libos_hosted], 0
    jne 2f
    mov r11d, edi
    lea rax, [rip + {missing}]
    jmp libos_syscall_entry
2:  ret
"#,
    fixup!("libos_syscall_entry", ".Lentry_return", ".Lentry_lost"),
    ".text",
    kstack_top = const offset_of!(Head, kstack_top),
    work = const offset_of!(Head, work),
    rsp_ = const offset_of!(SyscallFrame, rsp),
    slow = sym exit_slow,
    missing = sym missing,
    enosys = const Errno::ENOSYS as i32,
);

extern "C" fn missing(number: usize) -> isize {
    upcall::not_linked(number);
    -(Errno::ENOSYS as isize)
}

unsafe extern "C" {
    /// Loads every register from `regs` (and the vector state from `vectors` unless null) and continues there.
    fn libos_resume(regs: *const TrapFrame, vectors: *const u8) -> !;
}

/// The way out with work to do. Returns the result for the quick way out, or resumes changed registers itself.
extern "C" fn exit_slow(frame: &SyscallFrame, result: i64) -> i64 {
    let mut regs = TrapFrame::of_syscall(frame, result);
    let r: Result<usize> = errno_of(result).map_or(Ok(result as usize), Err);
    let mut ctx = ExitContext { regs: &mut regs, vectors: None, syscall: Some((frame.nr, frame.args, r)) };
    if upcall::exit_work(&mut ctx) {
        // Checks the work word once more with interrupts off: a signal that came just now must not wait.
        upcall::enter_program(regs)
    }
    regs.rax as i64
}

/// The errno in an encoded result. Only the internal codes matter to the exit path.
fn errno_of(result: i64) -> Option<Errno> {
    match result {
        -4 => Some(Errno::EINTR),
        -512 => Some(Errno::ERESTARTSYS),
        -513 => Some(Errno::ERESTARTNOINTR),
        -514 => Some(Errno::ERESTARTNOHAND),
        _ => None,
    }
}

/// The running thread's system call frame. Only valid while it is in a call.
pub fn frame() -> *mut SyscallFrame {
    (percpu::word!(kstack_top) - size_of::<SyscallFrame>()) as *mut SyscallFrame
}

/// Where the running call came from: the address after the program's call.
pub fn caller() -> usize {
    // SAFETY: called by handlers, so the frame is there.
    unsafe { (*frame()).rip as usize }
}

/// Whether `sp` lies on the kernel stack of the thread that runs on the CPU of `head`.
pub(super) fn on_kernel_stack(head: &Head, sp: u64) -> bool {
    let (lo, hi) = (head.kstack_bottom.load(Ordering::Relaxed) as u64, head.kstack_top.load(Ordering::Relaxed) as u64);
    sp >= lo && sp <= hi
}

/// Makes an interrupted call happen again: the registers are as at the entry of `libos_sys_N`, with the return address
/// on the stack. libc's cancellation handler relies on this shape: it recognises a call that has not happened yet by
/// its return address on top of the stack (libc-shim, `pthread_cancel.c`). False: the stack is gone, and nothing was
/// changed.
pub fn restart(regs: &mut TrapFrame, nr: u64, args: &[u64; 6]) -> bool {
    unsafe extern "C" {
        fn libos_syscall_entry();
    }
    // The stack below the return is the program's, and the call's return address was its last word.
    let sp = regs.rsp - 8;
    if user::write(Out::new(sp as usize), &regs.rip).is_err() {
        return false;
    }
    [regs.rdi, regs.rsi, regs.rdx, regs.rcx, regs.r8, regs.r9] = *args;
    regs.rsp = sp;
    // SAFETY: the thread is in a call, so its frame is there; `pad` holds the handler (see `libos_syscall_entry`).
    regs.rax = unsafe { (*frame()).pad };
    regs.r11 = nr;
    regs.rip = libos_syscall_entry as *const () as u64;
    true
}

/// Continues the program with all of `regs`, and with the vector state at `vectors`, if any.
///
/// # Safety
/// `regs` is a program context with interrupts on and the program's segments; `vectors` a valid save area that lives on this
/// stack until it has been loaded. Interrupts are off.
pub unsafe fn resume(regs: &TrapFrame, vectors: Option<*mut u8>) -> ! {
    // SAFETY: the caller's.
    unsafe { libos_resume(regs, vectors.map_or(core::ptr::null(), |p| p)) }
}

/// write(2, line) made as a Linux process: there is no kernel of ours below.
pub fn hosted_complaint(line: &str) {
    // SAFETY: Linux reads the bytes and touches nothing else.
    unsafe {
        core::arch::asm!("syscall", inout("rax") 1usize => _, in("rdi") 2, in("rsi") line.as_ptr(), in("rdx") line.len(),
            out("rcx") _, out("r11") _);
    }
}
