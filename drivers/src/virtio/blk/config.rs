//! Features, options and configuration space (virtio 1.2, 5.2.3 and 5.2.4).

use crate::virtio::feature::{ANY_LAYOUT, EVENT_IDX, VERSION_1};
use crate::virtio::transport::VirtioTransport;
use libos_base::block::SECTOR;
use libos_base::layout::PAGE_SIZE;
use virtio_drivers::{Error, Result};

/// Feature bits.
pub(super) mod feature {
    pub const SIZE_MAX: u64 = 1 << 1;
    pub const SEG_MAX: u64 = 1 << 2;
    pub const RO: u64 = 1 << 5;
    pub const BLK_SIZE: u64 = 1 << 6;
    pub const FLUSH: u64 = 1 << 9;
    pub const CONFIG_WCE: u64 = 1 << 11;
    pub const MQ: u64 = 1 << 12;
    pub const DISCARD: u64 = 1 << 13;
}

mod offset {
    pub const CAPACITY: usize = 0;
    pub const SIZE_MAX: usize = 8;
    pub const SEG_MAX: usize = 12;
    pub const BLK_SIZE: usize = 20;
    pub const WRITEBACK: usize = 32;
    pub const NUM_QUEUES: usize = 34;
    pub const MAX_DISCARD_SECTORS: usize = 36;
    pub const DISCARD_ALIGNMENT: usize = 44;
}

/// Segments per request when the device does not say how many it takes.
const SEGMENTS: u32 = 126;
/// Sectors that byte positions can count.
const MOST_SECTORS: u64 = (i64::MAX as u64) / SECTOR;

/// How much the driver may use.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most queues: one per processor.
    pub queues: u16,
    /// Entries per queue, where the device leaves the choice.
    pub entries: u16,
    /// The processor that runs the caller.
    pub cpu: fn() -> usize,
}

impl Options {
    /// Sized for a machine with this much RAM.
    pub fn for_machine(bytes: u64, cpus: usize, cpu: fn() -> usize) -> Self {
        let (queues, entries) = match bytes >> 20 {
            0..24 => (1, 64),
            24..96 => (cpus.min(2), 128),
            _ => (cpus, 256),
        };
        Self { queues: queues.clamp(1, 64) as u16, entries, cpu }
    }
}

pub(super) const WANTED: u64 = VERSION_1
    | ANY_LAYOUT
    | EVENT_IDX
    | feature::SIZE_MAX
    | feature::SEG_MAX
    | feature::RO
    | feature::BLK_SIZE
    | feature::FLUSH
    | feature::CONFIG_WCE
    | feature::MQ
    | feature::DISCARD;

/// What the device is.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Size in sectors.
    pub sectors: u64,
    /// Writes fail.
    pub read_only: bool,
    /// It has a volatile cache and a command that flushes it.
    pub flush: bool,
    /// Written data may be in a volatile cache that no command flushes.
    pub unsafe_cache: bool,
    /// Bytes that positions and lengths must be multiples of: 512 to 4096.
    pub block_size: u32,
    /// The longest segment in bytes, and the number of segments per request.
    pub(super) size_max: u32,
    pub(super) seg_max: u16,
    /// Longest discard and its alignment, in sectors; 0: there is none.
    pub(super) discard: u32,
    pub(super) discard_align: u32,
    /// Queues the device has.
    pub(super) queues: u16,
}

impl Info {
    pub(super) fn read(t: &VirtioTransport, agreed: u64) -> Result<Self> {
        let has = |bit| agreed & bit != 0;
        let optional = |bit, off, default| if has(bit) { t.config_u32(off) } else { Ok(default) };
        let discard = has(feature::DISCARD);
        Raw {
            capacity: capacity(t)?,
            size_max: optional(feature::SIZE_MAX, offset::SIZE_MAX, u32::MAX)?,
            seg_max: optional(feature::SEG_MAX, offset::SEG_MAX, SEGMENTS)?,
            blk_size: optional(feature::BLK_SIZE, offset::BLK_SIZE, SECTOR as u32)?,
            read_only: has(feature::RO),
            flush: has(feature::FLUSH),
            writeback: match has(feature::CONFIG_WCE) {
                true => {
                    let mut byte = [0];
                    t.read_config(offset::WRITEBACK, &mut byte)?;
                    Some(byte[0] != 0)
                }
                false => None,
            },
            queues: if has(feature::MQ) { t.config_u16(offset::NUM_QUEUES)? } else { 1 },
            discard: if discard { t.config_u32(offset::MAX_DISCARD_SECTORS)? } else { 0 },
            discard_align: if discard { t.config_u32(offset::DISCARD_ALIGNMENT)? } else { 1 },
        }
        .checked()
    }

    /// Whether the device takes this request as it is, or only in whole blocks.
    pub(super) fn aligned(&self, sector: u64, sectors: u64) -> bool {
        let block = u64::from(self.block_size) / SECTOR;
        sector.is_multiple_of(block) && sectors.is_multiple_of(block)
    }
}

/// The size, which is read in halves: repeated until it stays the same.
fn capacity(t: &VirtioTransport) -> Result<u64> {
    let read = || -> Result<u64> {
        let low = t.config_u32(offset::CAPACITY)?;
        Ok(u64::from(low) | u64::from(t.config_u32(offset::CAPACITY + 4)?) << 32)
    };
    let mut last = read()?;
    for _ in 0..16 {
        let now = read()?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
    Err(Error::IoError)
}

/// What the device reports about itself, which need not make sense.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw {
    pub capacity: u64,
    pub size_max: u32,
    pub seg_max: u32,
    pub blk_size: u32,
    pub read_only: bool,
    pub flush: bool,
    pub writeback: Option<bool>,
    pub queues: u16,
    pub discard: u32,
    pub discard_align: u32,
}

impl Raw {
    /// `Unsupported` for a device that this driver cannot work with.
    pub(super) fn checked(self) -> Result<Info> {
        let block = self.blk_size;
        if !block.is_power_of_two() || block < SECTOR as u32 || block as usize > PAGE_SIZE {
            libos_base::warn!("virtio-blk: blocks of {block} bytes are not supported");
            return Err(Error::Unsupported);
        }
        // A block must fit into one request in any case.
        if self.size_max < block {
            libos_base::warn!("virtio-blk: segments of {} bytes are not supported", self.size_max);
            return Err(Error::Unsupported);
        }
        let whole = u64::from(block) / SECTOR;
        let sectors = self.capacity.min(MOST_SECTORS);
        // 5.2.5.2: without CONFIG_WCE the cache is writeback if there is FLUSH, and otherwise the driver may hope for
        // writethrough at best. With it the device says which.
        Ok(Info {
            sectors: sectors - sectors % whole,
            read_only: self.read_only,
            flush: self.flush && self.writeback != Some(false),
            unsafe_cache: !self.flush && self.writeback != Some(false),
            block_size: block,
            size_max: (self.size_max - self.size_max % block).min(1 << 20),
            seg_max: self.seg_max.clamp(1, u32::from(u16::MAX) - 2) as u16,
            discard: self.discard - self.discard % whole as u32,
            discard_align: self.discard_align.max(whole as u32),
            queues: self.queues.max(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const PLAIN: Raw = Raw {
        capacity: 2048,
        size_max: u32::MAX,
        seg_max: 254,
        blk_size: 512,
        read_only: false,
        flush: true,
        writeback: Some(true),
        queues: 1,
        discard: 0,
        discard_align: 1,
    };

    #[test]
    fn nonsense_is_refused_or_cut() {
        for blk_size in [0, 1, 511, 768, 8192, 1 << 31] {
            assert!(Raw { blk_size, ..PLAIN }.checked().is_err(), "{blk_size}");
        }
        assert!(Raw { size_max: 511, ..PLAIN }.checked().is_err());
        assert!(Raw { size_max: 512, blk_size: 4096, ..PLAIN }.checked().is_err());
        let i = Raw { capacity: u64::MAX, seg_max: 0, queues: 0, size_max: 1000, ..PLAIN }.checked().unwrap();
        assert_eq!((i.seg_max, i.queues, i.size_max), (1, 1, 512));
        assert!(i.sectors.checked_mul(SECTOR).is_some_and(|b| b <= i64::MAX as u64));
        assert_eq!(Raw { capacity: 0, ..PLAIN }.checked().unwrap().sectors, 0);
        let odd = Raw { capacity: 2047, blk_size: 4096, discard: 13, ..PLAIN }.checked().unwrap();
        assert_eq!((odd.sectors, odd.discard), (2040, 8), "whole blocks only");
    }

    #[test]
    fn caches() {
        let of = |flush, writeback| {
            let i = Raw { flush, writeback, ..PLAIN }.checked().unwrap();
            (i.flush, i.unsafe_cache)
        };
        assert_eq!(of(true, Some(true)), (true, false));
        assert_eq!(of(true, None), (true, false));
        assert_eq!(of(true, Some(false)), (false, false), "write-through");
        assert_eq!(of(false, Some(false)), (false, false));
        assert_eq!(of(false, None), (false, true));
    }

    #[test]
    fn small_machines_get_small_queues() {
        let of = |mib: u64, cpus| {
            let o = Options::for_machine(mib << 20, cpus, || 0);
            (o.queues, o.entries)
        };
        assert_eq!([of(8, 4), of(64, 4), of(512, 4), of(4096, 500)], [(1, 64), (2, 128), (4, 256), (64, 256)]);
    }
}
