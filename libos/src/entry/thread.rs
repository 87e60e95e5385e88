//! How the program's threads begin.

use crate::arch::TrapFrame;
use crate::sched::{self, Thread};
use alloc::sync::Arc;
use libos_base::{Errno, Result};

/// Makes a program thread that begins with `regs`. `prepare` may change the thread before it runs. EAGAIN.
pub fn clone_thread(
    tid: Option<u32>,
    regs: TrapFrame,
    tls: usize,
    prepare: impl FnOnce(&Thread) -> Result<()>,
) -> Result<Arc<Thread>> {
    let made = sched::spawn_program(tid, begin, regs, tls, prepare);
    made.map_err(|e| if e == Errno::ENOMEM { Errno::EAGAIN } else { e })
}

/// Starts the program's main thread at `entry` with stack pointer `sp`, as the kernel's ELF loader would.
pub fn start_main(entry: usize, sp: usize) -> Result<()> {
    let prepare = |t: &Thread| {
        t.set_name(b"main");
        Ok(())
    };
    clone_thread(Some(sched::PID), TrapFrame::starting(entry, sp), 0, prepare).map(|_| ())
}

extern "C" fn begin(argument: usize) -> ! {
    // SAFETY: the registers that `clone_thread` passed, for this thread alone.
    let regs = unsafe { (argument as *const TrapFrame).read() };
    super::enter_program(regs, None)
}
