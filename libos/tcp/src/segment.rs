//! A segment as it arrives.

use crate::Seq;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

/// The parts of a TCP segment that a connection looks at. Its checksum was right.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    pub seq: Seq,
    pub ack: Seq,
    pub flags: u8,
    /// The window field, not scaled.
    pub window: u16,
    pub options: &'a [u8],
    pub data: &'a [u8],
}

impl Segment<'_> {
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
    /// Sequence numbers that it occupies.
    pub fn len(&self) -> u32 {
        self.data.len() as u32 + u32::from(self.has(SYN)) + u32::from(self.has(FIN))
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
