//! ACPI without an interpreter: the static tables, and byte scans of the DSDT for the three things that virtual
//! machines put there (`_S5_`, virtio-mmio devices, the PCI window). Pure parsing of bytes: nothing that a table
//! says is trusted, every read is bounds-checked and lists are cut at sane lengths.

mod aml;
mod fadt;
mod madt;
mod tables;

pub use aml::{Ged, pci_window, s5_types, virtio_mmio};
pub use fadt::{Fadt, Gas, PmTimer, Space};
pub use madt::topology;
pub use tables::{Mcfg, PhysMem, Tables, hpet_address, mcfg, scan_rsdp};

/// Little-endian fields; `None` out of range.
pub(crate) fn u16_at(b: &[u8], off: usize) -> Option<u16> {
    b.get(off..off.checked_add(2)?).and_then(|s| s.try_into().ok()).map(u16::from_le_bytes)
}
pub(crate) fn u32_at(b: &[u8], off: usize) -> Option<u32> {
    b.get(off..off.checked_add(4)?).and_then(|s| s.try_into().ok()).map(u32::from_le_bytes)
}
pub(crate) fn u64_at(b: &[u8], off: usize) -> Option<u64> {
    b.get(off..off.checked_add(8)?).and_then(|s| s.try_into().ok()).map(u64::from_le_bytes)
}

/// Whether the bytes add up to 0, as those of every table do.
pub(crate) fn sums_up(b: &[u8]) -> bool {
    b.iter().fold(0u8, |a, &x| a.wrapping_add(x)) == 0
}

#[cfg(test)]
mod tests;
