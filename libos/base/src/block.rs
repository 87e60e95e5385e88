//! Block devices: what drivers offer and file systems use.
//!
//! A device works on batches. [`BlockDevice::submit`] takes many requests at once, so that a driver can merge neighbours
//! and notify the device once; their common [`Completion`] counts them and keeps the first error.

mod completion;
mod io;
#[cfg(not(unibody_kernel))]
pub mod mem;
mod registry;

pub use completion::Completion;
pub use io::{flush, read, write};
pub use registry::{devices, find, register};

use crate::page::Page;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What positions and lengths are counted in, whatever the device's own block size.
pub const SECTOR: u64 = 512;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Device to memory.
    Read,
    /// Memory to device: handed over, not yet durable where there is a volatile cache.
    Write,
    /// Makes durable what was completed before this request was submitted. Writes that are still under way, also those
    /// of the same batch, are not covered.
    Flush,
    /// The content of these sectors is no longer needed; what they read as is unknown until they are written.
    Discard,
}

/// A piece of memory within one page.
#[derive(Clone)]
pub struct Segment {
    /// The page.
    pub page: Arc<Page>,
    /// Where in it.
    pub offset: usize,
    /// Bytes, a multiple of [`SECTOR`].
    pub len: usize,
}

/// One request: adjacent sectors, whose memory may lie in many pieces.
pub struct Request {
    /// What to do.
    pub op: Op,
    /// First sector.
    pub sector: u64,
    /// How many; the segments have exactly as many (reads and writes). 0 for flushes.
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

    /// Whether the request is one that a device with `sectors` sectors can be asked: in range, and the memory of the
    /// right size and within its pages.
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
    /// As in `/dev`: `vda`.
    fn name(&self) -> &str;
    /// Its size.
    fn sectors(&self) -> u64;
    /// Writes fail.
    fn read_only(&self) -> bool;
    /// There is a volatile cache that [`Op::Flush`] empties. Without one, what was written is durable, or the device
    /// cannot promise anything.
    fn has_flush(&self) -> bool;
    /// [`Op::Discard`] does something.
    fn has_discard(&self) -> bool;
    /// Bytes that the device likes to be asked for at least (512 or 4096 as a rule). Smaller writes work too.
    fn block_size(&self) -> u32;
    /// What the host calls it; empty when it says nothing.
    fn serial(&self) -> &str;
    /// Queues all requests, merging neighbours, with one notification; waits while the queue is full. Every request is
    /// counted in `done`. Errors: EIO; EROFS for writes to a read-only device. Not for interrupts or under spin locks.
    fn submit(&self, requests: Vec<Request>, done: &Arc<Completion>);
}
