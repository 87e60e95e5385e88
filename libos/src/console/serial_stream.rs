//! The program's standard streams on COM1.

use crate::devices;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use drivers::serial;
use libos_base::poll::{Events, Pollee};
use libos_base::sync::{IrqSpinLock, WaitQueue, class};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result, thread};
use libos_fs::console::Stream;

/// Bytes typed ahead that are kept.
const TYPE_AHEAD: usize = 4096;
/// COM1's wired interrupt.
const COM1_GSI: u32 = 4;

/// COM1 as a stream. Output is written at once; input comes by interrupt.
pub struct SerialStream;

static INPUT: IrqSpinLock<VecDeque<u8>> = IrqSpinLock::new(class::SERIAL_INPUT, VecDeque::new());
static WATCHERS: Pollee = Pollee::new();
static ARRIVED: WaitQueue = WaitQueue::new();

/// Connects the interrupt and starts the thread that notifies watchers.
pub fn start() -> Result<()> {
    INPUT.lock().reserve(TYPE_AHEAD);
    if devices::wire(COM1_GSI, Box::new(on_interrupt), false, false).is_none() {
        libos_base::warn!("COM1 has no interrupt: no standard input");
    }
    serial::enable_receive_interrupt();
    thread::spawn("serial", || {
        let mut seen = 0;
        loop {
            let have = ARRIVED.wait(FOREVER, false, || {
                let n = INPUT.lock().len();
                (n != seen || super::has_deferred()).then_some(n)
            });
            super::deliver_deferred();
            seen = have.unwrap_or(0);
            WATCHERS.notify(Events::IN);
            super::tty::look();
        }
    })?;
    Ok(())
}

/// Wakes the serial thread to look for work.
pub fn wake() {
    ARRIVED.wake_all();
}

/// Interrupt context: only takes the bytes.
fn on_interrupt() {
    let mut input = INPUT.lock();
    while let Some(b) = serial::read() {
        if input.len() < TYPE_AHEAD {
            input.push_back(b);
        }
    }
    drop(input);
    ARRIVED.wake_all();
}

impl Stream for SerialStream {
    fn read(&self, buf: &mut [u8]) -> Result<usize> {
        let mut input = INPUT.lock();
        let n = buf.len().min(input.len());
        if n == 0 && !buf.is_empty() {
            return Err(Errno::EAGAIN);
        }
        for b in &mut buf[..n] {
            *b = input.pop_front().expect("counted");
        }
        drop(input);
        ARRIVED.wake_all();
        Ok(n)
    }

    fn write(&self, buf: &[u8]) -> Result<usize> {
        let n = buf.len().min(512);
        serial::write(&buf[..n]);
        Ok(n)
    }

    fn ready(&self) -> Events {
        if INPUT.lock().is_empty() { Events::OUT } else { Events::OUT | Events::IN }
    }

    fn pollee(&self) -> &Pollee {
        &WATCHERS
    }
}
