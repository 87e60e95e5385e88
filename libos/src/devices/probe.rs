//! Finding the devices.

use super::{machine, platform};
use alloc::boxed::Box;
use alloc::vec::Vec;
use drivers::pci::{self, ConfigAccess, Ecam, Function, PORTS};
use drivers::virtio::{Candidate, Device, MmioSlot, find_mmio, find_pci};
use libos_base::sync::{SpinLock, class};

/// Devices that no driver has taken: the part of the kernel that they are for takes them, if the image has it. Until
/// then nothing is done to them.
static KEPT: SpinLock<Vec<Candidate>> = SpinLock::new(class::DEVICES_KEPT, Vec::new());

/// Takes the next device of that kind ([`id`]), in the order in which they were found.
pub fn take_device(id: u32) -> Option<Device> {
    loop {
        let next = {
            let mut kept = KEPT.lock();
            let i = kept.iter().position(|d| d.id == id)?;
            kept.remove(i)
        };
        if let Some(device) = next.open() {
            return Some(device);
        }
    }
}

/// Keeps a device for the part of the kernel that will take it.
pub fn keep(device: Candidate) {
    KEPT.lock().push(device);
}

/// The devices on PCI and in the virtio-mmio slots that the command line, the DSDT or microvm's convention name.
pub fn probe(command_line: &[u8]) -> impl Iterator<Item = Candidate> {
    let slots = mmio_slots(command_line);
    // SAFETY: the command line and the DSDT name device registers.
    find_pci(pci_functions()).chain(unsafe { find_mmio(slots) })
}

fn pci_functions() -> Vec<Function> {
    const Q35_HOST_BRIDGE: (u16, u16) = (0x8086, 0x29c0);
    let m = machine();
    let functions = if PORTS.present() {
        pci::enumerate(&PORTS, None)
    } else if let Some(c) = &m.mcfg {
        // SAFETY: configuration space, as firmware says.
        let ecam = Box::leak(Box::new(unsafe { Ecam::new(c.base, c.buses.0..=c.buses.1) }));
        pci::enumerate(ecam as &'static dyn ConfigAccess, m.pci_window.clone().as_mut())
    } else {
        return Vec::new();
    };
    platform::set_q35(functions.iter().any(|f| (f.vendor, f.device) == Q35_HOST_BRIDGE));
    functions
}

fn mmio_slots(command_line: &[u8]) -> Vec<MmioSlot> {
    let named = unibody_proto::params::mmio_devices(command_line);
    let mut slots: Vec<MmioSlot> = named.map(|d| MmioSlot { base: d.base, size: d.size, gsi: Some(d.irq) }).collect();
    if slots.is_empty() {
        slots.extend(machine().mmio.iter().cloned());
    }
    slots
}
