//! The end of a thread, of the program, of the machine: output is delivered, the status reported, the power switched
//! off.
//! Floor: exit.

use crate::arch::cpu;
use crate::console::{self, control};
use crate::{devices, mm, sched};
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering::*};
use drivers::serial;
use libos_base::sync::Provider;
use libos_base::thread::FOREVER;
use libos_base::time;
use unibody_proto::control::FromGuest;

/// How long undelivered output may hold up the end.
const DRAIN_NS: u64 = 5 * time::NS;

/// Closes sockets; peers have until the deadline it is given to get what the program sent. Set by images with a
/// network.
pub static CLOSE_SOCKETS: Provider<fn(u64)> = Provider::new();
const DELIVER_NS: u64 = 3 * time::NS;

/// The main thread's status, which is the process's unless someone sets another (as on Linux: the leader's).
static MAIN_STATUS: AtomicI32 = AtomicI32::new(0);

/// `exit`: ends the running program thread; the last one ends the program. Everything that touches program memory
/// (robust list, thread id word) has been done.
pub fn thread(status: i32) -> ! {
    if sched::current().tid == sched::PID {
        MAIN_STATUS.store(status & 0xff, SeqCst);
    }
    if sched::leave_program() {
        machine(MAIN_STATUS.load(SeqCst));
    }
    sched::exit_thread()
}

/// `exit_group`, or death by a signal: stops the other threads and ends the machine. `status` as a shell shows it.
pub fn group(status: i32) -> ! {
    if !sched::begin_exit() {
        // Another thread was first; its status counts.
        sched::exit_thread();
    }
    sched::stop_others();
    machine(status)
}

/// Ends the machine with a program's exit status (as a shell shows it). The other program threads have stopped.
pub fn machine(status: i32) -> ! {
    libos_base::debug!("exit status {status}");
    console::drain(time::after(DRAIN_NS));
    if let Some(close) = CLOSE_SOCKETS.get() {
        close(time::after(DELIVER_NS));
    }
    close_files();
    control::send(&FromGuest::Exit(status as u8));
    console::drain(time::after(DRAIN_NS));
    power_off()
}

/// Data written to files outlives the program, however it ended: the first caller writes it out. Waits; the others
/// never return.
pub fn close_files() {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    let Some(close) = libos_fs::sync::at_end() else { return };
    if BEGUN.swap(true, Relaxed) {
        loop {
            libos_base::thread::park(FOREVER, false);
        }
    }
    mm::open_reserve();
    close();
}

/// The same from a crash report: interrupts are off, locks may be held forever, only polling works.
pub fn after_crash(status: i32, signo: i32, what: &str) -> ! {
    control::send_polled(&FromGuest::Crash { signal: signo as u8, reason: what.as_bytes() });
    control::send_polled(&FromGuest::Exit(status as u8));
    power_off()
}

fn power_off() -> ! {
    libos_base::percpu::disable_interrupts();
    devices::power_off();
    serial::write(b"unibody: halted\r\n");
    cpu::stop()
}
