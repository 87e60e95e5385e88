//! What the firmware's tables say, read once at boot.

use crate::mm::mmio;
use alloc::vec::Vec;
use drivers::acpi::{self, Fadt, Mcfg, PhysMem, Tables};
use drivers::clock::{self, Sources, hpet, kvm, pm_timer};
use drivers::pci::Window;
use drivers::power::Power;
use drivers::topology::Topology;
use drivers::virtio::MmioSlot;
use libos_base::layout::virt_of;
use libos_base::sync::Once;
use libos_base::time::NS;

/// The machine.
pub struct Machine {
    /// Processors and interrupt controllers.
    pub topology: Topology,
    /// Fixed ACPI hardware.
    pub fadt: Option<Fadt>,
    /// Memory-mapped PCI configuration.
    pub mcfg: Option<Mcfg>,
    /// Free PCI addresses, from the DSDT.
    pub pci_window: Option<Window>,
    /// virtio-mmio devices in the DSDT.
    pub mmio: Vec<MmioSlot>,
    /// How to switch off.
    pub power: Power,
    /// Ticks per second of the processor's counter.
    pub counter_hz: u64,
    /// Register of the century in the CMOS clock; 0: none.
    century: u8,
}

static MACHINE: Once<Machine> = Once::new();

/// The machine, after [`read`].
pub fn machine() -> &'static Machine {
    MACHINE.get().expect("read at boot")
}

/// Firmware memory: the first MiB lies in the direct map, the rest is mapped on demand.
struct Memory;

impl PhysMem for Memory {
    fn bytes(&self, phys: u64, len: usize) -> Option<&[u8]> {
        let end = phys.checked_add(len as u64)?;
        if end > 1 << 46 {
            return None;
        }
        let at = if end <= 1 << 20 { virt_of(phys) } else { mmio::map(phys, len) };
        // SAFETY: mapped; firmware tables do not change.
        Some(unsafe { core::slice::from_raw_parts(at as *const u8, len) })
    }
}

/// Reads the tables. `rsdp`: the ACPI root pointer, when the boot protocol gave it.
pub fn read(rsdp: Option<u64>) {
    let tables = rsdp.or_else(|| acpi::scan_rsdp(&Memory)).and_then(|r| Tables::new(&Memory, r));
    let tables = tables.as_ref();
    let topology = tables.and_then(acpi::topology).or_else(|| drivers::mptable::topology(&Memory)).unwrap_or_default();
    let fadt = tables.and_then(Fadt::read);
    let dsdt = tables.and_then(|t| t.dsdt());
    let sources = Sources {
        pm_timer: fadt.as_ref().and_then(|f| f.pm_timer.as_ref()).and_then(pm_timer::Counter::new),
        // SAFETY: the address is the HPET's, as ACPI says.
        hpet: tables.and_then(acpi::hpet_address).and_then(|a| unsafe { hpet::Counter::new(a) }),
    };
    let counter_hz = clock::calibrate_tsc(&sources).unwrap_or_else(|| {
        libos_base::warn!("nothing tells how fast the clock runs: 1 GHz assumed, times will be wrong");
        NS
    });
    MACHINE.set(|| Machine {
        topology,
        mcfg: tables.and_then(acpi::mcfg),
        pci_window: dsdt.and_then(acpi::pci_window),
        mmio: dsdt.map(acpi::virtio_mmio).unwrap_or_default(),
        power: fadt.as_ref().map(Power::new).unwrap_or_default(),
        century: fadt.as_ref().map_or(0, |f| f.century),
        fadt,
        counter_hz,
    });
}

/// The machine's clock: nanoseconds since 1970, and by how much the true time may be later (kvmclock: 0, the CMOS
/// clock: a second). Neither may be read by two processors at the same time.
pub fn read_wall_clock() -> Option<(u64, u64)> {
    match (kvm::boot_wall_clock_ns(), kvm::vcpu_time()) {
        (Some(boot), Some(t)) => Some((boot + t.system_time, 0)),
        _ => drivers::rtc::read_unix_seconds(machine().century).map(|s| (s * NS, NS)),
    }
}
