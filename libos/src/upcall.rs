//! The answers to upcalls from the crates below and from `arch`.
//! Floor: answers.

use crate::arch::fault::{Fault, PageFault};
use crate::arch::upcall::{Entry, ExitContext};
use crate::arch::{self, TrapFrame, boot_info::BootInfo, clock};
use crate::{boot, crash, entropy, entry, log, mm, sched, syscall};
use alloc::sync::Arc;
use core::fmt::Arguments;
use core::ops::Range;
use libos_base::Result;
use libos_base::log::Level;
use libos_base::rmap::Mappings;
use libos_base::thread::{Job, Park, Wake};
use libos_base::upcall::Kernel;

struct This;
libos_base::define_kernel!(This);

impl Kernel for This {
    fn current_thread() -> Arc<dyn Park> {
        sched::current_arc()
    }
    fn park(deadline_ns: u64, interruptible: bool) -> Wake {
        sched::park::park(deadline_ns, interruptible)
    }
    fn spawn(name: &'static str, job: Job) -> Result<()> {
        sched::spawn_kernel(name, job).map(|_| ())
    }
    fn preempt() {
        sched::preempt();
    }
    fn monotonic_ns() -> u64 {
        clock::monotonic_ns()
    }
    fn realtime_ns() -> u64 {
        clock::realtime_ns()
    }
    fn log(level: Level, line: Arguments<'_>) {
        log::write(level, line);
    }
    fn fill_random(buf: &mut [u8]) {
        entropy::fill(buf);
    }
    unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) -> usize {
        // SAFETY: the caller's.
        unsafe { arch::user::copy(dst, src, len) }
    }
    fn program_range(addr: usize, len: usize) -> bool {
        mm::image::program_range(addr, len)
    }
    fn memory_low() -> bool {
        mm::memory_low()
    }
    fn memory_available() -> usize {
        mm::memory_available()
    }
    fn write_protect(file: &Mappings, pages: Range<u64>) {
        mm::rmap::write_protect(file, pages);
    }
    fn unmap(file: &Mappings) {
        mm::rmap::unmap(file);
    }
    fn unmap_untouched(want: usize) {
        mm::rmap::unmap_untouched(want);
    }
}

define_entry!(This);

impl Entry for This {
    fn start(info: &'static mut BootInfo) -> ! {
        boot::start(info)
    }
    fn run_cpu(number: usize) -> ! {
        sched::run_cpu(number)
    }
    fn timer_interrupt() {
        #[cfg(debug_assertions)]
        crash::plant::in_interrupt();
        sched::timer::on_interrupt();
    }
    fn reschedule_interrupt() {
        sched::on_reschedule_ipi();
    }
    fn flush_interrupt() {
        mm::tlb::on_ipi();
    }
    fn preempt_from_interrupt() {
        sched::preempt_from_interrupt();
    }
    fn page_fault(fault: &PageFault) -> core::result::Result<(), Fault> {
        entry::fault::page_fault(fault)
    }
    fn program_fault(context: &mut ExitContext<'_>, fault: Fault) {
        entry::fault::program_fault(context, fault);
    }
    fn fatal_signal(signo: i32, regs: &TrapFrame, what: &'static str, addr: usize) -> ! {
        crash::fatal_signal(signo, regs, what, addr)
    }
    fn kernel_fault(regs: &TrapFrame, what: &'static str, addr: usize) -> ! {
        crash::kernel_fault(regs, what, addr)
    }
    fn exit_work(context: &mut ExitContext<'_>) -> bool {
        entry::exit_work(context)
    }
    fn enter_program(regs: TrapFrame) -> ! {
        entry::enter_program(regs, None)
    }
    fn sigreturn(uc: usize, area: &'static mut [u8]) -> ! {
        entry::sigreturn(uc, area)
    }
    fn not_linked(number: usize) {
        syscall::not_linked(number);
    }
}
