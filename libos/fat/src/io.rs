//! Blocking transfers of pages and of zeros.

use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::Result;
use libos_base::block::{BlockDevice, Completion, Op, Request, SECTOR, Segment};
use libos_base::layout::PAGE_SIZE;
use libos_base::memory::{filled, push};
use libos_base::page::Page;

/// Requests that are submitted to the device together.
pub struct Batch {
    requests: Vec<Request>,
}

/// Most segments in one request: what every device accepts.
const SEGMENTS: usize = 64;

impl Batch {
    pub fn new() -> Self {
        Self { requests: Vec::new() }
    }
    /// Adds a piece of a page; if it continues where the last one ended, it joins that request.
    pub fn add(&mut self, op: Op, at: u64, page: &Arc<Page>, offset: usize, len: usize) -> Result<()> {
        let segment = Segment { page: page.clone(), offset, len };
        let (sector, sectors) = (at / SECTOR, len as u64 / SECTOR);
        if let Some(r) = self.requests.last_mut()
            && r.op == op
            && r.sector + r.sectors == sector
            && r.segments.len() < SEGMENTS
        {
            if let Some(s) = r.segments.last_mut()
                && Arc::ptr_eq(&s.page, page)
                && s.offset + s.len == offset
            {
                s.len += len;
            } else {
                push(&mut r.segments, segment)?;
            }
            r.sectors += sectors;
            return Ok(());
        }
        push(&mut self.requests, Request { op, sector, sectors, segments: filled(1, segment)? })
    }
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
    /// Submits everything and waits.
    pub fn run(self, dev: &dyn BlockDevice) -> Result<()> {
        if self.requests.is_empty() {
            return Ok(());
        }
        let done = Completion::new()?;
        dev.submit(self.requests, &done);
        done.wait()
    }
}

/// Writes zeros; `at` and `len` are multiples of a sector.
pub fn zero(dev: &dyn BlockDevice, mut at: u64, mut len: u64) -> Result<()> {
    let page = Page::new()?;
    while len > 0 {
        let mut batch = Batch::new();
        for _ in 0..256 {
            let n = len.min(PAGE_SIZE as u64);
            if n == 0 {
                break;
            }
            batch.add(Op::Write, at, &page, 0, n as usize)?;
            at += n;
            len -= n;
        }
        batch.run(dev)?;
    }
    Ok(())
}
