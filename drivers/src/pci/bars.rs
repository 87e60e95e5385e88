//! Base address registers: decoding those that firmware assigned, sizing and assigning the others.
//!
//! Each access to configuration space leaves the virtual machine, so only what is assigned here is sized: what firmware
//! assigned is long enough for what the device says lies in it.

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
    /// Decodes BAR `i`, which is not the upper half of another; `None` when there is no such register.
    pub fn bar(&self, i: u8) -> Option<Bar> {
        if i >= self.bar_count() {
            return None;
        }
        let low = self.read32(register(i));
        let memory = low & 1 == 0;
        let wide = low & 0b111 == 0b100 && i + 1 < self.bar_count();
        let high = if wide { self.read32(register(i + 1)) } else { 0 };
        Some(Bar {
            memory,
            wide,
            address: u64::from(high) << 32 | u64::from(low & if memory { !0b1111 } else { !0b11 }),
        })
    }

    fn bar_count(&self) -> u8 {
        if self.is_bridge() { 2 } else { 6 }
    }

    /// The size of memory BAR `i`, which reads 0; 0 when it is not implemented. The device does not decode meanwhile.
    fn size(&self, i: u8, wide: bool) -> u64 {
        let probe = |reg| {
            let keep = self.read32(reg);
            self.write32(reg, !0);
            let mask = self.read32(reg);
            self.write32(reg, keep);
            u64::from(mask)
        };
        let high = if wide { probe(register(i + 1)) } else { 0xffff_ffff };
        let mask = (probe(register(i)) | high << 32) & !0b1111;
        let size = mask & mask.wrapping_neg();
        if wide || size < 1 << 32 { size } else { 0 }
    }

    /// Gives memory BARs that read 0 an address from the window. Returns whether all memory BARs have one now. Call it
    /// before the device is in use.
    pub fn assign_bars(&self, window: &mut Window) -> bool {
        let decoding = self.set_decoding(0);
        let (mut all, mut i) = (true, 0);
        while let Some(bar) = self.bar(i) {
            if bar.memory && bar.address == 0 {
                match self.size(i, bar.wide) {
                    0 => {}
                    size => match window.take(size) {
                        Some(at) => {
                            // The flags are read-only.
                            self.write32(register(i), at as u32);
                            if bar.wide {
                                self.write32(register(i + 1), (at >> 32) as u32);
                            }
                        }
                        None => all = false,
                    },
                }
            }
            i += if bar.wide { 2 } else { 1 };
        }
        self.set_decoding(decoding);
        all
    }
}
