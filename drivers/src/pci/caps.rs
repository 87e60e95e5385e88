//! The list of capabilities.

use super::Function;

/// A capability's id and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Its type: 0x05 MSI, 0x09 vendor, 0x11 MSI-X, ...
    pub id: u8,
    /// Offset in configuration space, a multiple of 4.
    pub offset: u16,
}

/// Walks the list. Ends at a pointer outside of 0x40..0x100 and, as firmware or a device may have made a loop, after
/// as many capabilities as there is room for.
pub struct Capabilities<'a> {
    f: &'a Function,
    next: u8,
    left: u8,
}

const MOST: u8 = 48;
const STATUS_HAS_LIST: u32 = 1 << 20;

impl<'a> Capabilities<'a> {
    pub(super) fn new(f: &'a Function) -> Self {
        let next = if f.read32(0x04) & STATUS_HAS_LIST != 0 { f.read32(0x34) as u8 } else { 0 };
        Self { f, next, left: MOST }
    }
}

impl Iterator for Capabilities<'_> {
    type Item = Capability;

    fn next(&mut self) -> Option<Capability> {
        let at = self.next & !3;
        if at < 0x40 || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let head = self.f.read32(at.into());
        self.next = (head >> 8) as u8;
        Some(Capability { id: head as u8, offset: at.into() })
    }
}
