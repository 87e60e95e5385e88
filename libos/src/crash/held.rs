//! Debug kernel only: the sets of held locks, and the report when a lock is used against the rules of
//! [`libos_base::sync::check`].

use super::plant;
use crate::arch::MAX_CPUS;
use crate::arch::cpu;
use crate::arch::image::Address;
use crate::sched;
use core::cell::UnsafeCell;
use core::fmt;
use libos_base::sync::check::{self, Entry, Held, LockCheck};

/// The set of a CPU where the scheduler is not running yet.
struct Early(UnsafeCell<Held>);
// SAFETY: used by its CPU alone, with interrupts off.
unsafe impl Sync for Early {}
static EARLY: [Early; MAX_CPUS] = [const { Early(UnsafeCell::new(Held::new())) }; MAX_CPUS];

struct This;
libos_base::define_lock_check!(This);

impl LockCheck for This {
    fn held() -> *mut Held {
        sched::try_current().map_or_else(|| EARLY[cpu::id()].0.get(), |thread| thread.held.get())
    }
    fn fault(what: fmt::Arguments<'_>, held: &Entry) -> ! {
        super::lock_fault(what, held)
    }
}

/// For the crash report: every lock that this thread holds, and where it was taken.
pub fn report_all() {
    // SAFETY: this thread's own; it reports and takes no more locks that are checked.
    unsafe { &*check::held() }.all().iter().for_each(report);
}

/// Reports one of them.
pub fn report(held: &Entry) {
    libos_base::error!("{held}:");
    for (n, call) in held.stack().enumerate() {
        libos_base::error!("  #{n} {}", Address(call));
    }
}

/// Called on the way out of each call (`arch`).
#[unsafe(no_mangle)]
extern "C" fn libos_leaving(result: i64) -> i64 {
    plant::in_call();
    check::nothing_held("the exit to the program");
    result
}
