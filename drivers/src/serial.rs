//! COM1, polled: the kernel log, and the program's streams where there is no virtio-console.

use crate::port::{in8, out8};
use core::sync::atomic::{AtomicU8, Ordering};

const COM1: u16 = 0x3f8;
const LINE_STATUS: u16 = COM1 + 5;
const UNKNOWN: u8 = 0;
const PRESENT: u8 = 1;
const ABSENT: u8 = 2;
static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

fn present() -> bool {
    let mut s = STATE.load(Ordering::Relaxed);
    if s == UNKNOWN {
        // SAFETY: COM1's registers: 8N1, FIFOs on, no interrupts. The scratch register tells whether there is a port.
        unsafe {
            out8(COM1 + 7, 0x5a);
            s = if in8(COM1 + 7) == 0x5a { PRESENT } else { ABSENT };
            if s == PRESENT {
                out8(COM1 + 1, 0);
                out8(COM1 + 3, 0x80);
                out8(COM1, 1);
                out8(COM1 + 1, 0);
                out8(COM1 + 3, 3);
                out8(COM1 + 2, 0xc7);
                out8(COM1 + 4, 0x0b);
            }
        }
        STATE.store(s, Ordering::Relaxed);
    }
    s == PRESENT
}

/// Writes all of it, waiting for the port; gives up on a port that never gets ready.
pub fn write(bytes: &[u8]) {
    if !present() {
        return;
    }
    for chunk in bytes.chunks(16) {
        let mut patience = 1_000_000u32;
        // SAFETY: COM1's status register.
        while unsafe { in8(LINE_STATUS) } & 0x20 == 0 {
            patience -= 1;
            if patience == 0 {
                STATE.store(ABSENT, Ordering::Relaxed);
                return;
            }
            core::hint::spin_loop();
        }
        // The transmit FIFO is empty: it takes 16 bytes.
        for &b in chunk {
            // SAFETY: COM1's data register.
            unsafe { out8(COM1, b) };
        }
    }
}

/// A received byte.
pub fn read() -> Option<u8> {
    // SAFETY: COM1's status and data registers.
    unsafe { (present() && in8(LINE_STATUS) & 1 != 0).then(|| in8(COM1)) }
}

/// Raises the port's interrupt when bytes arrive.
pub fn enable_receive_interrupt() {
    if present() {
        // SAFETY: COM1's interrupt enable register.
        unsafe { out8(COM1 + 1, 1) };
    }
}
