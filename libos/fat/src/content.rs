//! Content of files: allocating clusters for it, and moving it between the page cache and the device.

use crate::io::Batch;
use crate::object::{FatInode, PAGE};
use crate::table::{self, Run};
use alloc::sync::Arc;
use libos_base::block::{Op, SECTOR};
use libos_base::page::Page;
use libos_base::{Errno, Result};
use libos_fs::cache::{Backing, ErrorSeq, adjacent};

impl FatInode {
    /// Allocates clusters so that `end` bytes fit. Returns how many bytes fit now, or ENOSPC if not even `min` do. The
    /// clusters stay until [`Map::floor`] is lowered.
    pub(crate) fn reserve(&self, min: u64, end: u64) -> Result<u64> {
        let geo = &self.vol.geo;
        let size = u64::from(geo.cluster);
        let want = geo.clusters_for(end);
        {
            let mut map = self.map.lock();
            if table::total(&map.runs) >= want {
                map.floor = want;
                return Ok(end);
            }
        }
        let mut m = self.vol.meta.lock();
        let mut tried = false;
        loop {
            let (have, last) = {
                let mut map = self.map.lock();
                map.floor = want;
                (table::total(&map.runs), table::last(&map.runs))
            };
            if have >= want {
                return Ok(end);
            }
            match m.table.alloc(last, want - have, true) {
                Ok(run) => table::append(&mut self.map.lock().runs, run)?,
                Err(Errno::ENOSPC) if !tried => {
                    tried = true;
                    self.vol.reclaim(&mut m)?;
                }
                Err(Errno::ENOSPC) if u64::from(have) * size > min => return Ok(u64::from(have) * size),
                Err(e) => return Err(e),
            }
            self.vol.trim(&mut m)?;
        }
    }
    pub(crate) fn release_floor(&self) {
        self.map.lock().floor = 0;
    }

    /// Fills the device with zeros from `valid` to `to`. `io` is held.
    pub(crate) fn make_valid(&self, to: u64) -> Result<()> {
        let valid = self.map.lock().valid;
        if valid >= to {
            return Ok(());
        }
        let mut at = valid;
        if !at.is_multiple_of(SECTOR) {
            // The sector in which the valid part ends.
            let start = at - at % SECTOR;
            let page = Page::new()?;
            self.transfer(Op::Read, start, core::slice::from_ref(&page), SECTOR)?;
            page.zero((at % SECTOR) as usize, SECTOR as usize);
            self.transfer(Op::Write, start, core::slice::from_ref(&page), SECTOR)?;
            at = start + SECTOR;
        }
        let end = to.next_multiple_of(SECTOR);
        let geo = self.vol.geo;
        let size = u64::from(geo.cluster);
        while at < end {
            let run = {
                let map = self.map.lock();
                *table::find(&map.runs, (at / size) as u32).ok_or(Errno::EIO)?
            };
            let run_end = u64::from(run.index + run.len) * size;
            let n = run_end.min(end) - at;
            crate::io::zero(&*self.vol.dev, geo.at(run.start) + at - u64::from(run.index) * size, n)?;
            self.vol.wrote();
            at += n;
        }
        let mut map = self.map.lock();
        map.valid = map.valid.max(to);
        Ok(())
    }
    /// Like `make_valid`, for callers that do not hold `io`.
    pub fn fill(&self, to: u64) -> Result<()> {
        if self.map.lock().valid >= to {
            return Ok(());
        }
        let _io = self.io.lock();
        self.make_valid(to)
    }

    /// Moves pages from byte `pos` on, `len` bytes in all (whole sectors), run by run.
    pub(crate) fn transfer(&self, op: Op, pos: u64, pages: &[Arc<Page>], len: u64) -> Result<()> {
        let mut batch = Batch::new();
        self.gather(&mut batch, op, pos, pages, len)?;
        batch.run(&*self.vol.dev)
    }
    /// The same as part of a batch.
    pub(crate) fn gather(&self, batch: &mut Batch, op: Op, pos: u64, pages: &[Arc<Page>], len: u64) -> Result<()> {
        let geo = &self.vol.geo;
        let size = u64::from(geo.cluster);
        let map = self.map.lock();
        let mut done = 0;
        let mut run: Option<&Run> = None;
        while done < len {
            let at = pos + done;
            let index = (at / size) as u32;
            let r = match run.filter(|r| index - r.index < r.len) {
                Some(r) => r,
                None => table::find(&map.runs, index).ok_or(Errno::EIO)?,
            };
            run = Some(r);
            let run_end = u64::from(r.index + r.len) * size;
            let off = done % PAGE;
            let n = (run_end - at).min(PAGE - off).min(len - done);
            let device = geo.at(r.start) + at - u64::from(r.index) * size;
            batch.add(op, device, &pages[(done / PAGE) as usize], off as usize, n as usize)?;
            done += n;
        }
        Ok(())
    }
    /// Writes a batch of content that ends at `end`. `io` is held.
    pub(crate) fn write_batch(&self, batch: Batch, end: u64) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        batch.run(&*self.vol.dev)?;
        self.vol.wrote();
        let mut map = self.map.lock();
        map.valid = map.valid.max(end);
        Ok(())
    }

    /// How many bytes of `n` pages from `index` on have clusters on the device.
    pub(crate) fn backed(&self, index: u64, n: usize) -> u64 {
        let size = u64::from(self.vol.geo.cluster);
        let end = u64::from(table::total(&self.map.lock().runs)) * size;
        end.saturating_sub(index * PAGE).min(n as u64 * PAGE)
    }
}

impl Backing for FatInode {
    fn fs_errors(&self) -> Option<&ErrorSeq> {
        Some(&self.vol.errors)
    }
    fn read_pages(&self, index: u64, pages: &[Arc<Page>]) -> Result<()> {
        let valid = self.map.lock().valid;
        let end = valid.saturating_sub(index * PAGE).min(self.backed(index, pages.len()));
        if end == 0 {
            return Ok(());
        }
        self.transfer(Op::Read, index * PAGE, pages, end.next_multiple_of(SECTOR))?;
        if !end.is_multiple_of(SECTOR) {
            let (page, off) = (&pages[(end / PAGE) as usize], (end % PAGE) as usize);
            page.zero(off, off.next_multiple_of(SECTOR as usize));
        }
        Ok(())
    }
    fn write_pages(&self, index: u64, pages: &[Arc<Page>]) -> Result<()> {
        let _io = self.io.lock();
        let len = self.backed(index, pages.len());
        if len == 0 {
            return Ok(());
        }
        self.make_valid(index * PAGE)?;
        let mut batch = Batch::new();
        self.gather(&mut batch, Op::Write, index * PAGE, pages, len)?;
        self.write_batch(batch, index * PAGE + len)
    }
    fn write_scattered(&self, indices: &[u64], pages: &[Arc<Page>]) -> Result<()> {
        let _io = self.io.lock();
        let (mut batch, mut end) = (Batch::new(), 0);
        for (index, run) in adjacent(indices) {
            let pages = &pages[run];
            let len = self.backed(index, pages.len());
            if len == 0 {
                continue;
            }
            let valid = self.map.lock().valid.max(end);
            if valid < index * PAGE {
                // Zeros are needed in between, so what comes before them is written first.
                self.write_batch(core::mem::replace(&mut batch, Batch::new()), end)?;
                self.make_valid(index * PAGE)?;
            }
            self.gather(&mut batch, Op::Write, index * PAGE, pages, len)?;
            end = index * PAGE + len;
        }
        self.write_batch(batch, end)
    }
    fn sparse(&self) -> bool {
        true
    }
}
