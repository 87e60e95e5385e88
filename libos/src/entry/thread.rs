//! How the program's threads begin.

use crate::arch::TrapFrame;
use crate::sched::{self, Thread};
use alloc::boxed::Box;
use alloc::sync::Arc;
use libos_base::{Errno, Result};

/// Makes a program thread that begins with `regs`. `prepare` may change the thread before it runs. EAGAIN.
pub fn clone_thread(
    tid: Option<u32>,
    regs: TrapFrame,
    tls: usize,
    prepare: impl FnOnce(&Thread) -> Result<()>,
) -> Result<Arc<Thread>> {
    let argument = Box::into_raw(Box::new(regs));
    sched::spawn_program(tid, begin, argument as usize, tls, prepare).map_err(|e| {
        // SAFETY: made above; no thread received it.
        drop(unsafe { Box::from_raw(argument) });
        if e == Errno::ENOMEM { Errno::EAGAIN } else { e }
    })
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
    // SAFETY: made by `clone_thread` for this thread alone.
    let regs = *unsafe { Box::from_raw(argument as *mut TrapFrame) };
    super::enter_program(regs, None)
}
