//! What the machine has: firmware tables, interrupt routing, devices, power.
//! Floor: machine.

mod firmware;
mod platform;
mod probe;

pub use firmware::{machine, read, read_wall_clock};
pub use platform::wire;
pub use probe::{keep, probe, take_device};

use crate::arch::interrupts;
use crate::mm::mmio;
use alloc::boxed::Box;

/// Wired interrupts, and the power button, whose interrupt calls `pressed`.
pub fn init_interrupts(pressed: fn()) {
    let m = machine();
    interrupts::init_wired(&m.topology, mmio::map);
    if let Some(f) = &m.fadt
        && m.power.enable_button(f)
    {
        let line = m.topology.overrides.iter().find(|o| u16::from(o.irq) == f.sci);
        let (gsi, low) = line.map_or((f.sci.into(), true), |o| (o.gsi, o.active_low));
        let on_event = move || {
            if m.power.button_pressed() {
                pressed();
            }
        };
        wire(gsi, Box::new(on_event), true, low);
    }
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
