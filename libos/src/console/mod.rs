//! The three streams: program output, kernel log, control. Each has a device of its own where the VMM offers a
//! virtio-console with named ports; else the program shares COM1 with the log, and there is no control.

mod ports;
mod serial;
mod serial_stream;

pub use ports::{add_device, drain, end_stdin_after, write_port, write_port_polled};
pub use serial::write as serial_write;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicI32, Ordering};
use libos_base::Result;
use libos_fs::console::Stream;

/// A signal for the program that an interrupt handler asked for; 0: none.
static DEFERRED: AtomicI32 = AtomicI32::new(0);

/// Sends the program a signal, from an interrupt handler: the console's thread does it.
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
        crate::signal::post_process(signo);
    }
}

/// Gives the program its descriptors 0, 1 and 2. `control`: somebody on the host listens, so its ports are waited for.
pub fn init(control: bool) -> Result<()> {
    let (input, output, errors): (Arc<dyn Stream>, Arc<dyn Stream>, Arc<dyn Stream>) = match ports::open(control)? {
        Some((stdio, stderr)) => (stdio.clone(), stdio, stderr),
        None => {
            serial_stream::start()?;
            let s = Arc::new(serial_stream::SerialStream);
            (s.clone(), s.clone(), s)
        }
    };
    libos_fs::console::attach(libos_fs::process(), input, output, errors)
}
