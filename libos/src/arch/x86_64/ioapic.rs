//! I/O interrupt controllers (82093AA): wired interrupts of PCI INTx, virtio-mmio, ACPI and the serial port.

use libos_base::sync::{IrqSpinLock, class};

struct Controller {
    base: usize,
    first_gsi: u32,
    pins: u32,
}

static CONTROLLERS: IrqSpinLock<alloc::vec::Vec<Controller>> =
    IrqSpinLock::new(class::IRQ_CHIPS, alloc::vec::Vec::new());

const MASKED: u32 = 1 << 16;
const LEVEL: u64 = 1 << 15;
const ACTIVE_LOW: u64 = 1 << 13;

impl Controller {
    fn read(&self, reg: u32) -> u32 {
        // SAFETY: the mapped register window; the lock keeps select and data together.
        unsafe {
            (self.base as *mut u32).write_volatile(reg);
            ((self.base + 0x10) as *const u32).read_volatile()
        }
    }
    fn write(&self, reg: u32, v: u32) {
        // SAFETY: as above.
        unsafe {
            (self.base as *mut u32).write_volatile(reg);
            ((self.base + 0x10) as *mut u32).write_volatile(v);
        }
    }
    fn set_pin(&self, pin: u32, v: u64) {
        self.write(0x10 + pin * 2 + 1, (v >> 32) as u32);
        self.write(0x10 + pin * 2, v as u32);
    }
}

/// Adds a controller by its registers and masks its pins; returns how many it has.
pub fn add(base: usize, first_gsi: u32) -> u32 {
    let mut c = Controller { base, first_gsi, pins: 0 };
    c.pins = (c.read(1) >> 16 & 0xff) + 1;
    for p in 0..c.pins {
        // Its upper half is the destination, which `route` sets.
        c.write(0x10 + p * 2, MASKED);
    }
    let pins = c.pins;
    CONTROLLERS.lock().push(c);
    pins
}

/// Routes a wired interrupt to a vector on the CPU with `apic_id`. False when no controller has it.
pub fn route(gsi: u32, v: u8, apic_id: u32, level: bool, active_low: bool) -> bool {
    let list = CONTROLLERS.lock();
    let Some(c) = list.iter().find(|c| gsi >= c.first_gsi && gsi < c.first_gsi + c.pins) else { return false };
    let mut e = v as u64 | (apic_id as u64 & 0xff) << 56;
    if level {
        e |= LEVEL;
    }
    if active_low {
        e |= ACTIVE_LOW;
    }
    c.set_pin(gsi - c.first_gsi, e);
    true
}
