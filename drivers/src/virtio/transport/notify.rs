//! Handles to the two registers that are used while a device runs.

use crate::mmio::Mmio;
use crate::port;
use bitflags::bitflags;

/// Tells the device that one queue has new buffers.
#[derive(Clone, Copy, Debug)]
pub enum Notifier {
    /// A 32-bit register (MMIO).
    Mmio32(Mmio, u16),
    /// A 16-bit register (modern PCI).
    Mmio16(Mmio, u16),
    /// A port (legacy PCI).
    Port(u16, u16),
}

impl Notifier {
    /// Notifies. This leaves the guest: call it once per batch.
    pub fn notify(&self) {
        match *self {
            Notifier::Mmio32(r, queue) => r.write32(0, queue.into()),
            Notifier::Mmio16(r, queue) => r.write16(0, queue),
            // SAFETY: the queue-notify port of a virtio device; its rings hold only valid buffers.
            Notifier::Port(p, queue) => unsafe { port::out16(p, queue) },
        }
    }
}

bitflags! {
    /// Why a device interrupted.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Cause: u32 {
        /// It used buffers of some queue.
        const QUEUE = 1;
        /// Its config space changed.
        const CONFIG = 2;
    }
}

/// Reads of the status register before leaving a device that never stops to its next interrupt.
const ROUNDS: u32 = 16;

/// Reads and clears the interrupt status. Not used with MSI-X.
#[derive(Clone, Copy, Debug)]
pub enum Isr {
    /// Status register, then acknowledge register.
    Mmio(Mmio),
    /// A byte that clears itself when read.
    Pci(Mmio),
    /// The same as a port.
    Port(u16),
    /// There is none.
    None,
}

impl Isr {
    /// What happened since the last call; empty: the (shared) interrupt came from another device.
    pub fn acknowledge(&self) -> Cause {
        Cause::from_bits_truncate(match *self {
            Isr::Mmio(r) => {
                // Until it reads 0: the interrupt may be edge-triggered, and a cause that came between the read and the
                // acknowledgement would hold the line up, so that no edge would ever follow.
                let mut all = 0;
                for _ in 0..ROUNDS {
                    let s = r.read32(0);
                    if s == 0 {
                        break;
                    }
                    r.write32(4, s);
                    all |= s;
                }
                all
            }
            Isr::Pci(r) => r.read8(0).into(),
            // SAFETY: the ISR port of a virtio device: reading only clears it.
            Isr::Port(p) => unsafe { port::in8(p) }.into(),
            Isr::None => 0,
        })
    }
}
