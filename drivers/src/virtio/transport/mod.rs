//! The three ways to reach a virtio device, behind the `Transport` trait of the virtio-drivers crate (so that its
//! drivers work on them too), with what that trait lacks: MSI-X vectors, and notification and interrupt handles that do
//! not need the transport itself.

mod mmio;
mod notify;
mod pci_legacy;
mod pci_modern;

pub use mmio::{MmioTransport, REGISTERS};
pub use notify::{Cause, Isr, Notifier};
pub use pci_legacy::PciLegacy;
pub use pci_modern::PciModern;

use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Alignment of a legacy ring and of its used part (virtio 1.2, 2.7.2).
pub const LEGACY_ALIGN: usize = 4096;
/// Reads of a register before giving up on a device that does not answer.
const PATIENCE: u32 = 100_000;

/// Physical addresses of a ring's parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueArea {
    pub desc: u64,
    pub driver: u64,
    pub device: u64,
}

/// A device, however it is attached.
#[derive(Debug)]
pub enum VirtioTransport {
    /// Memory-mapped registers.
    Mmio(MmioTransport),
    /// PCI, virtio 1.x.
    Modern(PciModern),
    /// PCI, before 1.0.
    Legacy(PciLegacy),
}
use VirtioTransport::{Legacy, Modern};

macro_rules! each {
    ($self:ident, $t:ident => $e:expr) => {
        match $self {
            VirtioTransport::Mmio($t) => $e,
            Modern($t) => $e,
            Legacy($t) => $e,
        }
    };
}

impl VirtioTransport {
    /// The virtio device id: 1 net, 2 block, 3 console, 4 entropy, ...
    pub fn device_id(&self) -> u32 {
        each!(self, t => t.device_id())
    }

    /// A handle that notifies one queue; the queue must exist.
    pub fn notifier(&self, queue: u16) -> Option<Notifier> {
        match self {
            VirtioTransport::Mmio(t) => t.notify_register().map(|r| Notifier::Mmio32(r, queue)),
            Modern(t) => t.notify_register(queue).map(|r| Notifier::Mmio16(r, queue)),
            Legacy(t) => Some(Notifier::Port(t.notify_port(), queue)),
        }
    }

    /// A handle that acknowledges level-triggered interrupts.
    pub fn isr(&self) -> Isr {
        match self {
            VirtioTransport::Mmio(t) => t.interrupt_registers().map_or(Isr::None, Isr::Mmio),
            Modern(t) => Isr::Pci(t.isr_register()),
            Legacy(t) => Isr::Port(t.isr_port()),
        }
    }

    /// Tells the transport that the function's MSI-X capability was enabled.
    pub(crate) fn msix_enabled(&mut self) {
        if let Legacy(t) = self {
            t.msix_enabled();
        }
    }

    /// Sends configuration changes to an MSI-X table entry; returns whether the device accepted it.
    pub fn set_config_vector(&mut self, entry: u16) -> bool {
        match self {
            VirtioTransport::Mmio(_) => false,
            Modern(t) => t.set_config_vector(entry),
            Legacy(t) => t.set_config_vector(entry),
        }
    }

    /// Sends a queue's interrupts to an MSI-X table entry; returns whether the device accepted it.
    pub fn set_queue_vector(&mut self, queue: u16, entry: u16) -> bool {
        match self {
            VirtioTransport::Mmio(_) => false,
            Modern(t) => t.set_queue_vector(queue, entry),
            Legacy(t) => t.set_queue_vector(queue, entry),
        }
    }

    /// Whether a queue may be made smaller than the device's maximum. Legacy PCI fixes the size.
    pub fn queue_size_adjustable(&self) -> bool {
        !matches!(self, Legacy(_))
    }

    /// Resets the device, agrees on features (those offered of `wanted` and of the ones all drivers know) and stops
    /// before DRIVER_OK. `Unsupported` when a modern device does not accept the set.
    pub fn negotiate(&mut self, wanted: u64) -> Result<u64> {
        self.reset()?;
        self.set_status(DeviceStatus::ACKNOWLEDGE);
        self.set_status(DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER);
        let agreed = self.read_device_features() & (wanted | super::feature::ACCESS_PLATFORM);
        self.write_driver_features(agreed);
        self.set_guest_page_size(LEGACY_ALIGN as u32);
        if self.requires_legacy_layout() {
            return Ok(agreed);
        }
        let ok = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER | DeviceStatus::FEATURES_OK;
        self.set_status(ok);
        if agreed & super::feature::VERSION_1 == 0 || !self.get_status().contains(DeviceStatus::FEATURES_OK) {
            self.set_status(DeviceStatus::FAILED);
            return Err(Error::Unsupported);
        }
        Ok(agreed)
    }

    /// Resets the device and waits until it confirms (4.1.4.3.2).
    pub fn reset(&mut self) -> Result<()> {
        self.set_status(DeviceStatus::empty());
        for _ in 0..PATIENCE {
            if self.get_status().is_empty() {
                return Ok(());
            }
            core::hint::spin_loop();
        }
        Err(Error::NotReady)
    }

    /// Fills `buf` from config space, bytewise. `ConfigSpaceTooSmall` beyond its end.
    pub fn read_config(&self, off: usize, buf: &mut [u8]) -> Result<()> {
        for _ in 0..PATIENCE {
            let before = self.read_config_generation();
            match self {
                Legacy(t) => buf.iter_mut().enumerate().for_each(|(i, b)| *b = t.config_read8(off + i)),
                _ => {
                    let c = self.config_space().ok_or(Error::ConfigSpaceMissing)?;
                    let c = c.part(off, buf.len()).ok_or(Error::ConfigSpaceTooSmall)?;
                    // Fields of 2 and 4 bytes are read as such (4.2.2.2 demands it of modern MMIO).
                    match buf.len() {
                        2 if off.is_multiple_of(2) => buf.copy_from_slice(&c.read16(0).to_le_bytes()),
                        4 if off.is_multiple_of(4) => buf.copy_from_slice(&c.read32(0).to_le_bytes()),
                        _ => buf.iter_mut().enumerate().for_each(|(i, b)| *b = c.read8(i)),
                    }
                }
            }
            if before == self.read_config_generation() {
                return Ok(());
            }
        }
        Err(Error::IoError)
    }

    fn config_space(&self) -> Option<crate::mmio::Mmio> {
        match self {
            VirtioTransport::Mmio(t) => t.config(),
            Modern(t) => t.config(),
            Legacy(_) => None,
        }
    }

    /// A 16-bit field of config space.
    pub fn config_u16(&self, off: usize) -> Result<u16> {
        let mut b = [0; 2];
        self.read_config(off, &mut b)?;
        Ok(u16::from_le_bytes(b))
    }

    /// A 32-bit field of config space.
    pub fn config_u32(&self, off: usize) -> Result<u32> {
        let mut b = [0; 4];
        self.read_config(off, &mut b)?;
        Ok(u32::from_le_bytes(b))
    }
}

impl Transport for VirtioTransport {
    fn device_type(&self) -> DeviceType {
        // Devices are only built from ids that were checked; an unknown one is never handed to the crate.
        DeviceType::try_from(self.device_id()).unwrap_or(DeviceType::IoMemory)
    }
    fn read_device_features(&mut self) -> u64 {
        each!(self, t => t.device_features())
    }
    fn write_driver_features(&mut self, f: u64) {
        each!(self, t => t.set_driver_features(f));
    }
    fn max_queue_size(&mut self, queue: u16) -> u32 {
        each!(self, t => t.queue_max(queue))
    }
    fn notify(&mut self, queue: u16) {
        if let Some(n) = self.notifier(queue) {
            n.notify();
        }
    }
    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_retain(each!(self, t => t.status()))
    }
    fn set_status(&mut self, status: DeviceStatus) {
        each!(self, t => t.set_status(status.bits()));
    }
    fn set_guest_page_size(&mut self, size: u32) {
        if let VirtioTransport::Mmio(t) = self {
            t.set_guest_page_size(size);
        }
    }
    fn requires_legacy_layout(&self) -> bool {
        match self {
            VirtioTransport::Mmio(t) => t.legacy(),
            Modern(_) => false,
            Legacy(_) => true,
        }
    }
    fn queue_set(&mut self, queue: u16, size: u32, desc: u64, driver: u64, device: u64) {
        let area = QueueArea { desc, driver, device };
        match self {
            VirtioTransport::Mmio(t) => t.queue_set(queue, size, area),
            Modern(t) => t.queue_set(queue, size, area),
            Legacy(t) => t.queue_set(queue, area),
        }
    }
    fn queue_unset(&mut self, queue: u16) {
        match self {
            VirtioTransport::Mmio(t) => t.queue_unset(queue),
            // Modern PCI has no way to stop one queue (4.1.5.1.3); only a reset does.
            Modern(_) => {}
            Legacy(t) => t.queue_unset(queue),
        }
    }
    fn queue_used(&mut self, queue: u16) -> bool {
        each!(self, t => t.queue_used(queue))
    }
    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::from_bits_retain(self.isr().acknowledge().bits())
    }
    fn read_config_generation(&self) -> u32 {
        match self {
            VirtioTransport::Mmio(t) => t.generation(),
            Modern(t) => t.generation(),
            Legacy(_) => 0,
        }
    }
    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let mut v = T::new_zeroed();
        self.read_config(offset, v.as_mut_bytes())?;
        Ok(v)
    }
    fn write_config_space<T: IntoBytes + Immutable>(&mut self, offset: usize, value: T) -> Result<()> {
        let bytes = value.as_bytes();
        if let Legacy(t) = self {
            t.config_write(offset, bytes);
            return Ok(());
        }
        let c = self.config_space().ok_or(Error::ConfigSpaceMissing)?;
        let c = c.part(offset, bytes.len()).ok_or(Error::ConfigSpaceTooSmall)?;
        match *bytes {
            [a, b] if offset.is_multiple_of(2) => c.write16(0, u16::from_le_bytes([a, b])),
            [x, y, z, w] if offset.is_multiple_of(4) => c.write32(0, u32::from_le_bytes([x, y, z, w])),
            _ => bytes.iter().enumerate().for_each(|(i, &b)| c.write8(i, b)),
        }
        Ok(())
    }
}

/// For the PCI tests: what [`pci_modern::structures`] finds, as (bar, offset) of common, notify, isr; the
/// multiplier; the device-specific structure.
#[cfg(test)]
#[expect(clippy::type_complexity, reason = "a test's tuple")]
pub(crate) fn structures_of(f: &crate::pci::Function) -> Option<([(u8, u32); 3], u32, Option<(u8, u32)>)> {
    let s = pci_modern::structures(f)?;
    let l = |l: pci_modern::Location| (l.bar, l.offset);
    Some(([l(s.common), l(s.notify), l(s.isr)], s.notify_multiplier, s.device.map(l)))
}
