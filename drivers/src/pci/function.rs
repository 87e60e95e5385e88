//! One PCI function.

use super::Bdf;
use super::config::ConfigAccess;
use crate::platform::Irq;

const COMMAND: u16 = 0x04;
const IO: u32 = 1;
const MEMORY: u32 = 1 << 1;
const MASTER: u32 = 1 << 2;
const NO_INTX: u32 = 1 << 10;

/// A capability's id and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Its type: 0x05 MSI, 0x09 vendor, 0x11 MSI-X, ...
    pub id: u8,
    /// Offset in configuration space, a multiple of 4.
    pub offset: u16,
    /// The upper half of the first word: what follows the type and the link.
    pub flags: u16,
}

/// A function that answered.
#[derive(Clone)]
pub struct Function {
    /// Its address.
    pub bdf: Bdf,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    header: u8,
    /// For interrupt pins: the device on the root bus, and the sum of the device numbers in between.
    pub(super) root: Bdf,
    pub(super) swizzle: u8,
    access: &'static dyn ConfigAccess,
}

impl Function {
    /// The function at `bdf`, if one answers.
    pub fn at(access: &'static dyn ConfigAccess, bdf: Bdf) -> Option<Self> {
        let id = access.read(bdf, 0);
        if id as u16 == 0xffff || id as u16 == 0 {
            return None;
        }
        let header = (access.read(bdf, 0x0c) >> 16) as u8;
        let (vendor, device) = (id as u16, (id >> 16) as u16);
        Some(Self { bdf, vendor, device, header, root: bdf, swizzle: 0, access })
    }

    /// Reads configuration space; `offset` is rounded down to a multiple of 4.
    pub fn read32(&self, offset: u16) -> u32 {
        self.access.read(self.bdf, offset)
    }

    /// Writes configuration space.
    pub fn write32(&self, offset: u16, value: u32) {
        self.access.write(self.bdf, offset, value);
    }

    /// Whether the device has functions other than 0.
    pub fn multifunction(&self) -> bool {
        self.header & 0x80 != 0
    }

    /// Whether it is a PCI-to-PCI bridge (which includes PCIe root ports).
    pub fn is_bridge(&self) -> bool {
        self.header & 0x7f == 1
    }

    /// The bus behind a bridge; 0 when firmware gave it none.
    pub fn secondary_bus(&self) -> u8 {
        (self.read32(0x18) >> 8) as u8
    }

    /// Subsystem id (of an ordinary function).
    pub fn subsystem(&self) -> u16 {
        (self.read32(0x2c) >> 16) as u16
    }

    /// Its capabilities. The list ends at a pointer outside of 0x40..0x100 and, as firmware or a device may have made a
    /// loop, after as many as there is room for.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        const MOST: usize = 48;
        const STATUS_HAS_LIST: u32 = 1 << 20;
        let mut next = if self.read32(COMMAND) & STATUS_HAS_LIST != 0 { self.read32(0x34) as u8 } else { 0 };
        let walk = core::iter::from_fn(move || {
            let at = next & !3;
            let head = (at >= 0x40).then(|| self.read32(at.into()))?;
            next = (head >> 8) as u8;
            Some(Capability { id: head as u8, offset: at.into(), flags: (head >> 16) as u16 })
        });
        walk.take(MOST)
    }

    /// Switches memory and I/O decoding to `bits` (of [`IO`] and [`MEMORY`]); returns what they were.
    pub(super) fn set_decoding(&self, bits: u32) -> u32 {
        let old = self.read32(COMMAND) & 0xffff;
        // The upper half is the status register: writing zeros there clears nothing.
        self.write32(COMMAND, old & !(IO | MEMORY) | bits);
        old & (IO | MEMORY)
    }

    /// Lets the function decode its BARs, become bus master and use its interrupt pin. (With MSI-X enabled it does not:
    /// PCI 3.0, 6.8.)
    pub fn enable(&self) {
        let old = self.read32(COMMAND) & 0xffff;
        self.write32(COMMAND, old & !NO_INTX | IO | MEMORY | MASTER);
    }

    /// The function's interrupt pin as it arrives at the root bus.
    pub fn intx(&self) -> Irq {
        let r = self.read32(0x3c);
        let (line, pin) = (r as u8, (r >> 8) as u8);
        if !(1..=4).contains(&pin) {
            return Irq::None;
        }
        Irq::IntxPin { line, pin: (pin - 1 + self.swizzle) % 4 + 1, root: self.root }
    }
}

/// Global system interrupt of a pin on the root bus of QEMU's q35, whose ICH9 routes by slot and does not need the
/// firmware's (8259) line: slots 0 to 24 use PIRQ E to H, slots 25 to 31 use PIRQ A to D.
pub fn q35_gsi(root_slot: u8, pin: u8) -> u32 {
    let intx = u32::from(pin - 1);
    match u32::from(root_slot) {
        slot @ 0..=24 => 16 + 4 + (slot + intx) % 4,
        _ => 16 + intx,
    }
}
