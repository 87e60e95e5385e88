//! virtio over memory-mapped registers, version 1 (legacy) and 2 (virtio 1.2, 4.2.2 and 4.2.4).

use super::QueueArea;
use crate::mmio::Mmio;

mod reg {
    pub const MAGIC: usize = 0x00;
    pub const VERSION: usize = 0x04;
    pub const DEVICE_ID: usize = 0x08;
    pub const DEVICE_FEATURES: usize = 0x10;
    pub const DEVICE_FEATURES_SEL: usize = 0x14;
    pub const DRIVER_FEATURES: usize = 0x20;
    pub const DRIVER_FEATURES_SEL: usize = 0x24;
    pub const GUEST_PAGE_SIZE: usize = 0x28;
    pub const QUEUE_SEL: usize = 0x30;
    pub const QUEUE_NUM_MAX: usize = 0x34;
    pub const QUEUE_NUM: usize = 0x38;
    pub const QUEUE_ALIGN: usize = 0x3c;
    pub const QUEUE_PFN: usize = 0x40;
    pub const QUEUE_READY: usize = 0x44;
    pub const QUEUE_NOTIFY: usize = 0x50;
    pub const INTERRUPT_STATUS: usize = 0x60;
    pub const INTERRUPT_ACK: usize = 0x64;
    pub const STATUS: usize = 0x70;
    pub const QUEUE_DESC: usize = 0x80;
    pub const QUEUE_DRIVER: usize = 0x90;
    pub const QUEUE_DEVICE: usize = 0xa0;
    pub const CONFIG_GENERATION: usize = 0xfc;
    pub const CONFIG: usize = 0x100;
}

const MAGIC: u32 = u32::from_le_bytes(*b"virt");
/// The minimum size of a device's registers: config space follows.
pub const REGISTERS: usize = reg::CONFIG;

/// One device.
#[derive(Debug)]
pub struct MmioTransport {
    regs: Mmio,
    legacy: bool,
    device_id: u32,
}

impl MmioTransport {
    /// The device behind the registers; `None` when there is none (wrong magic, unknown version, id 0).
    pub fn new(regs: Mmio) -> Option<Self> {
        if regs.size() < REGISTERS || regs.read32(reg::MAGIC) != MAGIC {
            return None;
        }
        let legacy = match regs.read32(reg::VERSION) {
            1 => true,
            2 => false,
            _ => return None,
        };
        let device_id = regs.read32(reg::DEVICE_ID);
        (device_id != 0).then_some(Self { regs, legacy, device_id })
    }

    pub(super) fn legacy(&self) -> bool {
        self.legacy
    }

    pub(crate) fn device_id(&self) -> u32 {
        self.device_id
    }

    pub(super) fn device_features(&self) -> u64 {
        self.regs.write32(reg::DEVICE_FEATURES_SEL, 0);
        let low = u64::from(self.regs.read32(reg::DEVICE_FEATURES));
        if self.legacy {
            return low;
        }
        self.regs.write32(reg::DEVICE_FEATURES_SEL, 1);
        low | u64::from(self.regs.read32(reg::DEVICE_FEATURES)) << 32
    }

    pub(super) fn set_driver_features(&self, f: u64) {
        self.regs.write32(reg::DRIVER_FEATURES_SEL, 0);
        self.regs.write32(reg::DRIVER_FEATURES, f as u32);
        if !self.legacy {
            self.regs.write32(reg::DRIVER_FEATURES_SEL, 1);
            self.regs.write32(reg::DRIVER_FEATURES, (f >> 32) as u32);
        }
    }

    pub(super) fn status(&self) -> u32 {
        self.regs.read32(reg::STATUS)
    }

    pub(super) fn set_status(&self, s: u32) {
        self.regs.write32(reg::STATUS, s);
    }

    pub(super) fn set_guest_page_size(&self, size: u32) {
        if self.legacy {
            self.regs.write32(reg::GUEST_PAGE_SIZE, size);
        }
    }

    pub(super) fn queue_max(&self, queue: u16) -> u32 {
        self.regs.write32(reg::QUEUE_SEL, queue.into());
        self.regs.read32(reg::QUEUE_NUM_MAX)
    }

    pub(super) fn queue_set(&self, queue: u16, size: u32, area: QueueArea) {
        let r = &self.regs;
        r.write32(reg::QUEUE_SEL, queue.into());
        r.write32(reg::QUEUE_NUM, size);
        if self.legacy {
            r.write32(reg::QUEUE_ALIGN, super::LEGACY_ALIGN as u32);
            r.write32(reg::QUEUE_PFN, (area.desc / super::LEGACY_ALIGN as u64) as u32);
            return;
        }
        for (at, v) in
            [(reg::QUEUE_DESC, area.desc), (reg::QUEUE_DRIVER, area.driver), (reg::QUEUE_DEVICE, area.device)]
        {
            r.write32(at, v as u32);
            r.write32(at + 4, (v >> 32) as u32);
        }
        r.write32(reg::QUEUE_READY, 1);
    }

    pub(super) fn queue_unset(&self, queue: u16) {
        self.regs.write32(reg::QUEUE_SEL, queue.into());
        if self.legacy {
            self.regs.write32(reg::QUEUE_PFN, 0);
            return;
        }
        self.regs.write32(reg::QUEUE_READY, 0);
        // 4.2.3.2: the driver must see 0 before it reuses the memory.
        for _ in 0..super::PATIENCE {
            if self.regs.read32(reg::QUEUE_READY) == 0 {
                break;
            }
            core::hint::spin_loop();
        }
    }

    pub(super) fn queue_used(&self, queue: u16) -> bool {
        self.regs.write32(reg::QUEUE_SEL, queue.into());
        self.regs.read32(if self.legacy { reg::QUEUE_PFN } else { reg::QUEUE_READY }) != 0
    }

    pub(super) fn notify_register(&self) -> Option<Mmio> {
        self.regs.part(reg::QUEUE_NOTIFY, 4)
    }

    /// Status and acknowledge registers, for the interrupt handler.
    pub(super) fn interrupt_registers(&self) -> Option<Mmio> {
        self.regs.part(reg::INTERRUPT_STATUS, 8)
    }

    pub(super) fn generation(&self) -> u32 {
        if self.legacy { 0 } else { self.regs.read32(reg::CONFIG_GENERATION) }
    }

    pub(super) fn config(&self) -> Option<Mmio> {
        self.regs.part(reg::CONFIG, self.regs.size() - reg::CONFIG)
    }
}

const _: () = assert!(reg::INTERRUPT_ACK == reg::INTERRUPT_STATUS + 4);
