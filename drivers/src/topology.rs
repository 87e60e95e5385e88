//! Processors and interrupt controllers, from ACPI's MADT or from the MP table.

use alloc::vec::Vec;

/// A processor that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Local APIC id.
    pub apic_id: u32,
}

/// An I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApic {
    /// Physical address of its registers.
    pub address: u64,
    /// Global system interrupt of its pin 0. In an MP table: the number of pins of the I/O APICs before it, which only
    /// their registers tell; 0 for the first.
    pub gsi_base: u32,
}

/// An ISA interrupt that differs from the default: elsewhere, or of other polarity or trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// ISA interrupt.
    pub irq: u8,
    /// Where it arrives.
    pub gsi: u32,
    /// Active low.
    pub active_low: bool,
    /// Level-triggered.
    pub level: bool,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Physical address of the local APICs' registers.
    pub lapic: u64,
    /// Enabled processors, in the table's order (the boot processor is first by convention only).
    pub cpus: Vec<Cpu>,
    /// I/O APICs.
    pub ioapics: Vec<IoApic>,
    /// ISA interrupts that differ from identity, edge, active high.
    pub overrides: Vec<Override>,
}

/// Lists stop growing here: a table with more entries is broken.
const MOST: usize = 4096;

pub(crate) fn push<T>(v: &mut Vec<T>, x: T) {
    if v.len() < MOST && v.try_reserve(1).is_ok() {
        v.push(x);
    }
}
