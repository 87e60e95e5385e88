//! The return from a handler.
//!
//! libc's restorer jumps to `libos_rt_sigreturn`; the program's stack pointer is then where the handler's return
//! address was popped, at the ucontext. As a Linux process it is the system call it always was.

use super::SS_AUTODISARM;
use super::frame;
use super::mask;
use crate::arch::{fpu, frame::TrapFrame};
use crate::sched::{self, current};
use core::sync::atomic::Ordering::Relaxed;
use libos_base::abi::signal::{SIGSEGV, SigSet};
use libos_base::percpu::offset;

core::arch::global_asm!(
    r#"
    .section .text.libos_rt_sigreturn,"ax",@progbits
    .globl libos_rt_sigreturn
    .type libos_rt_sigreturn,@function
libos_rt_sigreturn:
    cmp byte ptr [rip + libos_hosted], 0
    jne 1f
    mov rdi, rsp
    mov rsp, gs:[{kstack_top}]
    # Room for the vector state, whatever its size: the kernel stack is otherwise empty.
    sub rsp, [rip + LIBOS_XSAVE_SIZE]
    and rsp, -64
    mov rsi, rsp
    call {sigreturn}
    ud2
1:  mov eax, 15
    syscall
    ud2
    .text
"#,
    kstack_top = const offset::KSTACK_TOP,
    sigreturn = sym sigreturn,
);

/// Continues what the signal interrupted. `area`: `fpu::area_size` bytes on this kernel stack.
extern "C" fn sigreturn(uc: usize, area: *mut u8) -> ! {
    // SAFETY: the assembly above set this room aside, aligned.
    let area_bytes = unsafe { core::slice::from_raw_parts_mut(area, fpu::area_size()) };
    let me = current();
    let Ok((regs, mask, stack, fp)) = frame::pop(uc) else { bad_frame(uc) };
    let xsave = if fp == 0 {
        None
    } else if frame::load_vector_state(fp, area_bytes).is_ok() {
        Some(area)
    } else {
        bad_frame(uc)
    };
    mask::set_mask(mask.without(SigSet::UNBLOCKABLE));
    if stack.flags as usize & SS_AUTODISARM != 0 {
        for (slot, v) in me.signals.altstack.iter().zip([stack.sp, stack.size, stack.flags as usize]) {
            slot.store(v, Relaxed);
        }
    }
    sched::enter_program(regs, xsave)
}

/// As Linux: SIGSEGV, which cannot be handled on such a stack.
fn bad_frame(uc: usize) -> ! {
    let regs = TrapFrame { rsp: uc as u64, ..sched::program_segments() };
    crate::crash::fatal_signal(SIGSEGV, &regs, "sigreturn from a damaged frame", uc)
}
