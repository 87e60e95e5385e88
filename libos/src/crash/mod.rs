//! The crash report: reason, thread, registers, backtrace. Then the machine ends with a status that says so.
//! Floor: crash.
//!
//! Addresses are printed as `<0xADDR>`, the address in the ELF file (the image runs at a random base): `unibody run`
//! puts the symbol's name beside each, and `addr2line -e IMAGE 0xADDR` does the same by hand.

#[cfg(debug_assertions)]
mod held;
#[cfg(debug_assertions)]
#[path = "tests/plant.rs"]
pub mod plant;

use crate::arch::image::Address;
use crate::arch::{TrapFrame, backtrace, cpu, ipi};
use crate::{exit, log, mm, sched};
use core::sync::atomic::{AtomicBool, Ordering};
use libos_base::abi::signal::name;

static IN_PROGRESS: AtomicBool = AtomicBool::new(false);

/// Reports a fault of the kernel itself.
pub fn kernel_fault(regs: &TrapFrame, what: &str, addr: usize) -> ! {
    begin();
    libos_base::error!("kernel crash: {what} at {addr:#x} (error {:#x})", regs.error);
    report(regs);
    #[cfg(debug_assertions)]
    held::report_all();
    exit::after_crash(139, 11, what)
}

/// The program died of a signal (fault, abort, unhandled signal). `regs`: its registers.
pub fn fatal_signal(signo: i32, regs: &TrapFrame, what: &str, addr: usize) -> ! {
    if libos_fs::sync::at_end().is_some() {
        sched::stop_others();
        exit::close_files();
    }
    begin();
    libos_base::error!("program killed by {}: {what} at {addr:#x}", name(signo));
    report(regs);
    exit::after_crash(128 + signo, signo, what)
}

/// Only one CPU reports; the others stop.
fn begin() {
    libos_base::sync::check::stop();
    libos_base::percpu::disable_interrupts();
    if IN_PROGRESS.swap(true, Ordering::SeqCst) {
        cpu::stop();
    }
    ipi::stop_others();
    log::enter_crash_mode();
}

fn report(regs: &TrapFrame) {
    let (tid, thread) = sched::describe_current();
    libos_base::error!("thread {tid} ({thread}) on CPU {}", cpu::id());
    regs.print();
    libos_base::error!("backtrace:");
    let mut n = 0;
    let mut line = |addr: usize| {
        libos_base::error!("  #{n} {}", Address(addr));
        n += 1;
    };
    line(regs.ip());
    backtrace::walk(regs.fp(), mm::is_mapped, |addr| line(addr as usize));
}

/// Reports a lock used against the rules: first where `held` was taken, then where this happened.
#[cfg(debug_assertions)]
fn lock_fault(what: core::fmt::Arguments<'_>, held: &libos_base::sync::check::Entry) -> ! {
    begin();
    libos_base::error!("kernel panic: {what}");
    held::report(held);
    report(&cpu::here(panic as *const () as usize));
    exit::after_crash(134, 6, "kernel panic")
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    begin();
    libos_base::error!("kernel panic: {}", info.message());
    if let Some(l) = info.location() {
        libos_base::error!("at {}:{}", l.file(), l.line());
    }
    report(&cpu::here(panic as *const () as usize));
    #[cfg(debug_assertions)]
    held::report_all();
    exit::after_crash(134, 6, "kernel panic")
}

// The prebuilt `core` and `alloc` carry unwind tables that refer to these; panics abort, so they never run.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    panic!("unwinding in the kernel")
}
