//! Machine types and the spelling of virtio devices on them.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The bus that virtio devices sit on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// PCI or PCI Express.
    Pci,
    /// Memory-mapped registers.
    Mmio,
}

/// `--machine`: a type that is known to boot, with any of QEMU's properties behind a comma (`microvm,acpi=off`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine(pub String);

impl FromStr for Machine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split(',').next() {
            Some("q35" | "pc" | "microvm") => Ok(Self(text.to_owned())),
            _ => Err("expected q35, pc or microvm, with QEMU properties behind a comma if need be".to_owned()),
        }
    }
}

impl Machine {
    /// The type without properties.
    pub fn kind(&self) -> &str {
        self.0.split(',').next().unwrap_or_default()
    }

    /// Where its virtio devices are.
    pub fn bus(&self) -> Bus {
        let pcie = self.0.split(',').any(|property| matches!(property, "pcie=on" | "pcie=true"));
        if self.kind() == "microvm" && !pcie { Bus::Mmio } else { Bus::Pci }
    }

    /// QEMU's name of a virtio device here: `virtio-net-pci` or `virtio-net-device`.
    pub fn virtio(&self, device: &str) -> String {
        match self.bus() {
            Bus::Pci => format!("virtio-{device}-pci"),
            Bus::Mmio => format!("virtio-{device}-device"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let machine = |text: &str| text.parse::<Machine>().unwrap();
        assert_eq!(machine("q35").virtio("net"), "virtio-net-pci");
        assert_eq!(machine("pc").bus(), Bus::Pci);
        assert_eq!(machine("microvm,acpi=off").virtio("rng"), "virtio-rng-device");
        assert_eq!(machine("microvm,pcie=on").bus(), Bus::Pci);
        assert!("virt".parse::<Machine>().is_err());
        assert!("".parse::<Machine>().is_err());
    }
}
