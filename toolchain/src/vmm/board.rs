//! Kinds of machines.

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

/// `--machine`: a type that is known to boot, with any of QEMU's properties after commas (`microvm,acpi=off`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board(pub String);

impl FromStr for Board {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split(',').next() {
            Some("q35" | "pc" | "microvm") => Ok(Self(text.to_owned())),
            _ => Err("expected q35, pc or microvm, with QEMU properties behind a comma if need be".to_owned()),
        }
    }
}

impl Board {
    /// The type without properties.
    pub fn kind(&self) -> &str {
        self.0.split(',').next().unwrap_or_default()
    }

    /// Where its virtio devices are.
    pub fn bus(&self) -> Bus {
        let pcie = self.0.split(',').any(|property| matches!(property, "pcie=on" | "pcie=true"));
        if self.kind() == "microvm" && !pcie { Bus::Mmio } else { Bus::Pci }
    }

    /// What its firmware needs at the end of memory while it reads the image, in bytes. microvm's needs no more than
    /// `.note.unibody` allows for.
    pub fn firmware_memory(&self) -> u64 {
        if self.kind() == "microvm" { 0 } else { 256 << 10 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let bus = |text: &str| text.parse::<Board>().unwrap().bus();
        assert_eq!((bus("q35"), bus("pc")), (Bus::Pci, Bus::Pci));
        assert_eq!((bus("microvm,acpi=off"), bus("microvm,pcie=on")), (Bus::Mmio, Bus::Pci));
        assert!("virt".parse::<Board>().is_err());
        assert!("".parse::<Board>().is_err());
    }
}
