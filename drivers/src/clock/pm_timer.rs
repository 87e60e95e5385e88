//! The ACPI power management timer (ACPI 6.5, 4.8.2.1).

use crate::acpi::{PmTimer, Space};
use crate::mmio::Mmio;
use crate::port;

/// Its frequency in Hz.
pub const HZ: u64 = 3_579_545;

/// A counter of 24 or 32 bits.
#[derive(Clone, Copy)]
pub struct Counter {
    reg: Reg,
    /// A mask of its bits.
    pub mask: u64,
}

#[derive(Clone, Copy)]
enum Reg {
    Port(u16),
    Memory(Mmio),
}

impl Counter {
    /// The timer that the FADT names.
    pub fn new(t: &PmTimer) -> Option<Self> {
        let reg = match t.register.space {
            Space::Port => Reg::Port(t.register.address as u16),
            // SAFETY: firmware names it a register.
            Space::Memory => Reg::Memory(unsafe { Mmio::map(t.register.address, 4) }?),
        };
        Some(Self { reg, mask: if t.wide { 0xffff_ffff } else { 0xff_ffff } })
    }

    /// The count.
    pub fn read(&self) -> u64 {
        let v = match self.reg {
            // SAFETY: reading the timer has no effect.
            Reg::Port(p) => unsafe { port::in32(p) },
            Reg::Memory(m) => m.read32(0),
        };
        u64::from(v) & self.mask
    }
}
