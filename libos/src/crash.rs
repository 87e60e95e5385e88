//! The crash report: reason, thread, registers, backtrace. Then the machine ends with a status that says so.
//!
//! Addresses are printed as `<0xADDR>`, the address in the ELF file (the image runs at a random base): `unibody run`
//! puts the symbol's name beside each, and `addr2line -e IMAGE 0xADDR` does the same by hand.

use crate::arch::frame::TrapFrame;
use crate::arch::{backtrace, cpu};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static IN_PROGRESS: AtomicBool = AtomicBool::new(false);
/// Difference between run-time and ELF addresses of the image.
static IMAGE_DELTA: AtomicUsize = AtomicUsize::new(0);
static IMAGE_END: AtomicUsize = AtomicUsize::new(0);

/// Image base at run time, end at run time, and the address the image was linked at.
pub fn set_image(base: usize, end: usize, linked_at: usize) {
    IMAGE_DELTA.store(base - linked_at, Ordering::Relaxed);
    IMAGE_END.store(end, Ordering::Relaxed);
}

/// A code address for people and for the host's symboliser.
pub struct Address(pub usize);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delta = IMAGE_DELTA.load(Ordering::Relaxed);
        if self.0 >= delta && self.0 < IMAGE_END.load(Ordering::Relaxed) {
            write!(f, "<{:#x}>", self.0 - delta)
        } else {
            write!(f, "{:#x} (outside the image)", self.0)
        }
    }
}

/// Whether an address lies in the kernel's own code.
pub fn in_kernel_text(addr: usize) -> bool {
    unsafe extern "C" {
        static __ktext_start: u8;
        static __ktext_end: u8;
    }
    addr >= &raw const __ktext_start as usize && addr < &raw const __ktext_end as usize
}

/// Whether a report is being printed.
pub fn in_progress() -> bool {
    IN_PROGRESS.load(Ordering::Relaxed)
}

/// The kernel itself went wrong.
pub fn kernel_fault(regs: &TrapFrame, what: &str, addr: usize) -> ! {
    begin();
    libos_base::error!("kernel crash: {what} at {addr:#x} (error {:#x})", regs.error);
    report(regs);
    #[cfg(debug_assertions)]
    crate::debug::report_held();
    finish(139, 11, what)
}

/// The program died of a signal (fault, abort, unhandled signal). `regs`: its registers.
pub fn fatal_signal(signo: i32, regs: &TrapFrame, what: &str, addr: usize) -> ! {
    if libos_fs::sync::at_end().is_some() {
        crate::sched::stop_others();
        crate::exit::close_files();
    }
    begin();
    let name = crate::signal::name(signo);
    libos_base::error!("program killed by {name}: {what} at {addr:#x}");
    report(regs);
    finish(128 + signo, signo, what)
}

/// Only one CPU reports; the others stop.
fn begin() {
    libos_base::sync::check::stop();
    cpu::disable_interrupts();
    if IN_PROGRESS.swap(true, Ordering::SeqCst) {
        cpu::stop();
    }
    crate::arch::apic::send_nmi_to_others();
    crate::log::enter_crash_mode();
}

fn report(r: &TrapFrame) {
    let (tid, name) = crate::sched::describe_current();
    libos_base::error!("thread {tid} ({name}) on CPU {}", cpu::id());
    libos_base::error!("rip {} rflags {:#x}", Address(r.rip as usize), r.rflags);
    libos_base::error!("rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}", r.rax, r.rbx, r.rcx, r.rdx);
    libos_base::error!("rsi {:016x} rdi {:016x} rbp {:016x} rsp {:016x}", r.rsi, r.rdi, r.rbp, r.rsp);
    libos_base::error!("r8  {:016x} r9  {:016x} r10 {:016x} r11 {:016x}", r.r8, r.r9, r.r10, r.r11);
    libos_base::error!("r12 {:016x} r13 {:016x} r14 {:016x} r15 {:016x}", r.r12, r.r13, r.r14, r.r15);
    libos_base::error!("backtrace:");
    let mut n = 0;
    let mut line = |addr: u64| {
        libos_base::error!("  #{n} {}", Address(addr as usize));
        n += 1;
    };
    line(r.rip);
    backtrace::walk(r.rbp, line);
}

fn finish(status: i32, signo: i32, what: &str) -> ! {
    crate::exit::after_crash(status, signo, what)
}

/// A lock was used against the rules. First where `held` was taken, then where this is.
#[cfg(debug_assertions)]
pub fn lock_fault(what: fmt::Arguments<'_>, held: &libos_base::sync::check::Entry) -> ! {
    begin();
    libos_base::error!("kernel panic: {what}");
    crate::debug::report(held);
    report(&here());
    finish(134, 6, "kernel panic")
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    begin();
    libos_base::error!("kernel panic: {}", info.message());
    if let Some(l) = info.location() {
        libos_base::error!("at {}:{}", l.file(), l.line());
    }
    report(&here());
    #[cfg(debug_assertions)]
    crate::debug::report_held();
    finish(134, 6, "kernel panic")
}

/// The caller's registers, as far as a backtrace needs them.
#[inline(always)]
fn here() -> TrapFrame {
    let (rbp, rsp): (u64, u64);
    // SAFETY: reads two registers.
    unsafe { core::arch::asm!("mov {}, rbp", "mov {}, rsp", out(reg) rbp, out(reg) rsp) };
    TrapFrame { rip: panic as *const () as u64, rbp, rsp, ..TrapFrame::default() }
}

// The prebuilt `core` and `alloc` carry unwind tables that refer to these; panics abort, so they never run.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    panic!("unwinding in the kernel")
}
