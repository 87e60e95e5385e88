//! `virtio_net_hdr` (virtio 1.2, 5.1.6). All fields are little-endian: this driver is for x86.

pub(super) const NEEDS_CSUM: u8 = 1;
pub(super) const DATA_VALID: u8 = 2;
/// The longest form, and that without a number of merged buffers.
pub(super) const MAX: usize = 12;
const SHORT: usize = 10;

/// How the device cuts a large frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Gso {
    /// Not at all.
    #[default]
    None = 0,
    /// TCP over IPv4.
    Tcp4 = 1,
    /// TCP over IPv6.
    Tcp6 = 4,
}

/// What the device should do with a frame. The checksum field must hold the pseudo-header's sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxMeta {
    /// `Some((start, offset))`: sum the bytes from `start` on and store the result at `start + offset`.
    pub csum: Option<(u16, u16)>,
    /// Segmentation; needs `csum`.
    pub gso: Gso,
    /// TCP payload bytes per segment.
    pub gso_size: u16,
    /// Ethernet, IP and TCP headers together.
    pub header_len: u16,
}

impl TxMeta {
    /// Writes it as a header of 10 or 12 bytes.
    #[inline]
    pub(super) fn write(&self, header: &mut [u8]) {
        let Some((h, rest)) = header.split_first_chunk_mut::<SHORT>() else { return };
        *h = [0; SHORT];
        if let [low, high] = rest {
            (*low, *high) = (0, 0);
        }
        if let Some((start, offset)) = self.csum {
            h[0] = NEEDS_CSUM;
            h[6..8].copy_from_slice(&start.to_le_bytes());
            h[8..10].copy_from_slice(&offset.to_le_bytes());
        }
        if self.gso != Gso::None {
            h[1] = self.gso as u8;
            h[2..4].copy_from_slice(&self.header_len.to_le_bytes());
            h[4..6].copy_from_slice(&self.gso_size.to_le_bytes());
        }
    }
}

/// Whether the checksum of a received frame need not be verified: either the device did, or the frame never left the
/// host and only its pseudo-header was summed.
pub(super) fn checksum_good(flags: u8) -> bool {
    flags & (NEEDS_CSUM | DATA_VALID) != 0
}
