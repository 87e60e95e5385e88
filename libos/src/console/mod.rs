//! The three streams: program output, kernel log, control. Each has a device of its own where the VMM offers a
//! virtio-console with named ports; otherwise the program shares COM1 with the log, and there is no control.
//! Floor: streams.

pub mod control;
mod ports;
mod serial_stream;
mod tty;

pub use ports::{add_device, drain, end_stdin_after, output_failed, settle, wake, write_control, write_control_polled};
pub use tty::set_window;

use crate::params::Params;
use crate::signal;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicI32, Ordering};
use libos_base::Result;
use libos_fs::console::{self, OnTerminal, Stream};
use unibody_proto::terminal;

/// A signal that an interrupt handler wants sent to the program; 0: none.
static DEFERRED: AtomicI32 = AtomicI32::new(0);

/// Sends the program a signal from an interrupt handler; the console's thread does the work.
pub fn defer_signal(signo: i32) {
    DEFERRED.store(signo, Ordering::Release);
    ports::wake();
    serial_stream::wake();
}

fn has_deferred() -> bool {
    DEFERRED.load(Ordering::Acquire) != 0
}

fn deliver_deferred() {
    let signo = DEFERRED.swap(0, Ordering::AcqRel);
    if signo != 0 {
        signal::post_process(signo);
    }
}

/// The protocol on the control port. Only the console's thread calls these.
pub trait Control: 'static {
    /// The port is open.
    fn begin();
    /// Sends what is waiting to be sent.
    fn tell();
    /// Bytes from the host.
    fn receive(bytes: &[u8]);
}

/// Gives the program its descriptors 0, 1 and 2.
pub fn init<C: Control>(params: &Params) -> Result<()> {
    let tty = params.tty.as_deref();
    // If someone on the host is listening, its ports are waited for.
    let (stdio, stderr, terminal): (Arc<dyn Stream>, Arc<dyn Stream>, _) = match ports::open::<C>(params.control)? {
        Some((stdio, stderr)) => match tty {
            None => (stdio, stderr, OnTerminal::None),
            Some(terminal) if terminal::is_apart(terminal) => (stdio, stderr, OnTerminal::Two),
            Some(_) => (stdio.clone(), stdio, OnTerminal::All),
        },
        None => {
            serial_stream::start()?;
            let s = Arc::new(serial_stream::SerialStream);
            // A serial line is a terminal whose window size is unknown.
            (s.clone(), s, OnTerminal::All)
        }
    };
    let [rows, cols] = terminal::window(tty.unwrap_or_default());
    console::set_window([rows, cols, 0, 0]);
    console::attach(libos_fs::files(), stdio.clone(), stdio, stderr, terminal)
}
