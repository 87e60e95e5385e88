//! The ACPI power management timer (ACPI 6.5, 4.8.2.1).

use crate::acpi::PmTimer;
use crate::register::Reg;

/// Its frequency in Hz.
pub const HZ: u64 = 3_579_545;

/// A counter of 24 or 32 bits.
#[derive(Clone, Copy)]
pub struct Counter {
    reg: Reg,
    /// A mask of its bits.
    pub mask: u64,
}

impl Counter {
    /// The timer that the FADT names.
    pub fn new(t: &PmTimer) -> Option<Self> {
        Some(Self { reg: Reg::new(t.register)?, mask: if t.wide { 0xffff_ffff } else { 0xff_ffff } })
    }

    /// The count.
    pub fn read(&self) -> u64 {
        u64::from(self.reg.read32()) & self.mask
    }
}
