//! Simple blocking access for rare work: mounting, superblocks, tools.

use super::{BlockDevice, Completion, Op, Request, SECTOR, Segment};
use crate::layout::PAGE_SIZE;
use crate::page::Page;
use crate::{Errno, Result};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Most bytes that one request carries.
const PIECE: usize = 32 * PAGE_SIZE;

/// Reads `buf.len()` bytes at byte `pos`, both multiples of a sector (else EINVAL).
pub fn read(device: &dyn BlockDevice, pos: u64, buf: &mut [u8]) -> Result<()> {
    check(pos, buf.len())?;
    let mut at = pos;
    for piece in buf.chunks_mut(PIECE) {
        let pages = pages_for(piece.len())?;
        run(device, Op::Read, at, piece.len(), &pages)?;
        for (page, part) in pages.iter().zip(piece.chunks_mut(PAGE_SIZE)) {
            page.read(0, part);
        }
        at += piece.len() as u64;
    }
    Ok(())
}

/// Writes `buf` at byte `pos`, both multiples of a sector (else EINVAL). Not durable before a [`flush`].
pub fn write(device: &dyn BlockDevice, pos: u64, buf: &[u8]) -> Result<()> {
    check(pos, buf.len())?;
    let mut at = pos;
    for piece in buf.chunks(PIECE) {
        let pages = pages_for(piece.len())?;
        for (page, part) in pages.iter().zip(piece.chunks(PAGE_SIZE)) {
            page.write(0, part);
        }
        run(device, Op::Write, at, piece.len(), &pages)?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// Makes earlier writes durable. Does nothing if there is no volatile cache.
pub fn flush(device: &dyn BlockDevice) -> Result<()> {
    if !device.has_flush() {
        return Ok(());
    }
    submit(device, Request::flush())
}

fn check(pos: u64, len: usize) -> Result<()> {
    if pos.is_multiple_of(SECTOR) && (len as u64).is_multiple_of(SECTOR) { Ok(()) } else { Err(Errno::EINVAL) }
}

fn pages_for(len: usize) -> Result<Vec<Arc<Page>>> {
    let mut pages = Vec::new();
    pages.try_reserve_exact(len.div_ceil(PAGE_SIZE))?;
    for _ in 0..len.div_ceil(PAGE_SIZE) {
        pages.push(Page::new()?);
    }
    Ok(pages)
}

fn run(device: &dyn BlockDevice, op: Op, pos: u64, len: usize, pages: &[Arc<Page>]) -> Result<()> {
    let mut segments = Vec::new();
    segments.try_reserve_exact(pages.len())?;
    segments.extend(pages.iter().enumerate().map(|(i, page)| Segment {
        page: page.clone(),
        offset: 0,
        len: PAGE_SIZE.min(len - i * PAGE_SIZE),
    }));
    submit(device, Request { op, sector: pos / SECTOR, sectors: len as u64 / SECTOR, segments })
}

fn submit(device: &dyn BlockDevice, request: Request) -> Result<()> {
    let done = Completion::new()?;
    let mut batch = Vec::new();
    batch.try_reserve_exact(1)?;
    batch.push(request);
    device.submit(batch, &done);
    done.wait()
}
