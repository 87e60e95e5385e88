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

/// A virtio device that was found and belongs to no driver yet. Nothing was done to it.
pub struct Candidate {
    /// The virtio device id, see [`super::id`].
    pub id: u32,
    place: Place,
}

enum Place {
    Pci(Function),
    Mmio(MmioTransport, Option<u32>),
}

/// A virtio device, ready for its driver. When this is dropped, the device is reset: it forgets its rings and stops all
/// DMA.
pub struct Device {
    /// Access to it.
    pub transport: VirtioTransport,
    route: Route,
    /// The MSI-X entry of its queues.
    queues_entry: u16,
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

impl Candidate {
    /// Looks for its registers. Modern structures are preferred, then the legacy ports. `None`, and a warning, without
    /// either.
    pub fn open(self) -> Option<Device> {
        let id = self.id;
        let (transport, route) = match self.place {
            Place::Mmio(t, gsi) => (VirtioTransport::Mmio(t), gsi.map_or(Route::Polled, Route::Gsi)),
            Place::Pci(f) => {
                f.enable();
                let Some(transport) = pci_transport(&f, id) else {
                    libos_base::warn!("virtio {}: device {id} has no usable registers", f.bdf);
                    return None;
                };
                (transport, Route::Pci(f))
            }
        };
        Some(Device { transport, route, queues_entry: ENTRY_QUEUES })
    }
}

fn pci_transport(f: &Function, id: u32) -> Option<VirtioTransport> {
    PciModern::new(f, id).map(VirtioTransport::Modern).or_else(|| {
        let io = f.bar(0).filter(|b| !b.memory && b.address != 0 && f.device < 0x1040)?;
        // SAFETY: I/O BAR 0 of a transitional virtio function, whose decoding is on.
        Some(VirtioTransport::Legacy(unsafe { PciLegacy::new(io.address as u16, id) }))
    })
}

impl Device {
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
                Some(_) => Connected::Line,
                None => Connected::Polled,
            },
        }
    }

    fn connect_msix(&mut self, on_irq: &Arc<dyn Fn(Cause) + Send + Sync>) -> bool {
        let Route::Pci(f) = &self.route else { return false };
        let Some(msix) = Msix::new(f) else { return false };
        let causes: &[Cause] =
            if msix.entries() > ENTRY_QUEUES { &[Cause::CONFIG, Cause::QUEUE] } else { &[Cause::all()] };
        let grant = |(entry, &cause)| {
            let call = Arc::clone(on_irq);
            let handler: IrqHandler = Box::new(move || call(cause));
            match platform::alloc_irq(Irq::Msix { bdf: f.bdf, entry }, handler) {
                Some(Grant::Message(m)) => Some(m),
                _ => None,
            }
        };
        let Some(messages) = (0..).zip(causes).map(grant).collect::<Option<Vec<_>>>() else { return false };
        msix.enable(&messages);
        self.queues_entry = ENTRY_QUEUES.min(msix.entries() - 1);
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
        self.transport.set_queue_vector(queue, self.queues_entry)
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

/// The virtio device id of a PCI function, if it is one (virtio 1.2, 4.1.2). Transitional devices have it as their
/// subsystem id.
pub(crate) fn pci_device_id(vendor: u16, device: u16, subsystem: impl FnOnce() -> u16) -> Option<u32> {
    match device {
        _ if vendor != VENDOR => None,
        0x1000..=0x103f => Some(subsystem().into()),
        0x1041..=0x107f => Some(u32::from(device) - 0x1040),
        _ => None,
    }
}

/// Takes the virtio devices among PCI functions.
pub fn find_pci(functions: Vec<Function>) -> impl Iterator<Item = Candidate> {
    functions.into_iter().filter_map(|f| {
        let id = pci_device_id(f.vendor, f.device, || f.subsystem())?;
        Some(Candidate { id, place: Place::Pci(f) })
    })
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
pub unsafe fn find_mmio(slots: Vec<MmioSlot>) -> impl Iterator<Item = Candidate> {
    slots.into_iter().filter(|s| s.size as usize >= REGISTERS).filter_map(|s| {
        // SAFETY: the caller's.
        let t = MmioTransport::new(unsafe { Mmio::map(s.base, s.size as usize) }?)?;
        Some(Candidate { id: t.device_id(), place: Place::Mmio(t, s.gsi) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        assert_eq!(pci_device_id(0x1af4, 0x1000, || 1), Some(1));
        assert_eq!(pci_device_id(0x1af4, 0x1041, || 0x1100), Some(1));
        assert_eq!(pci_device_id(0x1af4, 0x1044, || 0), Some(4));
        assert_eq!(pci_device_id(0x1af4, 0x1040, || 0), None);
        assert_eq!(pci_device_id(0x1af4, 0x1110, || 0), None, "ivshmem");
        assert_eq!(pci_device_id(0x8086, 0x1000, || 1), None);
    }
}
