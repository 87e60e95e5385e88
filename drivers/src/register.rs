//! Registers that firmware names, at a port or in memory.

use crate::acpi::{Gas, Space};
use crate::mmio::Mmio;
use crate::port;

/// A power management register made ready for use: one in memory is mapped once, at boot, so that nothing has to be
/// mapped in a crash.
#[derive(Clone, Copy)]
pub(crate) enum Reg {
    Port(u16),
    Memory(Mmio),
}

impl Reg {
    pub fn new(g: Gas) -> Option<Self> {
        match g.space {
            Space::Port => Some(Reg::Port(g.address as u16)),
            // SAFETY: firmware names it a register.
            Space::Memory => unsafe { Mmio::map(g.address, 4) }.map(Reg::Memory),
        }
    }
    pub fn read16(self, off: u16) -> u16 {
        match self {
            // SAFETY: a power management register; reading has no effect.
            Reg::Port(p) => unsafe { port::in16(p + off) },
            Reg::Memory(m) => m.part(off.into(), 2).map_or(0, |m| m.read16(0)),
        }
    }
    pub fn read32(self) -> u32 {
        match self {
            // SAFETY: a power management register; reading has no effect.
            Reg::Port(p) => unsafe { port::in32(p) },
            Reg::Memory(m) => m.read32(0),
        }
    }
    pub fn write16(self, off: u16, v: u16) {
        match self {
            // SAFETY: a power management register.
            Reg::Port(p) => unsafe { port::out16(p + off, v) },
            Reg::Memory(m) => {
                if let Some(m) = m.part(off.into(), 2) {
                    m.write16(0, v);
                }
            }
        }
    }
    pub fn write8(self, v: u8) {
        match self {
            // SAFETY: a power management register.
            Reg::Port(p) => unsafe { port::out8(p, v) },
            Reg::Memory(m) => m.write8(0, v),
        }
    }
}
