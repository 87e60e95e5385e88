//! What the drivers ask of this kernel: register windows and interrupts.

use crate::arch::interrupts;
use crate::mm::mmio;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use drivers::platform::{Grant, Irq, IrqHandler, Platform};
use libos_base::sync::{SpinLock, class};

struct This;
drivers::define_platform!(This);

/// Wired interrupts that have a vector: devices on one line share it.
static WIRED: SpinLock<Vec<(u32, u8)>> = SpinLock::new(class::WIRED, Vec::new());
/// The Q35 chip set routes PCI pins to interrupts 16 and up; the older one to the line the firmware wrote down.
static PINS_FROM_16: AtomicBool = AtomicBool::new(false);

/// Records which chip set it is.
pub fn set_q35(q35: bool) {
    PINS_FROM_16.store(q35, Ordering::Relaxed);
}

impl Platform for This {
    fn map_mmio(phys: u64, len: usize) -> Option<usize> {
        Some(mmio::map(phys, len))
    }

    fn alloc_irq(irq: Irq, handler: IrqHandler) -> Option<Grant> {
        match irq {
            Irq::Msix { .. } => {
                let v = interrupts::allocate(handler).ok()?;
                Some(Grant::Message(interrupts::message(v)))
            }
            Irq::IntxPin { line, pin, root } => {
                let gsi = if PINS_FROM_16.load(Ordering::Relaxed) {
                    drivers::pci::q35_gsi(root.device, pin)
                } else if line < 24 {
                    line as u32
                } else {
                    return None;
                };
                wire(gsi, handler, true, true)
            }
            Irq::MmioGsi(gsi) => wire(gsi, handler, false, false),
            Irq::None => None,
        }
    }
}

/// Routes a wired interrupt to this CPU.
pub fn wire(gsi: u32, handler: IrqHandler, level: bool, active_low: bool) -> Option<Grant> {
    let known = WIRED.lock().iter().find(|w| w.0 == gsi).map(|w| w.1);
    if let Some(v) = known {
        interrupts::share(v, handler);
        return Some(Grant::Routed);
    }
    let v = interrupts::allocate(handler).ok()?;
    if !interrupts::route(gsi, v, level, active_low) {
        return None;
    }
    WIRED.lock().push((gsi, v));
    Some(Grant::Routed)
}
