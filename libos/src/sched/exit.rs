//! The end of threads, and of the program.

use super::hw;
use super::run::{Leaving, schedule};
use super::thread::{Thread, current};
use super::{Unpark, for_each_thread, table};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering::*};
use libos_base::sync::check;
use libos_base::time;

static EXITING: AtomicBool = AtomicBool::new(false);
/// What the main thread ended with; the process's status if no one says another (as Linux: the leader's).
static MAIN_STATUS: AtomicI32 = AtomicI32::new(0);

/// How long `exit_group` waits for the other threads to leave the program.
const STOP_NS: u64 = 200_000_000;

/// Whether the program is ending.
pub fn exiting() -> bool {
    EXITING.load(SeqCst)
}

/// Ends the running kernel thread, or what is left of a program thread.
pub fn exit_thread() -> ! {
    check::nothing_held("a thread's end");
    let me = current();
    table::remove(me);
    me.finished.store(true, SeqCst);
    super::spawn::FINISHED.wake_all();
    hw::disable_interrupts();
    me.dead.store(true, Relaxed);
    schedule(Leaving::Dead);
    unreachable!("a dead thread ran")
}

/// After the last switch away from `t`: nobody stands on its stack any more. Interrupts off.
pub(super) fn bury(t: Arc<Thread>) {
    free_stack(&t);
}

/// Gives the kernel stack back.
pub(super) fn free_stack(t: &Thread) {
    // SAFETY: the thread never ran or never will again; see `Thread`'s Sync.
    let stack = unsafe { (*t.stack.get()).take() };
    #[cfg(unibody_kernel)]
    if let Some(s) = stack {
        crate::mm::kstack::free(s);
    }
    #[cfg(not(unibody_kernel))]
    let _ = stack;
}

/// `exit`: ends the running program thread; the last one ends the program. Whatever touches program memory
/// (robust list, thread id word) was done.
pub fn exit_program_thread(status: i32) -> ! {
    let me = current();
    if me.tid == super::PID {
        MAIN_STATUS.store(status & 0xff, SeqCst);
    }
    if table::remove(me) == 0 && !EXITING.swap(true, SeqCst) {
        end(MAIN_STATUS.load(SeqCst));
    }
    exit_thread()
}

/// `exit_group`, and the end by a signal: stops the other threads and ends the machine. `status` as a shell shows it.
pub fn exit_process(status: i32) -> ! {
    if EXITING.swap(true, SeqCst) {
        // Another thread was first; its status counts.
        exit_thread();
    }
    stop_others();
    end(status)
}

/// Makes every other program thread end, and waits a moment for it. They run no program code after that, unless they
/// are stuck in the kernel.
pub fn stop_others() {
    let me = current();
    for_each_thread(|t| {
        if t.is_program && !core::ptr::eq(&**t, me) {
            t.signals.killed.store(true, SeqCst);
            t.interrupt();
            super::poke(t);
        }
    });
    let deadline = time::after(STOP_NS);
    let own = me.is_program as usize;
    while super::program_threads() > own && time::monotonic_ns() < deadline {
        super::park::park(time::after(500_000), false);
    }
}

#[cfg(unibody_kernel)]
fn end(status: i32) -> ! {
    crate::exit::process(status)
}
#[cfg(not(unibody_kernel))]
fn end(status: i32) -> ! {
    std::process::exit(status)
}
