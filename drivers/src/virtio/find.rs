//! Finding virtio devices on PCI and in memory, and connecting their interrupts.

use super::transport::{Cause, Isr, MmioTransport, PciLegacy, PciModern, REGISTERS, VirtioTransport};
use crate::mmio::Mmio;
use crate::pci::{Function, Msix};
use crate::platform::{self, Grant, Irq, IrqHandler};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

const VENDOR: u16 = 0x1af4;
/// MSI-X table entries used: configuration changes, all queues.
const ENTRY_CONFIG: u16 = 0;
const ENTRY_QUEUES: u16 = 1;

/// A virtio device that was found. When this is dropped, the device is reset: it forgets its rings and stops all DMA.
pub struct Device {
    /// Access to it.
    pub transport: VirtioTransport,
    route: Route,
}

enum Route {
    Pci(Function),
    Gsi(u32),
    Polled,
}

/// How a device's interrupts arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connected {
    /// MSI-X entry for the queues (and one for configuration changes, maybe the same).
    Msix,
    /// A level- or edge-triggered line, with the interrupt status register.
    Line,
    /// Not at all: the driver must be polled.
    Polled,
}

impl Device {
    /// The virtio device id, see [`super::id`].
    pub fn id(&self) -> u32 {
        self.transport.device_id()
    }

    /// Connects the interrupt: MSI-X if it works, otherwise a line. Called after feature negotiation; queue vectors are
    /// set by [`assign_queue`] as queues are made. `on_irq` runs in interrupt context.
    pub(super) fn connect(&mut self, on_irq: Arc<dyn Fn(Cause) + Send + Sync>) -> Connected {
        if self.connect_msix(&on_irq) {
            return Connected::Msix;
        }
        let irq = match &self.route {
            Route::Pci(f) => f.intx(),
            Route::Gsi(n) => Irq::MmioGsi(*n),
            Route::Polled => Irq::None,
        };
        let isr = self.transport.isr();
        match irq {
            Irq::None => Connected::Polled,
            _ => match platform::alloc_irq(irq, line_handler(isr, on_irq)) {
                Some(_) => {
                    if let Route::Pci(f) = &self.route {
                        f.enable_intx(true);
                    }
                    Connected::Line
                }
                None => Connected::Polled,
            },
        }
    }

    fn connect_msix(&mut self, on_irq: &Arc<dyn Fn(Cause) + Send + Sync>) -> bool {
        let Route::Pci(f) = &self.route else { return false };
        let Some(mut msix) = Msix::new(f) else { return false };
        let entries: &[(u16, Cause)] = if msix.entries() > ENTRY_QUEUES {
            &[(ENTRY_CONFIG, Cause::CONFIG), (ENTRY_QUEUES, Cause::QUEUE)]
        } else {
            &[(ENTRY_CONFIG, Cause::all())]
        };
        msix.enable();
        for &(entry, cause) in entries {
            let call = Arc::clone(on_irq);
            let handler: IrqHandler = Box::new(move || call(cause));
            match platform::alloc_irq(Irq::Msix { bdf: f.bdf, entry }, handler) {
                Some(Grant::Message(m)) => msix.set(entry, m),
                _ => {
                    msix.disable();
                    return false;
                }
            }
        }
        f.enable_intx(false);
        self.transport.msix_enabled();
        if !self.transport.set_config_vector(ENTRY_CONFIG) {
            libos_base::warn!("virtio {}: no vector for configuration changes", f.bdf);
        }
        true
    }

    /// Gives a queue its vector, before it is enabled; returns whether interrupts for it will arrive.
    pub(super) fn assign_queue(&mut self, how: Connected, queue: u16) -> bool {
        if how != Connected::Msix {
            return how == Connected::Line;
        }
        let entry = match &self.route {
            Route::Pci(f) => Msix::count(f).map_or(0, |n| ENTRY_QUEUES.min(n - 1)),
            _ => 0,
        };
        self.transport.set_queue_vector(queue, entry)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.transport.reset();
    }
}

fn line_handler(isr: Isr, on_irq: Arc<dyn Fn(Cause) + Send + Sync>) -> IrqHandler {
    Box::new(move || {
        let cause = isr.acknowledge();
        if !cause.is_empty() {
            on_irq(cause);
        }
    })
}

/// The virtio device id of a PCI function, if it is one (virtio 1.2, 4.1.2).
pub(crate) fn pci_device_id(vendor: u16, device: u16, subsystem: u16) -> Option<u32> {
    match device {
        _ if vendor != VENDOR => None,
        // Transitional: the subsystem id tells the type.
        0x1000..=0x103f => Some(subsystem.into()),
        0x1041..=0x107f => Some(u32::from(device) - 0x1040),
        _ => None,
    }
}

/// Takes the virtio devices among PCI functions. Modern structures are preferred, then the legacy ports. Devices
/// without either are skipped with a warning.
pub fn find_pci(functions: &[Function]) -> Vec<Device> {
    let mut found = Vec::new();
    for f in functions {
        let Some(id) = pci_device_id(f.vendor, f.device, f.subsystem()) else { continue };
        f.enable_dma();
        let transport = PciModern::new(f, id).map(VirtioTransport::Modern).or_else(|| {
            let io = f.bar(0).filter(|b| !b.memory && b.address != 0 && f.device < 0x1040)?;
            // SAFETY: I/O BAR 0 of a transitional virtio function, decoding was switched on above.
            Some(VirtioTransport::Legacy(unsafe { PciLegacy::new(io.address as u16, id) }))
        });
        match transport {
            Some(transport) => found.push(Device { transport, route: Route::Pci(f.clone()) }),
            None => libos_base::warn!("virtio {}: device {id} has no usable registers", f.bdf),
        }
    }
    found
}

/// Where a memory-mapped device may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmioSlot {
    /// Physical address of the registers.
    pub base: u64,
    /// Their size: at least 0x100.
    pub size: u64,
    /// Its interrupt, if known.
    pub gsi: Option<u32>,
}

/// Probes each slot; empty ones (device id 0) are normal.
///
/// # Safety
/// The slots must not be RAM.
pub unsafe fn find_mmio(slots: &[MmioSlot]) -> Vec<Device> {
    let mut found = Vec::new();
    for s in slots.iter().filter(|s| s.size as usize >= REGISTERS) {
        // SAFETY: the caller's.
        let Some(regs) = (unsafe { Mmio::map(s.base, s.size as usize) }) else { continue };
        let Some(t) = MmioTransport::new(regs) else { continue };
        found.push(Device { transport: VirtioTransport::Mmio(t), route: s.gsi.map_or(Route::Polled, Route::Gsi) });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        assert_eq!(pci_device_id(0x1af4, 0x1000, 1), Some(1));
        assert_eq!(pci_device_id(0x1af4, 0x1041, 0x1100), Some(1));
        assert_eq!(pci_device_id(0x1af4, 0x1044, 0), Some(4));
        assert_eq!(pci_device_id(0x1af4, 0x1040, 0), None);
        assert_eq!(pci_device_id(0x1af4, 0x1110, 0), None, "ivshmem");
        assert_eq!(pci_device_id(0x8086, 0x1000, 1), None);
    }
}
