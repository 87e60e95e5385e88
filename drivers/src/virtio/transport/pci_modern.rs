//! virtio 1.x over PCI: structures found through vendor capabilities (virtio 1.2, 4.1.4).

use super::QueueArea;
use crate::mmio::Mmio;
use crate::pci::Function;

const CAP_VENDOR: u8 = 0x09;
const CFG_COMMON: u8 = 1;
const CFG_NOTIFY: u8 = 2;
const CFG_ISR: u8 = 3;
const CFG_DEVICE: u8 = 4;

mod reg {
    pub const DEVICE_FEATURE_SELECT: usize = 0x00;
    pub const DEVICE_FEATURE: usize = 0x04;
    pub const DRIVER_FEATURE_SELECT: usize = 0x08;
    pub const DRIVER_FEATURE: usize = 0x0c;
    pub const CONFIG_MSIX_VECTOR: usize = 0x10;
    pub const DEVICE_STATUS: usize = 0x14;
    pub const CONFIG_GENERATION: usize = 0x15;
    pub const QUEUE_SELECT: usize = 0x16;
    pub const QUEUE_SIZE: usize = 0x18;
    pub const QUEUE_MSIX_VECTOR: usize = 0x1a;
    pub const QUEUE_ENABLE: usize = 0x1c;
    pub const QUEUE_NOTIFY_OFF: usize = 0x1e;
    pub const QUEUE_DESC: usize = 0x20;
    pub const QUEUE_DRIVER: usize = 0x28;
    pub const QUEUE_DEVICE: usize = 0x30;
    pub const LEN: usize = 0x38;
}

/// Where one of the structures lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub bar: u8,
    pub offset: u32,
    pub length: u32,
}

/// The locations of a device's structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Structures {
    pub common: Location,
    pub notify: Location,
    pub notify_multiplier: u32,
    pub isr: Location,
    pub device: Option<Location>,
}

/// Reads the vendor capabilities; `None` for a device without a modern interface. The first of each type counts.
pub(crate) fn structures(f: &Function) -> Option<Structures> {
    let (mut common, mut notify, mut isr, mut device, mut multiplier) = (None, None, None, None, 0);
    for cap in f.capabilities().filter(|c| c.id == CAP_VENDOR) {
        let (len, kind) = (cap.flags as u8, (cap.flags >> 8) as u8);
        if len >= 16 && matches!(kind, CFG_COMMON | CFG_NOTIFY | CFG_ISR | CFG_DEVICE) {
            let bar = f.read32(cap.offset + 4) as u8;
            let here = Location { bar, offset: f.read32(cap.offset + 8), length: f.read32(cap.offset + 12) };
            // 4.1.4: bars 6 and up are reserved and such a structure must be ignored.
            let slot = match kind {
                _ if bar > 5 => continue,
                CFG_COMMON => &mut common,
                CFG_NOTIFY => &mut notify,
                CFG_ISR => &mut isr,
                _ => &mut device,
            };
            if slot.is_none() {
                *slot = Some(here);
                if kind == CFG_NOTIFY && len >= 20 {
                    multiplier = f.read32(cap.offset + 16);
                }
            }
        }
    }
    Some(Structures { common: common?, notify: notify?, notify_multiplier: multiplier, isr: isr?, device })
}

/// One device.
#[derive(Debug)]
pub struct PciModern {
    device_id: u32,
    common: Mmio,
    notify: Mmio,
    notify_multiplier: u32,
    isr: Mmio,
    device: Option<Mmio>,
}

impl PciModern {
    /// Maps the structures of a virtio function; `None` when it has none, or their BARs have no address.
    pub(crate) fn new(f: &Function, device_id: u32) -> Option<Self> {
        let s = structures(f)?;
        // Most devices have all structures in one BAR.
        let mut last = (s.common.bar, f.bar(s.common.bar)?);
        let mut map = |l: Location, least: usize| {
            if l.bar != last.0 {
                last = (l.bar, f.bar(l.bar)?);
            }
            let bar = last.1;
            if !bar.memory || bar.address == 0 || (l.length as usize) < least {
                return None;
            }
            // SAFETY: in a memory BAR of a virtio function.
            unsafe { Mmio::map(bar.address + u64::from(l.offset), l.length as usize) }
        };
        Some(Self {
            device_id,
            common: map(s.common, reg::LEN)?,
            notify: map(s.notify, 2)?,
            notify_multiplier: s.notify_multiplier,
            isr: map(s.isr, 1)?,
            device: s.device.and_then(|l| map(l, 1)),
        })
    }

    pub(super) fn device_id(&self) -> u32 {
        self.device_id
    }
    pub(super) fn device_features(&self) -> u64 {
        let c = &self.common;
        c.write32(reg::DEVICE_FEATURE_SELECT, 0);
        let low = u64::from(c.read32(reg::DEVICE_FEATURE));
        c.write32(reg::DEVICE_FEATURE_SELECT, 1);
        low | u64::from(c.read32(reg::DEVICE_FEATURE)) << 32
    }
    pub(super) fn set_driver_features(&self, f: u64) {
        let c = &self.common;
        c.write32(reg::DRIVER_FEATURE_SELECT, 0);
        c.write32(reg::DRIVER_FEATURE, f as u32);
        c.write32(reg::DRIVER_FEATURE_SELECT, 1);
        c.write32(reg::DRIVER_FEATURE, (f >> 32) as u32);
    }
    pub(super) fn status(&self) -> u32 {
        self.common.read8(reg::DEVICE_STATUS).into()
    }
    pub(super) fn set_status(&self, s: u32) {
        self.common.write8(reg::DEVICE_STATUS, s as u8);
    }
    fn select(&self, queue: u16) -> &Mmio {
        self.common.write16(reg::QUEUE_SELECT, queue);
        &self.common
    }
    pub(super) fn queue_max(&self, queue: u16) -> u32 {
        self.select(queue).read16(reg::QUEUE_SIZE).into()
    }
    pub(super) fn queue_set(&self, queue: u16, size: u32, area: QueueArea) {
        let c = self.select(queue);
        c.write16(reg::QUEUE_SIZE, size as u16);
        // 4.1.3.1: 64-bit fields are accessed as two 32-bit halves.
        for (at, v) in
            [(reg::QUEUE_DESC, area.desc), (reg::QUEUE_DRIVER, area.driver), (reg::QUEUE_DEVICE, area.device)]
        {
            c.write32(at, v as u32);
            c.write32(at + 4, (v >> 32) as u32);
        }
        c.write16(reg::QUEUE_ENABLE, 1);
    }
    pub(super) fn queue_used(&self, queue: u16) -> bool {
        self.select(queue).read16(reg::QUEUE_ENABLE) != 0
    }
    /// The register to write the queue number to.
    pub(super) fn notify_register(&self, queue: u16) -> Option<Mmio> {
        let off = usize::from(self.select(queue).read16(reg::QUEUE_NOTIFY_OFF)) * self.notify_multiplier as usize;
        self.notify.part(off, 2)
    }
    pub(super) fn isr_register(&self) -> Mmio {
        self.isr
    }
    pub(super) fn set_config_vector(&self, v: u16) -> bool {
        self.common.write16(reg::CONFIG_MSIX_VECTOR, v);
        self.common.read16(reg::CONFIG_MSIX_VECTOR) == v
    }
    pub(super) fn set_queue_vector(&self, queue: u16, v: u16) -> bool {
        let c = self.select(queue);
        c.write16(reg::QUEUE_MSIX_VECTOR, v);
        c.read16(reg::QUEUE_MSIX_VECTOR) == v
    }
    pub(super) fn generation(&self) -> u32 {
        self.common.read8(reg::CONFIG_GENERATION).into()
    }
    pub(super) fn config(&self) -> Option<Mmio> {
        self.device
    }
}
