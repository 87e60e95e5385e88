//! Parts of blocks, on devices whose blocks are longer than a sector: the rest of the block is read first.

use super::Blk;
use super::chain::{Cutter, Limits};
use super::ring::Ring;
use alloc::sync::Arc;
use libos_base::Result;
use libos_base::block::{Completion, Op, Request, SECTOR, Segment};
use libos_base::memory::filled;
use libos_base::page::Page;

impl Blk {
    /// A read or write that does not begin or end at a block boundary. It is done when this returns.
    pub(super) fn unaligned(&self, ring: &Ring, r: &Request) -> Result<()> {
        let block = u64::from(self.info.block_size);
        let page = Page::new()?;
        let _one = self.changing.lock();
        let (mut at, end) = (r.sector * SECTOR, (r.sector + r.sectors) * SECTOR);
        let mut done = 0;
        while at < end {
            let start = at - at % block;
            let len = (start + block).min(end) - at;
            let (off, n) = ((at - start) as usize, len as usize);
            if r.op == Op::Read || len < block {
                self.block(ring, Op::Read, start, &page)?;
            }
            each(r, done, n, |segment, from, part, len| match r.op {
                Op::Read => segment.page.copy_from(from, &page, off + part, len),
                _ => page.copy_from(off + part, &segment.page, from, len),
            });
            if r.op == Op::Write {
                self.block(ring, Op::Write, start, &page)?;
            }
            done += n;
            at += len;
        }
        Ok(())
    }

    /// Transfers one block.
    fn block(&self, ring: &Ring, op: Op, pos: u64, page: &Arc<Page>) -> Result<()> {
        let done = Completion::new()?;
        let len = self.info.block_size as usize;
        let segments = filled(1, Segment { page: page.clone(), offset: 0, len })?;
        let r = Request { op, sector: pos / SECTOR, sectors: len as u64 / SECTOR, segments };
        let limits: &Limits = &self.limits;
        let mut cutter = Cutter::new(limits, |c| ring.add(c, &done));
        cutter.add(&r)?;
        cutter.finish();
        self.kick(ring, 0);
        done.wait()
    }
}

/// Calls `f` with (segment, offset in its page, offset from `skip`, length) for the bytes `skip .. skip + n` of a
/// request's memory.
fn each(r: &Request, skip: usize, n: usize, mut f: impl FnMut(&Segment, usize, usize, usize)) {
    let mut begin = 0;
    for s in &r.segments {
        let (from, to) = (skip.max(begin), (skip + n).min(begin + s.len));
        if from < to {
            f(s, s.offset + from - begin, from - skip, to - from);
        }
        begin += s.len;
    }
}
