//! virtio: finding devices, transports, the queue, and one folder per device.

pub mod blk;
pub mod console;
mod find;
pub mod net;
pub mod p9;
pub mod queue;
pub mod rng;
pub mod transport;

pub use find::{Candidate, Device, MmioSlot, find_mmio, find_pci};
pub use transport::{Cause, VirtioTransport};

/// Device ids (virtio 1.2, 5).
pub mod id {
    /// Network card.
    pub const NET: u32 = 1;
    /// Disk.
    pub const BLOCK: u32 = 2;
    /// Console.
    pub const CONSOLE: u32 = 3;
    /// Entropy source.
    pub const RNG: u32 = 4;
    /// 9P.
    pub const P9: u32 = 9;
}

/// Feature bits that all devices share (virtio 1.2, 6; 6.3 for legacy).
pub mod feature {
    /// Legacy devices: descriptors may frame a message in any way.
    pub const ANY_LAYOUT: u64 = 1 << 27;
    /// `used_event` and `avail_event`.
    pub const EVENT_IDX: u64 = 1 << 29;
    /// Virtio 1.0 or later.
    pub const VERSION_1: u64 = 1 << 32;
    /// Addresses are the platform's: physical ones, as no IOMMU is ever switched on here. A device may refuse
    /// drivers that do not know this bit.
    pub const ACCESS_PLATFORM: u64 = 1 << 33;
}
