//! The end of threads.

use super::hw;
use super::run::{Leaving, schedule};
use super::thread::{Thread, current};
use super::{Unpark, for_each_thread, table};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering::*};
use libos_base::sync::check;
use libos_base::time;

static EXITING: AtomicBool = AtomicBool::new(false);

/// How long `exit_group` waits for the other threads to leave the program.
const STOP_NS: u64 = 200_000_000;

/// Whether the program is ending.
pub(super) fn exiting() -> bool {
    EXITING.load(SeqCst)
}

/// Ends the running kernel thread, or what is left of a program thread.
pub fn exit_thread() -> ! {
    check::nothing_held("a thread's end");
    let me = current();
    table::remove(me);
    hw::disable_interrupts();
    me.dead.store(true, Relaxed);
    schedule(Leaving::Dead);
    unreachable!("a dead thread ran")
}

/// After the last switch away from `t`: its stack is no longer in use. Interrupts off.
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

/// Removes the running program thread from the table; returns whether it was the last and nothing else is ending the
/// program.
pub fn leave_program() -> bool {
    table::remove(current()) == 0 && begin_exit()
}

/// From now on the program is ending; false: it already was.
pub fn begin_exit() -> bool {
    !EXITING.swap(true, SeqCst)
}

/// Makes every other program thread end, and waits a moment for it. After that they run no program code, unless they
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
