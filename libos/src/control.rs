//! The control protocol's guest side: tells the host what happens, takes signals from it.

use crate::console;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use libos_base::sync::{SpinLock, class};
use unibody_proto::control::{FromGuest, FromHost, LineReader, VERSION};
use unibody_proto::port;

static LINES: SpinLock<LineReader> = SpinLock::new(class::CONTROL_LINES, LineReader::new());

/// Tells the host, if somebody listens.
pub fn send(message: &FromGuest<'_>) {
    console::write_port(port::CONTROL, message.encode().as_bytes());
}

/// The same from a crash report.
pub fn send_polled(message: &FromGuest<'_>) {
    console::write_port_polled(port::CONTROL, message.encode().as_bytes());
}

/// The first line.
pub fn hello() {
    send(&FromGuest::Hello { version: VERSION, name: b"program" });
}

/// The thread whose next wait is told: its id, 0 for none.
static WATCHED: AtomicU32 = AtomicU32::new(0);
/// The console thread is to tell it.
static WAITS: AtomicBool = AtomicBool::new(false);

/// The running thread listens. Listening is not serving yet: a signal that comes between the two would be taken before
/// the program's loop looks for it.
pub fn listens(message: &FromGuest<'_>) {
    send(message);
    WATCHED.store(crate::sched::current().tid, Relaxed);
}

/// The running thread is about to wait, for something that a signal would interrupt. Called before it has begun to:
/// the console thread may be woken.
#[inline]
pub fn before_wait(tid: u32) {
    if WATCHED.load(Relaxed) == tid {
        WATCHED.store(0, Relaxed);
        WAITS.store(true, Relaxed);
        // Not sent from here: sending may wait, which would use up the wake-up that this thread is waiting for.
        console::wake();
    }
}

/// Tells that the program waits, if it has begun to. The console thread.
pub fn tell() {
    if WAITS.swap(false, Relaxed) {
        send(&FromGuest::Waits);
    }
}

/// Bytes from the host. Called by the console thread only.
pub fn receive(bytes: &[u8]) {
    // Requests are kept back until the lock is free: carrying one out may take other locks.
    let mut requests = alloc::vec::Vec::new();
    LINES.lock().feed(bytes, |line| requests.push(FromHost::parse(line)));
    requests.into_iter().for_each(carry_out);
}

/// Does what the host asks for.
pub fn carry_out(request: Option<FromHost>) {
    match request {
        Some(FromHost::Kill(signo)) => crate::signal::post_process(signo as i32),
        Some(FromHost::StdinEnd(total)) => console::end_stdin_after(total),
        Some(FromHost::Window(rows, cols)) => console::set_window(rows, cols),
        Some(FromHost::Clock(ns)) => crate::wallclock::told(ns),
        Some(FromHost::OutputFailed(stream, errno)) => console::output_failed(stream, errno),
        None => libos_base::warn!("control: a line that is not understood"),
    }
}
