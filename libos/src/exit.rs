//! The end: output delivered, status told, power off.

use core::sync::atomic::{AtomicBool, Ordering};
use libos_base::sync::Provider;
use libos_base::thread::FOREVER;
use libos_base::time;
use unibody_proto::control::FromGuest;

/// How long undelivered output may hold up the end.
const DRAIN_NS: u64 = 5 * time::NS;

/// How long peers may take to get what the program has sent. A deadline is the argument; set by images with a network.
pub static CLOSE_SOCKETS: Provider<fn(u64)> = Provider::new();
const DELIVER_NS: u64 = 3 * time::NS;

/// Ends the machine with a program's exit status (as a shell shows it). The other program threads have stopped.
pub fn process(status: i32) -> ! {
    libos_base::debug!("exit status {status}");
    crate::console::drain(time::after(DRAIN_NS));
    if let Some(close) = CLOSE_SOCKETS.get() {
        close(time::after(DELIVER_NS));
    }
    close_files();
    crate::control::send(&FromGuest::Exit(status as u8));
    crate::console::drain(time::after(DRAIN_NS));
    power_off()
}

/// What was written to files outlives the program, however it ended: the first to come here writes it out. Waits;
/// the others never come back.
pub fn close_files() {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    let Some(close) = libos_fs::sync::at_end() else { return };
    if BEGUN.swap(true, Ordering::Relaxed) {
        loop {
            libos_base::thread::park(FOREVER, false);
        }
    }
    crate::mm::open_reserve();
    close();
}

/// The same from a crash report: interrupts are off, locks may be held for ever, only polling works.
pub fn after_crash(status: i32, signo: i32, what: &str) -> ! {
    crate::control::send_polled(&FromGuest::Crash { signal: signo as u8, reason: what.as_bytes() });
    crate::control::send_polled(&FromGuest::Exit(status as u8));
    power_off()
}

fn power_off() -> ! {
    crate::arch::cpu::disable_interrupts();
    crate::devices::power_off();
    crate::console::serial_write(b"unibody: halted\r\n");
    crate::arch::cpu::stop()
}
