//! The kernel log: a ring of the last lines, and COM1.
//! Floor: memory.

use crate::arch::clock;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use drivers::serial;
use libos_base::log::Level;
use libos_base::sync::{IrqSpinLock, class};

/// Bytes kept for live inspection, as `dmesg` shows them. Nothing in the guest reads them.
const RING: usize = 8 << 10;

struct Ring {
    next: usize,
}

static LOG: IrqSpinLock<Ring> = IrqSpinLock::new(class::LOG, Ring { next: 0 });
/// Outside the lock's static, so that it costs no space in the file.
static BYTES: [AtomicU8; RING] = [const { AtomicU8::new(0) }; RING];
static LEVEL: AtomicU8 = AtomicU8::new(Level::Warn as u8);
static CRASH: AtomicBool = AtomicBool::new(false);

/// Lines above this level are kept in the ring but not shown.
pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// From now on only one CPU prints, whatever locks were held.
pub fn enter_crash_mode() {
    CRASH.store(true, Ordering::SeqCst);
    // SAFETY: the other CPUs were told to stop; a torn ring line is better than silence.
    unsafe { LOG.force_unlock() };
}

struct Out<'a> {
    ring: &'a mut Ring,
    show: bool,
}

impl Write for Out<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for &b in s.as_bytes() {
            BYTES[self.ring.next % RING].store(b, Ordering::Relaxed);
            self.ring.next = self.ring.next.wrapping_add(1);
        }
        if self.show {
            serial::write(s.as_bytes());
        }
        Ok(())
    }
}

/// Writes one line.
pub fn write(level: Level, line: fmt::Arguments<'_>) {
    let ns = clock::monotonic_ns();
    let mut ring = LOG.lock();
    let show = level as u8 <= LEVEL.load(Ordering::Relaxed) || CRASH.load(Ordering::Relaxed);
    let word = match level {
        Level::Error => "error: ",
        Level::Warn => "warning: ",
        Level::Info | Level::Debug => "",
    };
    let mut out = Out { ring: &mut ring, show };
    let (s, us) = (ns / 1_000_000_000, ns / 1000 % 1_000_000);
    // Writing to the ring and the port cannot fail.
    let _ = writeln!(out, "[{s:3}.{us:06}] unibody: {word}{line}\r");
}
