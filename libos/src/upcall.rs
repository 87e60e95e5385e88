//! The answers to upcalls from the crates below and from `arch`.
//! Floor: answers.

use crate::arch::{self, TrapFrame, clock};
use crate::{boot, crash, entropy, entry, log, mm, sched, syscall};
use libos_base::Result;
use libos_base::thread::Job;

libos_base::define_kernel! {
    current_thread => sched::current_arc;
    park => sched::park::park;
    spawn => spawn;
    preempt => sched::preempt;
    monotonic_ns => clock::monotonic_ns;
    realtime_ns => clock::realtime_ns;
    log => log::write;
    fill_random => entropy::fill;
    copy => arch::user::copy;
    program_range => mm::image::program_range;
    surely_program => mm::image::surely_program;
    memory_low => mm::memory_low;
    memory_available => mm::memory_available;
    write_protect => mm::rmap::write_protect;
    unmap => mm::rmap::unmap;
    unmap_untouched => mm::rmap::unmap_untouched;
}

define_entry! {
    start => boot::start;
    run_cpu => sched::run_cpu;
    timer_interrupt => timer_interrupt;
    reschedule_interrupt => sched::on_reschedule_ipi;
    flush_interrupt => mm::tlb::on_ipi;
    preempt_from_interrupt => sched::preempt_from_interrupt;
    page_fault => entry::fault::page_fault;
    program_fault => entry::fault::program_fault;
    fatal_signal => crash::fatal_signal;
    kernel_fault => crash::kernel_fault;
    exit_work => entry::exit_work;
    enter_program => enter_program;
    sigreturn => entry::sigreturn;
    not_linked => syscall::not_linked;
}

fn spawn(name: &'static str, job: Job) -> Result<()> {
    sched::spawn_kernel(name, job).map(|_| ())
}

fn timer_interrupt() {
    #[cfg(debug_assertions)]
    crash::plant::in_interrupt();
    sched::timer::on_interrupt();
}

fn enter_program(regs: TrapFrame) -> ! {
    entry::enter_program(regs, None)
}
