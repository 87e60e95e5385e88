//! What a CPU does when it has nothing to run.

use super::hw;
use super::run::{Leaving, schedule};
use super::this_cpu;
#[cfg(unibody_kernel)]
use core::sync::atomic::Ordering::Relaxed;
use libos_base::percpu::{preempt_disable, preempt_enable};
use libos_base::time::monotonic_ns;

/// Runs threads on this CPU forever; the caller becomes its idle thread. `init` or `init_cpu` came before.
pub fn idle(id: usize) -> ! {
    hw::disable_interrupts();
    #[cfg(unibody_kernel)]
    {
        debug_assert!(id == hw::cpu_id());
        // Until now there was no switching on this CPU.
        hw::head().preempt_count.store(0, Relaxed);
    }
    let _ = id;
    loop {
        schedule(Leaving::Parked);
        super::load::look(monotonic_ns);
        // While it sleeps, this CPU need not be woken to forget translations. The interrupt that ends the sleep must not
        // switch to a thread before this CPU has caught up.
        preempt_disable();
        crate::mm::tlb::idle_enter();
        // Interrupts are off: from here on, enqueueing a thread sends an interrupt, which ends the halt.
        if this_cpu().run.lock().queue.len() == 0 {
            hw::halt_until_interrupt();
        }
        hw::disable_interrupts();
        crate::mm::tlb::idle_exit();
        preempt_enable();
    }
}
