//! Base address registers: decoding, sizing, and assigning those that no firmware assigned.

use super::Function;

/// A decoded base address register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Memory, otherwise ports.
    pub memory: bool,
    /// Takes up two slots.
    pub wide: bool,
    /// Bus address; 0: not assigned.
    pub address: u64,
    /// Bytes, a power of two.
    pub size: u64,
}

/// Free bus addresses below 4 GiB for memory BARs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Next free address.
    pub next: u64,
    /// End, exclusive.
    pub end: u64,
}

impl Window {
    fn take(&mut self, size: u64) -> Option<u64> {
        let at = self.next.checked_next_multiple_of(size)?;
        let end = at.checked_add(size).filter(|&e| e <= self.end)?;
        self.next = end;
        Some(at)
    }
}

const fn register(i: u8) -> u16 {
    0x10 + 4 * i as u16
}

impl Function {
    /// Decodes and sizes BAR `i`; `None` when it is not implemented or is the upper half of another.
    ///
    /// Decoding is switched off during the call: call it before the device is in use.
    pub fn bar(&self, i: u8) -> Option<Bar> {
        if i >= self.bar_count() || self.is_upper_half(i) {
            return None;
        }
        let low = self.read32(register(i));
        let (io, wide) = (low & 1 != 0, low & 0b111 == 0b100);
        let decoding = self.set_decoding(0);
        let mut mask = u64::from(self.probe(register(i), low));
        let mut address = u64::from(low & if io { !0b11 } else { !0b1111 });
        if wide && i + 1 < self.bar_count() {
            let high = self.read32(register(i + 1));
            mask |= u64::from(self.probe(register(i + 1), high)) << 32;
            address |= u64::from(high) << 32;
        } else {
            // An I/O BAR may implement 16 bits only.
            mask |= if io && mask >> 16 == 0 { !0 << 16 } else { !0 << 32 };
        }
        self.set_decoding(decoding);
        let mask = mask & if io { !0b11 } else { !0b1111 };
        let size = mask & mask.wrapping_neg();
        // All bits beyond the flags read-only: not implemented.
        let real = if io { 1u64 << 16 } else { 1 << 32 };
        (size != 0 && (size < real || wide)).then_some(Bar { memory: !io, wide, address, size })
    }

    fn probe(&self, reg: u16, keep: u32) -> u32 {
        self.write32(reg, !0);
        let mask = self.read32(reg);
        self.write32(reg, keep);
        mask
    }

    fn bar_count(&self) -> u8 {
        if self.is_bridge() { 2 } else { 6 }
    }

    fn is_upper_half(&self, i: u8) -> bool {
        let mut at = 0;
        while at < i {
            at += if self.read32(register(at)) & 0b111 == 0b100 { 2 } else { 1 };
        }
        at != i
    }

    /// Gives memory BARs that read 0 an address from the window. Returns whether all memory BARs have one now.
    pub fn assign_bars(&self, window: &mut Window) -> bool {
        let mut all = true;
        for i in 0..self.bar_count() {
            let Some(bar) = self.bar(i).filter(|b| b.memory && b.address == 0) else { continue };
            match window.take(bar.size) {
                Some(at) => {
                    let decoding = self.set_decoding(0);
                    let flags = self.read32(register(i)) & 0b1111;
                    self.write32(register(i), at as u32 | flags);
                    if bar.wide {
                        self.write32(register(i + 1), (at >> 32) as u32);
                    }
                    self.set_decoding(decoding);
                }
                None => all = false,
            }
        }
        all
    }
}
