//! Block devices: what drivers offer and file systems use.
//!
//! A device works on batches. [`BlockDevice::submit`] takes many requests at once, so that a driver can merge neighbours
//! and notify the device once; their common [`Completion`] counts them and keeps the first error.

mod completion;
mod io;
mod registry;

pub use completion::Completion;
pub use io::{flush, read, write};
pub use registry::{devices, find, register};

use crate::page::Page;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The unit of positions and lengths, whatever the device's own block size.
pub const SECTOR: u64 = 512;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Device to memory.
    Read,
    /// Memory to device: handed over, but not yet durable if there is a volatile cache.
    Write,
    /// Makes everything durable that completed before this request was submitted. Writes still under way, even those of
    /// the same batch, are not covered.
    Flush,
    /// The content of these sectors is no longer needed; what they read as is unknown until they are written.
    Discard,
}

/// A piece of memory within one page.
#[derive(Clone)]
pub struct Segment {
    /// The page.
    pub page: Arc<Page>,
    /// Where it starts in the page.
    pub offset: usize,
    /// Length in bytes, a multiple of [`SECTOR`].
    pub len: usize,
}

/// One request: adjacent sectors, whose memory may lie in several pieces.
pub struct Request {
    /// What to do.
    pub op: Op,
    /// First sector.
    pub sector: u64,
    /// Number of sectors; for reads and writes the segments add up to exactly this many. 0 for flushes.
    pub sectors: u64,
    /// The memory, in the order of the sectors. Empty for flushes and discards.
    pub segments: Vec<Segment>,
}

impl Request {
    /// A flush.
    pub fn flush() -> Self {
        Self { op: Op::Flush, sector: 0, sectors: 0, segments: Vec::new() }
    }

    /// A discard.
    pub fn discard(sector: u64, sectors: u64) -> Self {
        Self { op: Op::Discard, sector, sectors, segments: Vec::new() }
    }

    /// Whether a device with `sectors` sectors can take this request: it is in range, and its memory has the right size
    /// and stays within its pages.
    pub fn valid(&self, sectors: u64) -> bool {
        let in_range = self.sector.checked_add(self.sectors).is_some_and(|end| end <= sectors);
        match self.op {
            Op::Flush => self.segments.is_empty(),
            Op::Discard => in_range && self.segments.is_empty(),
            Op::Read | Op::Write => {
                let mut bytes = 0;
                for s in &self.segments {
                    let page = crate::layout::PAGE_SIZE;
                    if s.len == 0
                        || !(s.len as u64).is_multiple_of(SECTOR)
                        || s.offset > page
                        || s.len > page - s.offset
                    {
                        return false;
                    }
                    bytes += s.len as u64;
                }
                in_range && bytes > 0 && self.sectors.checked_mul(SECTOR) == Some(bytes)
            }
        }
    }
}

/// A disk.
pub trait BlockDevice: Send + Sync {
    /// The name it has in `/dev`, such as `vda`.
    fn name(&self) -> &str;
    /// Its size.
    fn sectors(&self) -> u64;
    /// Whether writes fail.
    fn read_only(&self) -> bool;
    /// Whether there is a volatile cache that [`Op::Flush`] empties. Without one, written data is durable at once, or
    /// the device cannot promise anything.
    fn has_flush(&self) -> bool;
    /// Whether [`Op::Discard`] does anything.
    fn has_discard(&self) -> bool;
    /// The smallest transfer the device handles well, in bytes (usually 512 or 4096). Smaller writes work too.
    fn block_size(&self) -> u32;
    /// The name the host gives it; empty if it gives none.
    fn serial(&self) -> &str;
    /// Queues all requests, merging neighbours, with one notification; waits while the queue is full. Every request is
    /// counted in `done`. Errors: EIO; EROFS for writes to a read-only device. Not for interrupts or under spin locks.
    fn submit(&self, requests: Vec<Request>, done: &Arc<Completion>);
}
