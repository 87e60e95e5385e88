//! What the machine has: firmware tables, interrupt routing, devices, power.

mod firmware;
mod platform;
mod probe;

pub use firmware::{machine, read, read_wall_clock};
pub use platform::wire;
pub use probe::{probe, take_device};

use crate::arch::ioapic;
use alloc::boxed::Box;
use alloc::vec::Vec;
use libos_base::abi::signal::SIGTERM;

/// I/O APICs, and the power button: SIGTERM for the program.
pub fn init_interrupts() {
    let mut next_gsi = 0;
    for (i, io) in machine().topology.ioapics.iter().enumerate() {
        // An MP table does not say where the later ones begin.
        let first = if i > 0 && io.gsi_base == 0 { next_gsi } else { io.gsi_base };
        next_gsi = first + ioapic::add(io.address, first);
    }
    let m = machine();
    if let Some(f) = &m.fadt
        && m.power.enable_button(f)
    {
        let line = m.topology.overrides.iter().find(|o| u16::from(o.irq) == f.sci);
        let (gsi, low) = line.map_or((f.sci.into(), true), |o| (o.gsi, o.active_low));
        wire(gsi, Box::new(on_power_event), true, low);
    }
}

fn on_power_event() {
    if machine().power.button_pressed() {
        crate::console::defer_signal(SIGTERM);
    }
}

/// Local APIC ids of all processors.
pub fn cpu_apic_ids() -> Vec<u32> {
    machine().topology.cpus.iter().map(|c| c.apic_id).collect()
}

/// Switches off. Returns only if the machine cannot.
pub fn power_off() {
    const MOMENT: u64 = 20_000_000;
    machine().power.off();
    let end = libos_base::time::after(MOMENT);
    while libos_base::time::monotonic_ns() < end {
        core::hint::spin_loop();
    }
    machine().power.reset();
}
