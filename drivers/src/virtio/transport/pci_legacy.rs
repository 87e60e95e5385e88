//! virtio over PCI as it was before 1.0: registers in I/O BAR 0 (virtio 1.2, 4.1.4.8).

use super::QueueArea;
use crate::port;

mod reg {
    pub const DEVICE_FEATURES: u16 = 0x00;
    pub const DRIVER_FEATURES: u16 = 0x04;
    pub const QUEUE_PFN: u16 = 0x08;
    pub const QUEUE_NUM: u16 = 0x0c;
    pub const QUEUE_SEL: u16 = 0x0e;
    pub const QUEUE_NOTIFY: u16 = 0x10;
    pub const STATUS: u16 = 0x12;
    pub const ISR: u16 = 0x13;
    pub const CONFIG_VECTOR: u16 = 0x14;
    pub const QUEUE_VECTOR: u16 = 0x16;
    /// Config space: without and with MSI-X enabled.
    pub const CONFIG: u16 = 0x14;
    pub const CONFIG_MSIX: u16 = 0x18;
}

/// One device, by its first I/O port.
#[derive(Debug)]
pub struct PciLegacy {
    base: u16,
    device_id: u32,
    msix: bool,
}

// Every access below is to a register of the one virtio device whose BAR was passed to `new`. DMA starts only after
// `queue_set` with an area that the caller vouches for.
impl PciLegacy {
    /// # Safety
    /// `base` must be I/O BAR 0 of a legacy or transitional virtio function with I/O decoding on.
    pub(crate) unsafe fn new(base: u16, device_id: u32) -> Self {
        Self { base, device_id, msix: false }
    }

    fn r8(&self, off: u16) -> u8 {
        // SAFETY: a register of this device, see above.
        unsafe { port::in8(self.base + off) }
    }
    fn r16(&self, off: u16) -> u16 {
        // SAFETY: as above.
        unsafe { port::in16(self.base + off) }
    }
    fn r32(&self, off: u16) -> u32 {
        // SAFETY: as above.
        unsafe { port::in32(self.base + off) }
    }
    fn w8(&self, off: u16, v: u8) {
        // SAFETY: as above.
        unsafe { port::out8(self.base + off, v) }
    }
    fn w16(&self, off: u16, v: u16) {
        // SAFETY: as above.
        unsafe { port::out16(self.base + off, v) }
    }
    fn w32(&self, off: u16, v: u32) {
        // SAFETY: as above.
        unsafe { port::out32(self.base + off, v) }
    }

    pub(super) fn device_id(&self) -> u32 {
        self.device_id
    }
    pub(super) fn device_features(&self) -> u64 {
        self.r32(reg::DEVICE_FEATURES).into()
    }
    pub(super) fn set_driver_features(&self, f: u64) {
        self.w32(reg::DRIVER_FEATURES, f as u32);
    }
    pub(super) fn status(&self) -> u32 {
        self.r8(reg::STATUS).into()
    }
    pub(super) fn set_status(&self, s: u32) {
        self.w8(reg::STATUS, s as u8);
    }
    pub(super) fn queue_max(&self, queue: u16) -> u32 {
        self.w16(reg::QUEUE_SEL, queue);
        self.r16(reg::QUEUE_NUM).into()
    }
    pub(super) fn queue_set(&self, queue: u16, area: QueueArea) {
        self.w16(reg::QUEUE_SEL, queue);
        self.w32(reg::QUEUE_PFN, (area.desc / super::LEGACY_ALIGN as u64) as u32);
    }
    pub(super) fn queue_unset(&self, queue: u16) {
        self.w16(reg::QUEUE_SEL, queue);
        self.w32(reg::QUEUE_PFN, 0);
    }
    pub(super) fn queue_used(&self, queue: u16) -> bool {
        self.w16(reg::QUEUE_SEL, queue);
        self.r32(reg::QUEUE_PFN) != 0
    }
    pub(super) fn notify_port(&self) -> u16 {
        self.base + reg::QUEUE_NOTIFY
    }
    pub(super) fn isr_port(&self) -> u16 {
        self.base + reg::ISR
    }
    /// From now on the vector registers exist, and config space starts 4 bytes later.
    pub(super) fn msix_enabled(&mut self) {
        self.msix = true;
    }
    pub(super) fn set_config_vector(&self, v: u16) -> bool {
        self.w16(reg::CONFIG_VECTOR, v);
        self.r16(reg::CONFIG_VECTOR) == v
    }
    pub(super) fn set_queue_vector(&self, queue: u16, v: u16) -> bool {
        self.w16(reg::QUEUE_SEL, queue);
        self.w16(reg::QUEUE_VECTOR, v);
        self.r16(reg::QUEUE_VECTOR) == v
    }
    fn config(&self, off: usize) -> u16 {
        (if self.msix { reg::CONFIG_MSIX } else { reg::CONFIG }) + off as u16
    }
    pub(super) fn config_read8(&self, off: usize) -> u8 {
        self.r8(self.config(off))
    }
    pub(super) fn config_write(&self, off: usize, bytes: &[u8]) {
        let at = self.config(off);
        match *bytes {
            [a, b] => self.w16(at, u16::from_le_bytes([a, b])),
            [a, b, c, d] => self.w32(at, u32::from_le_bytes([a, b, c, d])),
            _ => bytes.iter().enumerate().for_each(|(i, &b)| self.w8(at + i as u16, b)),
        }
    }
}
