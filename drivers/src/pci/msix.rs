//! MSI-X (PCI 3.0, 6.8.2): the table of messages in a BAR.

use super::{Capability, Function};
use crate::mmio::Mmio;
use crate::platform::Message;

const CAP_MSIX: u8 = 0x11;
const ENABLE: u16 = 1 << 15;
const MASK_ALL: u16 = 1 << 14;
const ENTRY: usize = 16;

/// The MSI-X capability of a function.
pub struct Msix<'a> {
    f: &'a Function,
    cap: Capability,
    table: Mmio,
    entries: u16,
}

impl<'a> Msix<'a> {
    /// Maps the table; `None` without the capability, or without an address for the table's BAR.
    pub fn new(f: &'a Function) -> Option<Self> {
        let cap = f.capabilities().find(|c| c.id == CAP_MSIX)?;
        let entries = (cap.flags & 0x7ff) + 1;
        let at = f.read32(cap.offset + 4);
        let bar = f.bar(at as u8 & 7).filter(|b| b.memory && b.address != 0)?;
        // SAFETY: the MSI-X table of this function, in its memory BAR.
        let table = unsafe { Mmio::map(bar.address + u64::from(at & !7), ENTRY * usize::from(entries)) }?;
        Some(Self { f, cap, table, entries })
    }

    /// Entries in the table.
    pub fn entries(&self) -> u16 {
        self.entries
    }

    fn control(&self, set: u16) {
        let flags = self.cap.flags & !(ENABLE | MASK_ALL) | set;
        self.f.write32(self.cap.offset, u32::from(flags) << 16);
    }

    /// Switches the function from its pin to these messages, one for each of the first entries. The other entries stay
    /// masked, as a reset leaves them. Panics when there are fewer.
    pub fn enable(&self, messages: &[Message]) {
        self.control(ENABLE | MASK_ALL);
        for (entry, m) in messages.iter().enumerate() {
            let at = entry * ENTRY;
            self.table.write32(at, m.address as u32);
            self.table.write32(at + 4, (m.address >> 32) as u32);
            self.table.write32(at + 8, m.data);
            self.table.write32(at + 12, 0);
        }
        self.control(ENABLE);
    }
}
