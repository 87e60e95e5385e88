//! PCI: configuration space, functions and their BARs, capabilities, MSI-X. No hot-plug.

mod bars;
mod config;
mod enumerate;
mod function;
mod msix;

pub use bars::{Bar, Window};
pub use config::{ConfigAccess, Ecam, PORTS, Ports};
pub use enumerate::enumerate;
pub use function::{Capability, Function, q35_gsi};
pub use msix::Msix;

/// Bus, device, function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bdf {
    /// Bus.
    pub bus: u8,
    /// Device (slot), below 32.
    pub device: u8,
    /// Function, below 8.
    pub function: u8,
}

impl Bdf {
    /// The 16-bit form: also the requester id.
    pub fn bits(self) -> u16 {
        u16::from(self.bus) << 8 | u16::from(self.device) << 3 | u16::from(self.function)
    }
}

impl core::fmt::Display for Bdf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.bus, self.device, self.function)
    }
}

#[cfg(test)]
mod tests;
