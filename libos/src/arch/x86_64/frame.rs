//! The saved registers of a thread that is not running program code.

/// What an interrupt, exception or resume saves and restores. Assembly in `trap.rs` depends on the order.
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
/// the callee must preserve, the arguments and the return address are all there is. Assembly in `syscall_entry.rs`
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
            rflags: RFLAGS_IF | RFLAGS_FIXED,
            cs: super::gdt::CODE as u64,
            ss: super::gdt::DATA as u64,
            ..Self::default()
        }
    }
}
