//! Byte scans of AML. A name or a resource template is found by its encoding (ACPI 6.5, 20.2 and 6.4), without
//! executing anything: what virtual machine monitors generate is constant.

use super::{u16_at, u32_at, u64_at};
use crate::pci::Window;
use crate::virtio::MmioSlot;
use alloc::vec::Vec;

const NAME_OP: u8 = 0x08;
const PACKAGE_OP: u8 = 0x12;
const HEADER: usize = 36;
const MOST_DEVICES: usize = 64;

fn positions<'a>(aml: &'a [u8], what: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    aml.windows(what.len()).enumerate().filter(move |(_, w)| *w == what).map(|(i, _)| i)
}

/// SLP_TYPa and SLP_TYPb of `Name (_S5_, Package () {a, b, ...})`.
pub fn s5_types(dsdt: &[u8]) -> Option<(u8, u8)> {
    let aml = dsdt.get(HEADER..)?;
    positions(aml, b"_S5_").find_map(|at| {
        // It may be an absolute name, too.
        let before = at.checked_sub(1).map(|i| aml[i])?;
        let named = before == NAME_OP || before == b'\\' && at >= 2 && aml[at - 2] == NAME_OP;
        let rest = aml.get(at + 4..).filter(|r| named && r.first() == Some(&PACKAGE_OP))?;
        // PkgLength takes 1 to 4 bytes, as its first byte's top two bits say; then comes the number of elements.
        let length_bytes = usize::from(rest.get(1)? >> 6) + 1;
        let elements = rest.get(1 + length_bytes + 1..)?;
        let (a, used) = integer(elements)?;
        let b = elements.get(used..).and_then(integer).map_or(a, |(b, _)| b);
        Some((a as u8 & 7, b as u8 & 7))
    })
}

/// Address of bus 0's memory-mapped configuration space, as a host bridge's `_CBA` gives it: a name, or a method that
/// returns a constant. (QEMU's microvm has no MCFG.)
pub(super) fn ecam_base(dsdt: &[u8]) -> Option<u64> {
    const RETURN_OP: u8 = 0xa4;
    let aml = dsdt.get(HEADER..)?;
    positions(aml, b"_CBA").find_map(|at| {
        let rest = aml.get(at + 4..)?;
        let value = match at.checked_sub(1).map(|i| aml[i]) {
            Some(NAME_OP) => rest,
            // A method's name is followed by its flags.
            _ => rest.get(2..).filter(|_| rest[1] == RETURN_OP)?,
        };
        let base = match value.first()? {
            0x0e => u64_at(value, 1)?,
            _ => integer(value)?.0.into(),
        };
        Some(base).filter(|b| *b != 0 && b.is_multiple_of(1 << 20))
    })
}

/// The generic event device that stands in for the PM1 events of a hardware-reduced machine (ACPI 6.5, 5.6.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ged {
    /// Its interrupt.
    pub gsi: u32,
    /// Physical address of the 32-bit register that holds the pending events and clears them when read.
    pub selector: u64,
    /// The power button's bit in it.
    pub power_button: u32,
}

/// QEMU's generic event device. The meaning of the bits is in AML code only, hence known for tables that QEMU made
/// (OEM id "BOCHS ") and no others.
pub(super) fn ged(dsdt: &[u8]) -> Option<Ged> {
    const QEMU_POWER_DOWN: u32 = 2;
    if dsdt.get(10..16) != Some(b"BOCHS ".as_slice()) {
        return None;
    }
    let aml = &dsdt[HEADER..];
    let body = &aml[positions(aml, b"ACPI0013\0").next()?..];
    let interrupt = positions(body, &[0x89, 0x06, 0x00]).next()?;
    // OperationRegion (name, SystemMemory, address, length)
    let region = positions(body, &[0x5b, 0x80]).next()?;
    let space = *body.get(region + 6)?;
    let (selector, _) = integer(body.get(region + 7..)?)?;
    let gsi = u32_at(body, interrupt + 5)?;
    (space == 0 && selector != 0).then_some(Ged { gsi, selector: selector.into(), power_button: QEMU_POWER_DOWN })
}

/// An integer constant and the number of bytes that it takes.
fn integer(b: &[u8]) -> Option<(u32, usize)> {
    Some(match b.first()? {
        0x00 => (0, 1),
        0x01 => (1, 1),
        0x0a => (u32::from(*b.get(1)?), 2),
        0x0b => (u32::from(u16_at(b, 1)?), 3),
        0x0c => (u32_at(b, 1)?, 5),
        _ => return None,
    })
}

/// The virtio-mmio devices (`_HID "LNRO0005"`): one Memory32Fixed and one Interrupt descriptor each.
pub fn virtio_mmio(dsdt: &[u8]) -> Vec<MmioSlot> {
    const HID: &[u8] = b"LNRO0005\0";
    let aml = dsdt.get(HEADER..).unwrap_or(&[]);
    let mut slots = Vec::new();
    let mut hids = positions(aml, HID).take(MOST_DEVICES).peekable();
    while let Some(at) = hids.next() {
        // A device's resources lie after its _HID and before the next device's.
        let end = hids.peek().copied().unwrap_or(aml.len()).min(at + 512);
        let body = &aml[at + HID.len()..end.max(at + HID.len())];
        let memory = positions(body, &[0x86, 0x09, 0x00])
            .next()
            .and_then(|m| Some((u32_at(body, m + 4)?, u32_at(body, m + 8)?)));
        let gsi = positions(body, &[0x89, 0x06, 0x00]).next().and_then(|i| u32_at(body, i + 5));
        if let Some((base, size)) = memory.filter(|m| m.0 != 0) {
            slots.push(MmioSlot { base: base.into(), size: size.into(), gsi });
        }
    }
    slots
}

/// The largest 32-bit memory window of a PCI host bridge (a DWord address space descriptor of type memory).
pub fn pci_window(dsdt: &[u8]) -> Option<Window> {
    let aml = dsdt.get(HEADER..)?;
    let descriptors = positions(aml, &[0x87, 0x17, 0x00, 0x00]);
    let windows = descriptors.filter_map(|d| {
        let (min, max, len) = (u32_at(aml, d + 10)?, u32_at(aml, d + 14)?, u32_at(aml, d + 22)?);
        // The numbers of a chance match do not add up.
        let sound = max > min && u64::from(max) - u64::from(min) + 1 == u64::from(len) && min >= 1 << 20;
        sound.then_some(Window { next: min.into(), end: u64::from(max) + 1 })
    });
    windows.max_by_key(|w| w.end - w.next)
}
