//! Turns requests into chains of descriptors: neighbours are merged, and requests too long for the device are cut.

use super::config::Info;
use crate::dma::phys_of;
use crate::virtio::queue;
use alloc::vec::Vec;
use libos_base::block::{Op, Request, SECTOR, Segment};
use libos_base::memory::push;
use libos_base::{Errno, Result};

/// What the device is asked to do in one go.
pub(super) struct Chain {
    pub op: Op,
    pub sector: u64,
    pub sectors: u64,
    /// Keeps the memory alive.
    pub segments: Vec<Segment>,
    /// The same as the device sees them: physically adjacent pieces are one.
    pub pieces: Vec<queue::Segment>,
}

/// The limits of a chain.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub pieces: usize,
    pub piece_len: u32,
    pub discard: u32,
    pub discard_align: u32,
}

impl Limits {
    /// Header and status take two more descriptors of a chain.
    pub fn new(info: &Info, queue_size: u16) -> Self {
        Self {
            pieces: info.seg_max.min(queue_size.saturating_sub(2)).max(1).into(),
            piece_len: info.size_max,
            discard: info.discard,
            discard_align: info.discard_align,
        }
    }
}

impl Chain {
    fn new(op: Op, sector: u64) -> Self {
        Self { op, sector, sectors: 0, segments: Vec::new(), pieces: Vec::new() }
    }

    /// Whether a request at `sector` continues where this chain ends.
    fn ends_before(&self, op: Op, sector: u64) -> bool {
        self.op == op && self.sector + self.sectors == sector
    }

    /// Adds `s`; `false` when there is no room for all of it.
    fn push(&mut self, s: &Segment, limits: &Limits) -> Result<bool> {
        let writes = self.op == Op::Read;
        // After `offset` the page still has `len` bytes: `Request::valid`.
        let mut addr = phys_of(s.page.addr().wrapping_add(s.offset));
        let mut left = s.len as u32;
        let before = (self.pieces.len(), self.pieces.last().map(|p| p.len));
        if let Some(p) = self.pieces.last_mut()
            && p.addr + u64::from(p.len) == addr
        {
            // Whole sectors, however odd the device's limit is.
            let more = left.min(limits.piece_len - p.len);
            p.len += more;
            addr += u64::from(more);
            left -= more;
        }
        while left > 0 {
            if self.pieces.len() >= limits.pieces {
                // Undo: a segment goes in as a whole.
                self.pieces.truncate(before.0);
                if let (Some(p), Some(len)) = (self.pieces.last_mut(), before.1) {
                    p.len = len;
                }
                return Ok(false);
            }
            let len = left.min(limits.piece_len);
            push(&mut self.pieces, queue::Segment { addr, len, device_writes: writes })?;
            addr += u64::from(len);
            left -= len;
        }
        push(&mut self.segments, s.clone())?;
        self.sectors += s.len as u64 / SECTOR;
        Ok(true)
    }
}

/// Cuts a batch into chains, in its order; `take` receives them one by one.
pub(super) struct Cutter<'a, F: FnMut(Chain)> {
    limits: &'a Limits,
    open: Option<Chain>,
    take: F,
}

impl<'a, F: FnMut(Chain)> Cutter<'a, F> {
    pub fn new(limits: &'a Limits, take: F) -> Self {
        Self { limits, open: None, take }
    }

    /// Passes on what was collected.
    pub fn finish(&mut self) {
        if let Some(c) = self.open.take() {
            (self.take)(c);
        }
    }

    /// Adds the next request, a valid one. After an error part of it may have been passed on.
    pub fn add(&mut self, r: &Request) -> Result<()> {
        match r.op {
            Op::Read | Op::Write => self.transfer(r),
            Op::Flush => {
                self.finish();
                (self.take)(Chain::new(Op::Flush, 0));
                Ok(())
            }
            Op::Discard => {
                self.finish();
                self.discard(r);
                Ok(())
            }
        }
    }

    fn transfer(&mut self, r: &Request) -> Result<()> {
        let mut at = r.sector;
        for s in &r.segments {
            if self.open.as_ref().is_some_and(|c| !c.ends_before(r.op, at)) {
                self.finish();
            }
            let mut chain = self.open.take().unwrap_or_else(|| Chain::new(r.op, at));
            if !chain.push(s, self.limits)? {
                self.open = (chain.sectors > 0).then_some(chain);
                self.finish();
                chain = Chain::new(r.op, at);
                if !chain.push(s, self.limits)? {
                    self.split(r.op, at, s)?;
                    at += s.len as u64 / SECTOR;
                    continue;
                }
            }
            self.open = Some(chain);
            at += s.len as u64 / SECTOR;
        }
        Ok(())
    }

    /// A segment that does not fit even alone: the device takes only few and short pieces.
    fn split(&mut self, op: Op, mut at: u64, s: &Segment) -> Result<()> {
        let step = (self.limits.piece_len as usize).saturating_mul(self.limits.pieces);
        let (mut offset, mut left) = (s.offset, s.len);
        while left > 0 {
            let len = left.min(step);
            let mut chain = Chain::new(op, at);
            if !chain.push(&Segment { page: s.page.clone(), offset, len }, self.limits)? {
                return Err(Errno::EIO);
            }
            (self.take)(chain);
            offset += len;
            left -= len;
            at += len as u64 / SECTOR;
        }
        Ok(())
    }

    /// Discards the aligned inside of the range: the rest is a hint that is not followed.
    fn discard(&mut self, r: &Request) {
        let align = u64::from(self.limits.discard_align);
        let most = u64::from(self.limits.discard);
        let end = r.sector + r.sectors;
        let (mut at, end) = (r.sector.next_multiple_of(align), end - end % align);
        let step = if most >= align { most - most % align } else { most };
        while at < end && step > 0 {
            let sectors = step.min(end - at);
            (self.take)(Chain { sectors, ..Chain::new(Op::Discard, at) });
            at += sectors;
        }
    }
}
