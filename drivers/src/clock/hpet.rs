//! The HPET's main counter (IA-PC HPET 1.0a, 2.3).

use crate::mmio::Mmio;

const CAPABILITIES: usize = 0x00;
const CONFIGURATION: usize = 0x10;
const COUNTER: usize = 0xf0;
const ENABLE: u64 = 1;
const WIDE: u64 = 1 << 13;
/// The counter must tick at 10 MHz or more: periods are at most 100 ns.
const LONGEST_FS: u64 = 100_000_000;
const FS: u64 = 1_000_000_000_000_000;

/// The main counter, running.
#[derive(Clone, Copy)]
pub struct Counter {
    regs: Mmio,
    /// Ticks per second.
    pub hz: u64,
    /// A mask of its bits.
    pub mask: u64,
}

impl Counter {
    /// Starts the counter; `None` when the registers make no sense.
    ///
    /// # Safety
    /// `phys` must be the HPET's registers.
    pub unsafe fn new(phys: u64) -> Option<Self> {
        // SAFETY: the caller's.
        let regs = unsafe { Mmio::map(phys, 0x400) }?;
        let caps = regs.read64(CAPABILITIES);
        let period = caps >> 32;
        if period == 0 || period > LONGEST_FS {
            return None;
        }
        regs.write64(CONFIGURATION, regs.read64(CONFIGURATION) | ENABLE);
        // 32-bit reads are atomic on every implementation.
        Some(Self { regs, hz: FS / period, mask: if caps & WIDE != 0 { u64::MAX } else { 0xffff_ffff } })
    }

    /// The count; 64 bits are read in one access where the counter has them.
    pub fn read(&self) -> u64 {
        if self.mask == u64::MAX { self.regs.read64(COUNTER) } else { self.regs.read32(COUNTER).into() }
    }
}
