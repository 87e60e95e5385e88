//! Interrupts and exceptions.
//!
//! Every vector lands on an interrupt stack, because programs, libgcc and the prebuilt `core` keep live data below the
//! stack pointer (red zone). That stack is a landing pad only: the frame is copied to the thread's kernel stack (its
//! top if program code was interrupted, below `rsp - 128` if kernel code was) and the vector state saved there, before
//! anything can enable interrupts, block or switch.

use super::TrapFrame;
use super::extable;
use super::fpu::{restore_vectors, save_vectors};
use super::frame::{pop_registers, push_registers};
use super::idt::{self, vector};
use super::percpu::head;
use super::syscall::on_kernel_stack;
use crate::arch::fault::{By, Fault, PageFault};
use crate::arch::image::in_kernel_text;
use crate::arch::upcall::{self, ExitContext};
use core::arch::global_asm;
use core::mem::{offset_of, size_of};
use core::sync::atomic::Ordering;
use libos_base::abi::In;
use libos_base::abi::signal::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGTRAP};
use libos_base::layout::{PAGE_SIZE, PROGRAM_END};
use libos_base::percpu::{Head, disable_interrupts, work};
use libos_base::sync::check;
use libos_base::user;

global_asm!(
    r#"
    .section .text.libos_trap,"ax",@progbits
    .globl libos_trap_interrupt
libos_trap_interrupt:
    push qword ptr [rsp]
    and qword ptr [rsp], 0xff            # the vector
    mov qword ptr [rsp + 8], 0           # no error code
    .globl libos_trap_common
libos_trap_common:
"#,
    push_registers!(),
    r#"
    cld
    mov rcx, gs:[{kstack_top}]
    mov rax, [rsp + {rsp_}]
    cmp rax, gs:[{kstack_bottom}]
    jb 1f
    cmp rax, rcx
    ja 1f
    lea rcx, [rax - 128]
1:  sub rcx, {frame}
    and rcx, -64
    mov rbx, rcx
    mov rsi, rsp
    mov rdi, rcx
    mov ecx, {frame} / 8
    rep movsq
    mov rsp, rbx
    sub rsp, [rip + LIBOS_XSAVE_SIZE]
"#,
    save_vectors!(),
    r#"
    mov rdi, rbx
    mov rsi, rsp
    call {dispatch}
    cli
    .globl libos_trap_return
libos_trap_return:
"#,
    restore_vectors!(),
    r#"
    .globl libos_trap_return_registers
libos_trap_return_registers:
    mov rsp, rbx
"#,
    pop_registers!(),
    r#"
    add rsp, 16
    iretq

    # NMI, double fault, machine check: stay on the landing stack; these only report, or do nothing.
    .globl libos_trap_fatal
libos_trap_fatal:
"#,
    push_registers!(),
    r#"
    cld
    mov rdi, rsp
    and rsp, -64
    call {fatal}
    ud2
    .text

    # void libos_die(reason, address, last): the program's memory is damaged. See `die`.
    .section .text.libos_die,"ax",@progbits
    .globl libos_die
libos_die:
    ud2
    .text
"#,
    kstack_top = const offset_of!(Head, kstack_top),
    kstack_bottom = const offset_of!(Head, kstack_bottom),
    rsp_ = const offset_of!(TrapFrame, rsp),
    frame = const size_of::<TrapFrame>(),
    dispatch = sym dispatch,
    fatal = sym fatal,
);
const _: () = assert!(size_of::<TrapFrame>() == 176);

unsafe extern "C" {
    static libos_exit_check: u8;
    static libos_exit_end: u8;
    static libos_die: u8;
}

/// Entered with interrupts off, on the kernel stack; returns with interrupts off or on.
extern "C" fn dispatch(regs: &mut TrapFrame, xsave: *mut u8) {
    let from_program = !on_kernel_stack(head(), regs.rsp);
    let v = regs.vector as u8;
    if v < 32 {
        exception(regs, xsave, from_program);
    } else {
        super::interrupts::run(v);
    }
    if head().preempt_count.load(Ordering::Relaxed) == 0 {
        if from_program {
            while head().work.load(Ordering::Relaxed) != 0 {
                let mut ctx = ExitContext { regs, vectors: Some(xsave), syscall: None };
                super::cpu::enable_interrupts();
                upcall::exit_work(&mut ctx);
                disable_interrupts();
            }
            check::nothing_held("the exit to the program");
        } else if v >= 32 {
            if head().work.load(Ordering::Relaxed) & work::RESCHED != 0 {
                upcall::preempt_from_interrupt();
            }
            // Interrupted on its way out, past the check of the work word: check again.
            let (check, end) = (&raw const libos_exit_check as u64, &raw const libos_exit_end as u64);
            if regs.rip > check && regs.rip < end {
                regs.rip = check;
            }
        }
    }
}

fn exception(regs: &mut TrapFrame, xsave: *mut u8, from_program: bool) {
    // Program code, or a leaf call, which runs on the program's stack.
    let kernel_text = in_kernel_text(regs.ip());
    let fixup = if from_program && !kernel_text { None } else { extable::find(regs.ip()) };
    let fault = |signo, code, addr, what| Fault { signo, code, addr, what };
    let ip = regs.ip();
    let fault = match regs.vector as u8 {
        vector::PAGE_FAULT => match page_fault(regs, by(from_program, fixup)) {
            None => return,
            Some(s) => s,
        },
        0 => fault(SIGFPE, 1, ip, "integer division by zero"),
        1 => fault(SIGTRAP, 2, ip, "debug trap"),
        3 => fault(SIGTRAP, 128, 0, "breakpoint"),
        6 if regs.rip == &raw const libos_die as u64 => die(regs),
        6 => fault(SIGILL, 2, ip, "invalid instruction"),
        16 | 19 => fault(SIGFPE, 8, ip, "floating-point exception"),
        17 => fault(SIGBUS, 1, 0, "alignment check"),
        // General protection: a non-canonical address, or a privileged instruction gone wrong.
        _ => fault(SIGSEGV, 128, 0, idt::name(regs.vector as u8)),
    };
    // A copy's fault on kernel memory is the kernel's own bug. Without memory, a call ends first, as it may hold locks; a
    // leaf holds none, and the program ends at once.
    if let Some(ip) = fixup
        && fault.addr < PROGRAM_END
        && !(from_program && fault.signo == SIGKILL)
    {
        regs.rip = ip as u64;
        return;
    }
    let stack_overflow = from_program && fault.addr.abs_diff(regs.sp()) < PAGE_SIZE;
    // Asked again: `die` has turned its trap into the program's.
    if !from_program || in_kernel_text(regs.ip()) && fixup.is_none() && !stack_overflow {
        upcall::kernel_fault(regs, fault.what, fault.addr);
    }
    super::cpu::enable_interrupts();
    upcall::program_fault(&mut ExitContext { regs, vectors: Some(xsave), syscall: None }, fault);
    disable_interrupts();
}

/// The C library found the program's memory damaged (libc-shim, die.c) and wants it to die of SIGABRT, after its
/// handler has had a chance. Handler and report see the call as having returned, so that they show the program's code.
fn die(regs: &mut TrapFrame) -> Fault {
    const SI_TKILL: i32 = -6;
    const REASONS: [&str; 3] = ["stack smashing detected", "double free", "invalid free"];
    let what = REASONS.get(regs.rdi as usize).copied().unwrap_or("abort");
    let (addr, last) = (regs.rsi as usize, regs.rdx as u32 != 0);
    // The call instruction has just written its return address there.
    regs.rip = user::read(In::new(regs.rsp as usize)).unwrap_or(regs.rip);
    regs.rsp += 8;
    if last {
        super::cpu::enable_interrupts();
        upcall::fatal_signal(SIGABRT, regs, what, addr);
    }
    Fault { signo: SIGABRT, code: SI_TKILL, addr, what }
}

fn by(program: bool, fixup: Option<usize>) -> By {
    match (program, fixup) {
        (true, _) => By::Program,
        (false, Some(_)) => By::Call,
        (false, None) => By::Kernel,
    }
}

/// `None`: resolved; continue.
fn page_fault(regs: &TrapFrame, by: By) -> Option<Fault> {
    let addr = super::cpu::fault_address();
    let can_block = regs.rflags & super::frame::RFLAGS_IF != 0 && head().preempt_count.load(Ordering::Relaxed) == 0;
    if can_block {
        super::cpu::enable_interrupts();
    }
    // Bits of the error code (SDM 3A, 4.7).
    let bit = |n: u32| regs.error & 1 << n != 0;
    let (present, write, malformed, fetch) = (bit(0), bit(1), bit(3), bit(4));
    let result = upcall::page_fault(&PageFault { addr, by, present, write, fetch, malformed, can_block });
    if can_block {
        disable_interrupts();
    }
    result.err()
}

extern "C" fn fatal(regs: &mut TrapFrame) -> ! {
    let what = match regs.vector as u8 {
        vector::NMI => {
            // Another CPU is reporting a crash: be quiet.
            if super::ipi::stopping() {
                super::cpu::stop();
            }
            "non-maskable interrupt"
        }
        vector::DOUBLE_FAULT => "double fault (kernel stack overflow?)",
        v => idt::name(v),
    };
    upcall::kernel_fault(regs, what, super::cpu::fault_address())
}
