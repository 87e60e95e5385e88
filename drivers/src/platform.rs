//! What the drivers need from the kernel.

use crate::pci::Bdf;
use alloc::boxed::Box;

/// Runs in interrupt context: interrupts off, must not block. For level-triggered interrupts it acknowledges the
/// device before it returns; the kernel sends the EOI afterwards.
pub type IrqHandler = Box<dyn Fn() + Send + Sync>;

/// An interrupt that a device can raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Irq {
    /// Entry `entry` of the function's MSI-X table: edge-triggered, delivered by the message the kernel picks.
    Msix {
        /// The function.
        bdf: Bdf,
        /// Index into its MSI-X table.
        entry: u16,
    },
    /// A PCI interrupt pin: level-triggered, active low, shared.
    IntxPin {
        /// The interrupt line register: the firmware's (8259) number, 0xff if it set none.
        line: u8,
        /// 1 to 4 for INTA to INTD, as it appears on the root bus after swizzling through bridges.
        pin: u8,
        /// The device on the root bus whose slot counts for routing (a bridge, if the function is behind one).
        root: Bdf,
    },
    /// A global system interrupt of a memory-mapped virtio device: edge-triggered on microvm and Firecracker.
    MmioGsi(u32),
    /// There is none: the driver must be polled.
    None,
}

/// Address and data of a message-signalled interrupt (Intel SDM vol. 3, 11.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// 0xfee00000 with the target CPU.
    pub address: u64,
    /// Vector and delivery mode.
    pub data: u32,
}

/// How the kernel connected an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// For [`Irq::Msix`]: what to write into the table.
    Message(Message),
    /// For the others: routed and unmasked.
    Routed,
}

libos_base::upcalls! {
    ($)
    /// What the drivers need from the kernel. On a host there are no registers or interrupts of a machine.
    trait Platform, defined by define_platform, on the host by Host;
    /// Maps device registers uncached and returns their virtual address; the same range may be requested twice.
    /// `phys` need not be page-aligned. `None` when there is no address space left.
    fn map_mmio(phys: u64, len: usize) -> Option<usize>;
    /// Connects an interrupt to a handler. `None`: it cannot be delivered; the driver then tries the next kind.
    fn alloc_irq(irq: drivers::platform::Irq, handler: drivers::platform::IrqHandler) -> Option<drivers::platform::Grant>;
}

#[cfg(not(unibody_kernel))]
struct Host;

#[cfg(not(unibody_kernel))]
impl Platform for Host {
    fn map_mmio(_: u64, _: usize) -> Option<usize> {
        None
    }
    fn alloc_irq(_: Irq, _: IrqHandler) -> Option<Grant> {
        None
    }
}
