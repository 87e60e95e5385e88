//! The saved registers of a thread that is not running program code.

use crate::arch::image::Address;

/// Assembly: puts the first part of a [`TrapFrame`] on the stack, or takes it off.
macro_rules! push_registers {
    () => {
        "push rax\npush rbx\npush rcx\npush rdx\npush rsi\npush rdi\npush rbp\npush r8\npush r9\npush r10\npush r11\n\
         push r12\npush r13\npush r14\npush r15"
    };
}
macro_rules! pop_registers {
    () => {
        "pop r15\npop r14\npop r13\npop r12\npop r11\npop r10\npop r9\npop r8\npop rbp\npop rdi\npop rsi\n\
         pop rdx\npop rcx\npop rbx\npop rax"
    };
}
pub(super) use {pop_registers, push_registers};

/// What an interrupt, exception or resume saves and restores, in the order of the assembly above and of the processor's own part.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct TrapFrame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    /// Interrupt vector, or the marker of a system call exit.
    pub vector: u64,
    /// The exception's error code, else 0.
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// What a system call saves at the top of the thread's kernel stack: a call is a function call, so the registers that
/// the callee must preserve, the arguments and the return address are all there is. Assembly in `syscall.rs`
/// depends on the order.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SyscallFrame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    /// The call's arguments.
    pub args: [u64; 6],
    /// Its number.
    pub nr: u64,
    /// Where it returns to.
    pub rip: u64,
    /// The program's stack pointer after the return.
    pub rsp: u64,
    /// Keeps the stack aligned.
    pub pad: u64,
}

/// Interrupt flag.
pub const RFLAGS_IF: u64 = 1 << 9;
/// Always set.
pub const RFLAGS_FIXED: u64 = 1 << 1;

impl TrapFrame {
    /// The program's registers as a call's exit leaves them.
    pub fn of_syscall(f: &SyscallFrame, result: i64) -> Self {
        Self {
            r15: f.r15,
            r14: f.r14,
            r13: f.r13,
            r12: f.r12,
            rbp: f.rbp,
            rbx: f.rbx,
            rax: result as u64,
            rip: f.rip,
            rsp: f.rsp,
            ..Self::program()
        }
    }

    /// The program's flags and segments; everything else is 0.
    pub fn program() -> Self {
        let (cs, ss) = (super::gdt::CODE.into(), super::gdt::DATA.into());
        Self { rflags: RFLAGS_IF | RFLAGS_FIXED, cs, ss, ..Self::default() }
    }

    /// The program at `entry` with stack pointer `sp`, as a loader starts it.
    pub fn starting(entry: usize, sp: usize) -> Self {
        Self { rip: entry as u64, rsp: sp as u64, ..Self::program() }
    }

    /// The instruction pointer.
    pub fn ip(&self) -> usize {
        self.rip as usize
    }

    /// The stack pointer.
    pub fn sp(&self) -> usize {
        self.rsp as usize
    }

    /// Moves the thread to another stack.
    pub fn set_sp(&mut self, sp: usize) {
        self.rsp = sp as u64;
    }

    /// The frame pointer, where a backtrace begins.
    pub fn fp(&self) -> u64 {
        self.rbp
    }

    /// Sets the result of the call that is ending.
    pub fn set_result(&mut self, result: i64) {
        self.rax = result as u64;
    }

    /// Prints all registers to the log, for the crash report.
    pub fn print(&self) {
        libos_base::error!("rip {} rflags {:#x}", Address(self.ip()), self.rflags);
        libos_base::error!("rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}", self.rax, self.rbx, self.rcx, self.rdx);
        libos_base::error!("rsi {:016x} rdi {:016x} rbp {:016x} rsp {:016x}", self.rsi, self.rdi, self.rbp, self.rsp);
        libos_base::error!("r8  {:016x} r9  {:016x} r10 {:016x} r11 {:016x}", self.r8, self.r9, self.r10, self.r11);
        libos_base::error!("r12 {:016x} r13 {:016x} r14 {:016x} r15 {:016x}", self.r12, self.r13, self.r14, self.r15);
    }
}

impl SyscallFrame {
    /// The program's stack pointer after the call.
    pub fn sp(&self) -> usize {
        self.rsp as usize
    }
}
