//! MSI-X (PCI 3.0, 6.8.2): the table of messages in a BAR.

use super::Function;
use crate::mmio::Mmio;
use crate::platform::Message;

const CAP_MSIX: u8 = 0x11;
const ENABLE: u32 = 1 << 31;
const MASK_ALL: u32 = 1 << 30;
const ENTRY: usize = 16;

/// The MSI-X capability of a function.
pub struct Msix<'a> {
    f: &'a Function,
    cap: u16,
    table: Mmio,
    entries: u16,
}

impl<'a> Msix<'a> {
    /// Entries in the function's table, if it has the capability.
    pub fn count(f: &Function) -> Option<u16> {
        let cap = f.capabilities().find(|c| c.id == CAP_MSIX)?;
        Some((f.read32(cap.offset) >> 16 & 0x7ff) as u16 + 1)
    }

    /// Maps the table; `None` without the capability, or when the table lies outside of its BAR.
    pub fn new(f: &'a Function) -> Option<Self> {
        let cap = f.capabilities().find(|c| c.id == CAP_MSIX)?.offset;
        let entries = Self::count(f)?;
        let at = f.read32(cap + 4);
        let bar = f.bar(at as u8 & 7).filter(|b| b.memory && b.address != 0)?;
        let (offset, len) = (u64::from(at & !7), ENTRY * usize::from(entries));
        if offset + len as u64 > bar.size {
            return None;
        }
        // SAFETY: the MSI-X table of this function, inside its memory BAR.
        let table = unsafe { Mmio::map(bar.address + offset, len) }?;
        Some(Self { f, cap, table, entries })
    }

    /// Entries in the table.
    pub fn entries(&self) -> u16 {
        self.entries
    }

    fn control(&self, set: u32) {
        let old = self.f.read32(self.cap) & !(ENABLE | MASK_ALL);
        self.f.write32(self.cap, old | set);
    }

    /// Switches the function to MSI-X with every entry masked.
    pub fn enable(&mut self) {
        self.control(ENABLE | MASK_ALL);
        for e in 0..usize::from(self.entries) {
            self.table.write32(e * ENTRY + 12, 1);
        }
        self.control(ENABLE);
    }

    /// Switches back to the interrupt pin.
    pub fn disable(&mut self) {
        self.control(0);
    }

    /// Writes an entry and unmasks it. Panics when there is no such entry.
    pub fn set(&mut self, entry: u16, m: Message) {
        let at = usize::from(entry) * ENTRY;
        self.table.write32(at + 12, 1);
        self.table.write32(at, m.address as u32);
        self.table.write32(at + 4, (m.address >> 32) as u32);
        self.table.write32(at + 8, m.data);
        self.table.write32(at + 12, 0);
    }
}
