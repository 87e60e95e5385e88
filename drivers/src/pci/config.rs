//! The two ways to configuration space: ports 0xcf8/0xcfc and ECAM.

use super::Bdf;
use crate::mmio::Mmio;
use crate::port;
use alloc::vec::Vec;
use libos_base::sync::{IrqSpinLock, class};

/// Aligned 32-bit accesses to configuration space.
pub trait ConfigAccess: Sync {
    /// Reads; all ones where nothing answers.
    fn read(&self, bdf: Bdf, offset: u16) -> u32;
    /// Writes.
    fn write(&self, bdf: Bdf, offset: u16, value: u32);
}

/// Mechanism 1. Reaches the first 256 bytes of every function.
pub struct Ports {
    /// The address register and the data register belong together. Lock order: nothing is taken under it.
    lock: IrqSpinLock<()>,
}

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;

/// The only instance: there is one pair of ports.
pub static PORTS: Ports = Ports { lock: IrqSpinLock::new(class::PCI_PORTS, ()) };

impl Ports {
    /// Whether the machine has mechanism 1 (microvm and Firecracker without PCI do not).
    pub fn present(&self) -> bool {
        let _g = self.lock.lock();
        // SAFETY: selects bus 0, device 0, register 0; reading back has no effect.
        unsafe {
            port::out32(ADDRESS, 1 << 31);
            port::in32(ADDRESS) == 1 << 31
        }
    }

    fn select(bdf: Bdf, offset: u16) {
        let address = 1 << 31 | u32::from(bdf.bits()) << 8 | u32::from(offset & 0xfc);
        // SAFETY: the address register only selects.
        unsafe { port::out32(ADDRESS, address) };
    }
}

impl ConfigAccess for Ports {
    fn read(&self, bdf: Bdf, offset: u16) -> u32 {
        if offset > 0xff {
            return !0;
        }
        let _g = self.lock.lock();
        Self::select(bdf, offset);
        // SAFETY: configuration reads have no side effects on memory.
        unsafe { port::in32(DATA) }
    }

    fn write(&self, bdf: Bdf, offset: u16, value: u32) {
        if offset > 0xff {
            return;
        }
        let _g = self.lock.lock();
        Self::select(bdf, offset);
        // SAFETY: the callers in this crate write BARs, command and MSI-X control of devices that they own.
        unsafe { port::out32(DATA, value) };
    }
}

/// Memory-mapped configuration space (PCIe 5.0, 7.2.2), mapped one bus at a time, on demand.
pub struct Ecam {
    base: u64,
    buses: core::ops::RangeInclusive<u8>,
    /// Lock order: nothing is taken under it except by mapping.
    maps: IrqSpinLock<Vec<(u8, Mmio)>>,
}

const BUS_BYTES: usize = 1 << 20;

impl Ecam {
    /// From an MCFG entry: the address of bus 0 (even when the range starts later) and the buses decoded.
    ///
    /// # Safety
    /// The range must be configuration space, as firmware says.
    pub const unsafe fn new(base: u64, buses: core::ops::RangeInclusive<u8>) -> Self {
        Self { base, buses, maps: IrqSpinLock::new(class::PCI_MAPS, Vec::new()) }
    }

    fn registers(&self, bdf: Bdf) -> Option<Mmio> {
        if !self.buses.contains(&bdf.bus) {
            return None;
        }
        let known = self.maps.lock().iter().find(|(bus, _)| *bus == bdf.bus).map(|(_, m)| *m);
        let bus = match known {
            Some(m) => m,
            None => {
                // SAFETY: configuration space by the promise of `new`.
                let m = unsafe { Mmio::map(self.base + (u64::from(bdf.bus) << 20), BUS_BYTES) }?;
                let mut maps = self.maps.lock();
                maps.try_reserve(1).ok()?;
                maps.push((bdf.bus, m));
                m
            }
        };
        bus.part(usize::from(bdf.bits() & 0xff) << 12, 4096)
    }
}

impl ConfigAccess for Ecam {
    fn read(&self, bdf: Bdf, offset: u16) -> u32 {
        self.registers(bdf).map_or(!0, |r| r.read32(usize::from(offset & 0xffc)))
    }

    fn write(&self, bdf: Bdf, offset: u16, value: u32) {
        if let Some(r) = self.registers(bdf) {
            r.write32(usize::from(offset & 0xffc), value);
        }
    }
}
