//! Feature negotiation, options and configuration space (virtio 1.2, 5.1.3 and 5.1.4).

use crate::virtio::feature::{ANY_LAYOUT, EVENT_IDX, VERSION_1};
use crate::virtio::transport::VirtioTransport;
use virtio_drivers::Result;

/// Feature bits.
pub(super) mod feature {
    pub const CSUM: u64 = 1 << 0;
    pub const GUEST_CSUM: u64 = 1 << 1;
    pub const MTU: u64 = 1 << 3;
    pub const MAC: u64 = 1 << 5;
    pub const HOST_TSO4: u64 = 1 << 11;
    pub const HOST_TSO6: u64 = 1 << 12;
    pub const MRG_RXBUF: u64 = 1 << 15;
    pub const STATUS: u64 = 1 << 16;
}

const MAC_OFFSET: usize = 0;
pub(super) const STATUS_OFFSET: usize = 6;
const MTU_OFFSET: usize = 10;
/// RFC 894; what a device without the MTU feature uses.
const ETHERNET_MTU: u16 = 1500;
/// Destination, source, type, and one 802.1Q tag.
pub(super) const ETHERNET_HEADER: usize = 18;

/// How much memory the driver may use.
#[derive(Clone, Debug)]
pub struct Options {
    /// Receive buffers (2 KiB each with the usual MTU).
    pub rx_buffers: u16,
    /// Send buffers for ordinary frames (2 KiB each).
    pub tx_buffers: u16,
    /// Send buffers for frames that the device segments.
    pub tx_large: u16,
    /// Their size, at most 64 KiB: the longest frame given to TSO, with its header.
    pub large_size: usize,
}

impl Options {
    /// Sized for a machine with this much RAM: at most about 1/64 of it.
    pub fn for_memory(bytes: u64) -> Self {
        let (rx_buffers, tx_buffers, tx_large, large_size) = match bytes >> 20 {
            0..4 => (16, 8, 2, 8 << 10),
            4..12 => (32, 16, 2, 16 << 10),
            12..32 => (64, 32, 2, 32 << 10),
            32..96 => (128, 64, 4, 64 << 10),
            _ => (256, 128, 8, 64 << 10),
        };
        Self { rx_buffers, tx_buffers, tx_large, large_size }
    }
}

/// The features to accept of those offered, with their dependencies (5.1.3.1).
pub(super) fn wanted(offered: u64) -> u64 {
    use feature::*;
    let offload = if offered & CSUM != 0 { CSUM | HOST_TSO4 | HOST_TSO6 } else { 0 };
    VERSION_1 | ANY_LAYOUT | EVENT_IDX | MAC | STATUS | MTU | MRG_RXBUF | GUEST_CSUM | offload
}

/// The agreed features.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed(pub u64);

impl Agreed {
    pub(super) fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }
    /// 12 bytes with `num_buffers`; the legacy header lacks it unless buffers are mergeable (5.1.6.1).
    pub(super) fn header_len(self) -> usize {
        if self.has(VERSION_1) || self.has(feature::MRG_RXBUF) { 12 } else { 10 }
    }
    /// Old devices want the header in a descriptor of its own.
    pub(super) fn split_header(self) -> bool {
        !self.has(VERSION_1) && !self.has(ANY_LAYOUT)
    }
}

/// What the kernel needs to know about the card.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Its address; random and locally administered when the device has none.
    pub mac: [u8; 6],
    /// Largest IP packet.
    pub mtu: u16,
    /// Frames may be sent with `csum_start` and `csum_offset`.
    pub tx_csum: bool,
    /// TCP over IPv4 may be sent in one piece of up to `max_frame` bytes.
    pub tso4: bool,
    /// The same over IPv6.
    pub tso6: bool,
    /// Longest Ethernet frame that the sender takes.
    pub max_frame: usize,
    pub(super) agreed: Agreed,
}

impl Info {
    pub(super) fn read(t: &VirtioTransport, agreed: Agreed, options: &Options) -> Result<Self> {
        let mut mac = [0; 6];
        if agreed.has(feature::MAC) {
            t.read_config(MAC_OFFSET, &mut mac)?;
        } else {
            libos_base::random::fill(&mut mac);
            mac[0] = mac[0] & 0xfe | 0x02;
        }
        let mtu = if agreed.has(feature::MTU) { t.config_u16(MTU_OFFSET)?.max(68) } else { ETHERNET_MTU };
        let large = options.tx_large > 0;
        Ok(Self {
            mac,
            mtu,
            tx_csum: agreed.has(feature::CSUM),
            tso4: large && agreed.has(feature::HOST_TSO4),
            tso6: large && agreed.has(feature::HOST_TSO6),
            max_frame: 0,
            agreed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::feature::*;
    use super::*;

    #[test]
    fn dependencies() {
        let all = CSUM | HOST_TSO4 | HOST_TSO6;
        assert_eq!(wanted(HOST_TSO4 | HOST_TSO6) & all, 0, "segmentation needs checksums");
        assert_eq!(wanted(all) & all, all);
    }

    #[test]
    fn headers() {
        assert_eq!(Agreed(0).header_len(), 10);
        assert_eq!(Agreed(MRG_RXBUF).header_len(), 12);
        assert_eq!(Agreed(VERSION_1).header_len(), 12);
        assert!(Agreed(0).split_header() && !Agreed(ANY_LAYOUT).split_header());
    }
}
