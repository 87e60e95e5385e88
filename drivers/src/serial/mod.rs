//! 16550-compatible serial port, polled for output and interrupt-driven for input.

use crate::port;
use core::sync::atomic::{AtomicBool, Ordering};

/// COM1.
pub const COM1: u16 = 0x3f8;
/// ISA interrupt of COM1.
pub const COM1_IRQ: u8 = 4;

const DATA: u16 = 0;
const IER: u16 = 1;
const FCR: u16 = 2;
const LCR: u16 = 3;
const MCR: u16 = 4;
const LSR: u16 = 5;
const LSR_DATA: u8 = 1;
const LSR_EMPTY: u8 = 0x20;
const FIFO: usize = 16;
/// Looks at the status register before the other end counts as stuck: a tenth of a second or more.
const PATIENCE: u32 = 100_000;

/// A serial port. Methods take `&self`; callers keep lines whole with a lock of their own.
pub struct Uart16550 {
    base: u16,
    present: AtomicBool,
    /// The other end took nothing for `PATIENCE`: bytes are dropped without waiting until it does again.
    stuck: AtomicBool,
}

// Each access below is to a register of the UART whose base was given to `new`: it does no DMA.
impl Uart16550 {
    /// The UART at `base`; nothing is touched before [`Self::init`].
    ///
    /// # Safety
    /// `base .. base + 8` must be a UART's ports or unused ones.
    pub const unsafe fn new(base: u16) -> Self {
        Self { base, present: AtomicBool::new(false), stuck: AtomicBool::new(false) }
    }

    fn get(&self, reg: u16) -> u8 {
        // SAFETY: a register of this UART.
        unsafe { port::in8(self.base + reg) }
    }
    fn set(&self, reg: u16, v: u8) {
        // SAFETY: a register of this UART.
        unsafe { port::out8(self.base + reg, v) };
    }

    /// Sets 115200 8N1 with FIFO, interrupts off. Whether there is a UART; without one all calls do nothing.
    pub fn init(&self) -> bool {
        // An unused port reads as all ones; these bits of IER are always zero.
        if self.get(LSR) == 0xff && self.get(IER) == 0xff {
            self.present.store(false, Ordering::Relaxed);
            return false;
        }
        for (reg, v) in [(IER, 0), (LCR, 0x80), (DATA, 1), (IER, 0), (LCR, 0x03), (FCR, 0x07), (MCR, 0x0b)] {
            self.set(reg, v);
        }
        self.present.store(true, Ordering::Relaxed);
        true
    }

    /// Whether [`Self::init`] found it.
    pub fn present(&self) -> bool {
        self.present.load(Ordering::Relaxed)
    }

    /// Waits until the transmitter is empty. With a stuck other end: one look.
    fn wait_empty(&self) -> bool {
        let looks = if self.stuck.load(Ordering::Relaxed) { 1 } else { PATIENCE };
        let ok = (0..looks).any(|_| {
            let empty = self.get(LSR) & LSR_EMPTY != 0;
            if !empty {
                core::hint::spin_loop();
            }
            empty
        });
        self.stuck.store(!ok, Ordering::Relaxed);
        ok
    }

    /// Sends bytes as they are, waiting for room. Usable with interrupts off and from the crash path. Never hangs: when
    /// the other end takes nothing the rest is dropped. How many bytes were sent.
    pub fn write(&self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        if self.present() {
            for piece in bytes.chunks(FIFO) {
                if !self.wait_empty() {
                    break;
                }
                piece.iter().for_each(|&b| self.set(DATA, b));
                sent += piece.len();
            }
        }
        sent
    }

    /// A received byte, if there is one.
    pub fn read(&self) -> Option<u8> {
        (self.present() && self.get(LSR) & LSR_DATA != 0).then(|| self.get(DATA))
    }

    /// Lets received bytes interrupt, or not. The handler reads until [`Self::read`] gives `None`: that ends the cause.
    pub fn enable_rx_interrupt(&self, on: bool) {
        if self.present() {
            self.set(IER, on.into());
        }
    }
}
