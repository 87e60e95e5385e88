//! The control protocol's guest side: tells the host what happens, takes signals from it.

use crate::timer::wallclock;
use crate::{sched, signal};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use libos_base::sync::{SpinLock, class};
use unibody_proto::control::{FromGuest, FromHost, LineReader, VERSION};

static LINES: SpinLock<LineReader> = SpinLock::new(class::CONTROL_LINES, LineReader::new());

/// Sends a message to the host, if someone is listening there.
pub fn send(message: &FromGuest<'_>) {
    super::write_control(message.encode().as_bytes());
}

/// The same from a crash report.
pub fn send_polled(message: &FromGuest<'_>) {
    super::write_control_polled(message.encode().as_bytes());
}

/// Set when the console thread should report that the program waits.
static WAITS: AtomicBool = AtomicBool::new(false);

/// Reports that the running thread listens. It is not serving yet: a signal that comes now would be taken before the
/// program's loop looks for it. So its next wait is reported as well, by the console thread, since sending may wait.
pub fn listens(message: &FromGuest<'_>) {
    send(message);
    sched::park::tell_next_wait(&(waits as fn()));
}

fn waits() {
    WAITS.store(true, Relaxed);
    super::wake();
}

/// The console thread's part of the protocol.
pub struct Protocol;

impl super::Control for Protocol {
    fn begin() {
        send(&FromGuest::Hello { version: VERSION, name: b"program" });
        wallclock::ASK_HOST.provide(&((|| send(&FromGuest::Clock)) as fn()));
    }

    fn tell() {
        if WAITS.swap(false, Relaxed) {
            send(&FromGuest::Waits);
        }
    }

    fn receive(bytes: &[u8]) {
        // Requests are collected first: carrying one out may take other locks, so this one must be free by then.
        let mut requests = alloc::vec::Vec::new();
        LINES.lock().feed(bytes, |line| requests.push(FromHost::parse(line)));
        requests.into_iter().for_each(carry_out);
    }
}

/// Does what the host asked for.
pub fn carry_out(request: Option<FromHost>) {
    match request {
        Some(FromHost::Kill(signo)) => signal::post_process(signo as i32),
        Some(FromHost::StdinEnd(total)) => super::end_stdin_after(total),
        Some(FromHost::Window(rows, cols)) => super::set_window(rows, cols),
        Some(FromHost::Clock(ns)) => wallclock::set_by_host(ns),
        Some(FromHost::OutputFailed(stream, errno)) => super::output_failed(stream, errno),
        None => libos_base::warn!("control: a line that is not understood"),
    }
}
