//! The control protocol's guest side: tells the host what happens, takes signals from it.

use crate::console;
use libos_base::sync::{Rank, SpinLock};
use unibody_proto::control::{FromGuest, FromHost, LineReader, VERSION};
use unibody_proto::port;

static LINES: SpinLock<LineReader> = SpinLock::new(Rank::Table, LineReader::new());

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

/// Bytes from the host. Called by the console thread only.
pub fn receive(bytes: &[u8]) {
    // Requests are kept back until the lock is free: carrying one out may take other locks.
    let mut requests = alloc::vec::Vec::new();
    LINES.lock().feed(bytes, |line| requests.push(FromHost::parse(line)));
    for r in requests {
        match r {
            Some(FromHost::Kill(signo)) => crate::signal::post_process(signo as i32),
            Some(FromHost::StdinEnd(total)) => console::end_stdin_after(total),
            Some(FromHost::Window(rows, cols)) => console::set_window(rows, cols),
            Some(FromHost::Clock(ns)) => crate::wallclock::told(ns),
            None => libos_base::warn!("control: a line that is not understood"),
        }
    }
}
