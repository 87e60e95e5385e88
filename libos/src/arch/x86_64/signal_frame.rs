//! The frame on the program's stack, laid out as on Linux (arch/x86/include/uapi/asm/sigcontext.h, ucontext.h).

use super::{TrapFrame, fpu};
use crate::arch::upcall;
use core::mem::offset_of;
use libos_base::abi::{FpxSwBytes, In, Out, SigContext, SigFrame, SigSet, StackT, UContext};
use libos_base::percpu::Head;
use libos_base::{Errno, Result, user};

/// Where the vector state holds [`FpxSwBytes`].
const SW_BYTES: usize = 464;
const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
const UC_FP_XSTATE: u64 = 1;
/// SS is valid in the frame and restored strictly.
const UC_SIGCONTEXT_SS: u64 = 2;
const UC_STRICT_RESTORE_SS: u64 = 4;
const LEGACY: usize = 512;
const INFO: usize = 128;
const RED_ZONE: u64 = 128;

/// Flags that a program may change by sigreturn: status bits and DF.
const USER_FLAGS: u64 = 0xcd5 | 1 << 18;

/// `$to`, with the general registers of `$from`, which both name alike, and `$rest`.
macro_rules! registers {
    ($from:ident => $to:ident { $($rest:tt)* }) => {
        registers!(@ $from $to [r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp rip] $($rest)*)
    };
    (@ $from:ident $to:ident [$($name:ident)*] $($rest:tt)*) => { $to { $($name: $from.$name,)* $($rest)* } };
}

/// What a handler starts from.
pub struct Frame {
    /// Address of the frame: the handler's stack pointer.
    pub sp: usize,
    pub info: usize,
    pub uc: usize,
}

/// The vector state of a program that is in a call rather than interrupted: only the control words are meaningful, and
/// the hardware still has them.
#[repr(C, align(64))]
struct Fxsave([u8; LEGACY]);

/// Writes the frame below `top` (the alternate stack's top) or below the program's red zone.
#[expect(clippy::too_many_arguments, reason = "all of it is what the frame holds")]
pub fn push(
    regs: &TrapFrame,
    vectors: Option<*mut u8>,
    top: Option<usize>,
    info: &[u8; INFO],
    stack: StackT,
    mask: SigSet,
    restorer: usize,
    fault_addr: u64,
) -> Result<Frame> {
    let area = if vectors.is_some() && fpu::area_mask() != 0 { fpu::area_size() + 4 } else { LEGACY };
    let sp = top.unwrap_or((regs.rsp - RED_ZONE) as usize);
    let fp = sp.checked_sub(area).ok_or(Errno::EFAULT)? & !63;
    let len = size_of::<SigFrame>() + INFO;
    // As after a call: 8 below a multiple of 16.
    let sp = ((fp.checked_sub(len).ok_or(Errno::EFAULT)?) & !15) - 8;
    user::check(sp, fp + area - sp)?;

    let mut flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    match vectors {
        Some(p) => {
            let n = if fpu::area_mask() != 0 { fpu::area_size() } else { LEGACY };
            // SAFETY: the save area of the interrupted program, on this thread's kernel stack.
            let state = unsafe { core::slice::from_raw_parts(p, n) };
            user::copy_out(fp, state)?;
            let mut sw = FpxSwBytes::default();
            if fpu::area_mask() != 0 {
                flags |= UC_FP_XSTATE;
                sw = FpxSwBytes {
                    magic1: FP_XSTATE_MAGIC1,
                    extended_size: (n + 4) as u32,
                    xfeatures: fpu::area_mask(),
                    xstate_size: n as u32,
                    pad: [0; 7],
                };
                user::write(Out::new(fp + n), &FP_XSTATE_MAGIC2)?;
            }
            user::write(Out::new(fp + SW_BYTES), &sw)?;
        }
        None => {
            let mut f = Fxsave([0; LEGACY]);
            // SAFETY: 512 writable bytes, aligned.
            unsafe { core::arch::asm!("fxsave64 [{}]", in(reg) &mut f.0, options(nostack)) };
            // The registers hold leftovers of the kernel; a call need not preserve them, and the program must not see
            // them.
            f.0[32..].fill(0);
            f.0[2..6].fill(0);
            user::copy_out(fp, &f.0)?;
        }
    }
    let mcontext = registers!(regs => SigContext {
        eflags: regs.rflags,
        cs: regs.cs as u16,
        ss: regs.ss as u16,
        err: regs.error,
        trapno: regs.vector,
        oldmask: mask.0,
        cr2: fault_addr,
        fpstate: fp,
        ..SigContext::default()
    });
    let uc = UContext { flags, link: 0, stack, mcontext, sigmask: mask.0 };
    user::write(Out::new(sp), &SigFrame { restorer, uc })?;
    user::copy_out(sp + size_of::<SigFrame>(), info)?;
    Ok(Frame { sp, info: sp + size_of::<SigFrame>(), uc: sp + 8 })
}

/// Makes the program continue in a handler, on a frame from [`push`].
pub fn enter(regs: &mut TrapFrame, frame: &Frame, handler: usize, signo: i32) {
    regs.rdi = signo as u64;
    regs.rsi = frame.info as u64;
    regs.rdx = frame.uc as u64;
    regs.rax = 0;
    regs.rsp = frame.sp as u64;
    regs.rip = handler as u64;
    regs.rflags = TrapFrame::program().rflags;
}

/// Reads back, for sigreturn, the registers, mask and alternate stack. `uc` is the address of the ucontext.
pub fn pop(uc: usize) -> Result<(TrapFrame, SigSet, StackT, usize)> {
    let c: UContext = user::read(In::new(uc))?;
    let g = &c.mcontext;
    if !canonical(g.rip) || !canonical(g.rsp) {
        return Err(Errno::EFAULT);
    }
    let regs = registers!(g => TrapFrame {
        rflags: (g.eflags & USER_FLAGS) | TrapFrame::program().rflags,
        ..TrapFrame::program()
    });
    Ok((regs, SigSet(c.sigmask), c.stack, g.fpstate))
}

fn canonical(a: u64) -> bool {
    (a << 16) as i64 >> 16 == a as i64
}

/// Reads the vector state at `fp` into `area` (64-aligned, `fpu::area_size` bytes) in a form that can be loaded without
/// a fault, whatever the program did to it.
pub fn load_vector_state(fp: usize, area: &mut [u8]) -> Result<()> {
    let mask = fpu::area_mask();
    user::copy_in(&mut area[..LEGACY], fp)?;
    let sw: FpxSwBytes = user::read(In::new(fp + SW_BYTES))?;
    // MXCSR: reserved bits fault (Intel SDM 1, 10.2.3).
    let mxcsr = u32::from_le_bytes([area[24], area[25], area[26], area[27]]) & 0xffbf;
    area[24..28].copy_from_slice(&mxcsr.to_le_bytes());
    if mask == 0 {
        return Ok(());
    }
    area[LEGACY..].fill(0);
    let n = area.len();
    let full = sw.magic1 == FP_XSTATE_MAGIC1
        && sw.xstate_size as usize == n
        && user::read::<u32>(In::new(fp + n)).is_ok_and(|m| m == FP_XSTATE_MAGIC2);
    let mut components = 3;
    if full {
        user::copy_in(&mut area[LEGACY..], fp + LEGACY)?;
        let stored = u64::from_le_bytes(area[LEGACY..LEGACY + 8].try_into().expect("8 bytes"));
        components = stored & mask & sw.xfeatures;
        // The rest of the header must be zero (SDM 1, 13.8).
        area[LEGACY + 8..LEGACY + 64].fill(0);
    }
    area[LEGACY..LEGACY + 8].copy_from_slice(&components.to_le_bytes());
    Ok(())
}

const _: () = assert!(size_of::<SigContext>() == 256 && size_of::<UContext>() == 304 && size_of::<SigFrame>() == 312);

// libc's restorer jumps here; the handler's return has popped its address, so the program's stack pointer is at the
// ucontext. As a Linux process this makes the usual system call.
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
    kstack_top = const offset_of!(Head, kstack_top),
    sigreturn = sym sigreturn,
);

extern "C" fn sigreturn(uc: usize, area: *mut u8) -> ! {
    // SAFETY: the assembly above set this room aside, aligned, on a stack that nothing returns on.
    upcall::sigreturn(uc, unsafe { core::slice::from_raw_parts_mut(area, fpu::area_size()) })
}
