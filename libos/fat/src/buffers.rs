//! The block buffer cache: allocation tables, directories and the sectors that describe the volume.
//!
//! A buffer is one page of the device. Changes stay here until a commit writes them ([`Buffers::write_back`]); the
//! phases of a commit decide what is changed when, so that a buffer never holds anything that must not be on the disk
//! yet.

use crate::geometry::Geometry;
use crate::io::Batch;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hashbrown::HashMap;
use libos_base::block::{BlockDevice, Op, SECTOR};
use libos_base::layout::PAGE_SIZE;
use libos_base::memory::filled;
use libos_base::page::Page;
use libos_base::{Errno, Result};

const PAGE: u64 = PAGE_SIZE as u64;
/// Buffers kept: 1 MiB.
const LIMIT: usize = 256;

struct Buffer {
    page: Arc<Page>,
    /// One bit per sector.
    dirty: u8,
    used: u64,
}

/// The cache of one volume.
pub struct Buffers {
    dev: Arc<dyn BlockDevice>,
    map: HashMap<u64, Buffer>,
    dirty: Vec<u64>,
    clock: u64,
    fat_at: u64,
    fat_len: u64,
    fats: u64,
    /// A read failed: some change may have stopped half way, so the next mount must check.
    pub failed: bool,
}

impl Buffers {
    /// The cache of a volume that fills `dev`.
    pub fn new(dev: Arc<dyn BlockDevice>, g: &Geometry) -> Self {
        Self {
            dev,
            map: HashMap::new(),
            dirty: Vec::new(),
            clock: 0,
            fat_at: g.fat_at,
            fat_len: g.fat_len,
            fats: g.fats,
            failed: false,
        }
    }
    /// Whether many changes are waiting: a commit is due.
    pub fn full(&self) -> bool {
        self.dirty.len() >= LIMIT / 2
    }
    /// Whether no changes are waiting.
    pub fn is_clean(&self) -> bool {
        self.dirty.is_empty()
    }

    /// The buffer of a page; `fresh`: its old content does not matter.
    fn get(&mut self, index: u64, fresh: bool) -> Result<&mut Buffer> {
        self.clock += 1;
        if !self.map.contains_key(&index) {
            if self.map.len() >= LIMIT {
                self.evict();
            }
            let page = Page::new()?;
            if !fresh {
                let end = self.dev.sectors() * SECTOR;
                let len = PAGE.min(end.checked_sub(index * PAGE).filter(|&n| n > 0).ok_or(Errno::EIO)?);
                let mut b = Batch::new();
                b.add(Op::Read, index * PAGE, &page, 0, len as usize)?;
                if let Err(e) = b.run(&*self.dev) {
                    self.failed = true;
                    return Err(e);
                }
            }
            self.map.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            self.map.insert(index, Buffer { page, dirty: 0, used: 0 });
        }
        let b = self.map.get_mut(&index).ok_or(Errno::EIO)?;
        b.used = self.clock;
        Ok(b)
    }
    /// Drops the older half of the clean buffers.
    fn evict(&mut self) {
        let floor = self.clock.saturating_sub(LIMIT as u64 / 4);
        self.map.retain(|_, b| b.dirty != 0 || b.used >= floor);
    }

    /// Copies bytes out.
    pub fn read(&mut self, mut at: u64, mut dst: &mut [u8]) -> Result<()> {
        while !dst.is_empty() {
            let off = (at % PAGE) as usize;
            let n = dst.len().min(PAGE_SIZE - off);
            let (now, rest) = dst.split_at_mut(n);
            self.get(at / PAGE, false)?.page.read(off, now);
            dst = rest;
            at += n as u64;
        }
        Ok(())
    }
    /// Changes bytes.
    pub fn write(&mut self, mut at: u64, mut src: &[u8]) -> Result<()> {
        while !src.is_empty() {
            let off = (at % PAGE) as usize;
            let n = src.len().min(PAGE_SIZE - off);
            self.dirty.try_reserve(1)?;
            let b = self.get(at / PAGE, n == PAGE_SIZE)?;
            b.page.write(off, &src[..n]);
            let was = b.dirty;
            for s in off / SECTOR as usize..=(off + n - 1) / SECTOR as usize {
                b.dirty |= 1 << s;
            }
            if was == 0 {
                self.dirty.push(at / PAGE);
            }
            src = &src[n..];
            at += n as u64;
        }
        Ok(())
    }
    /// Makes the device hold these bytes (whole sectors) unless it does already. Returns whether it did not. For what
    /// is otherwise written only as a copy of something else.
    pub fn make_equal(&mut self, at: u64, want: &[u8]) -> Result<bool> {
        let mut is = filled(want.len(), 0)?;
        libos_base::block::read(&*self.dev, at, &mut is)?;
        if is == want {
            return Ok(false);
        }
        libos_base::block::write(&*self.dev, at, want)?;
        Ok(true)
    }
    /// Changes bytes within one sector and writes that sector at once, regardless of other waiting changes.
    pub fn write_through(&mut self, at: u64, src: &[u8]) -> Result<()> {
        let dev = self.dev.clone();
        let b = self.get(at / PAGE, false)?;
        let off = (at % PAGE) as usize;
        b.page.write(off, src);
        let start = off - off % SECTOR as usize;
        let mut batch = Batch::new();
        batch.add(Op::Write, at - at % SECTOR, &b.page, start, SECTOR as usize)?;
        batch.run(&*dev)
    }
    /// Drops changes in a range that is no longer ours (a freed directory).
    pub fn forget(&mut self, at: u64, len: u64) {
        let mut pos = at;
        while pos < at + len {
            if let Some(b) = self.map.get_mut(&(pos / PAGE)) {
                b.dirty &= !(1 << (pos % PAGE / SECTOR));
            }
            pos += SECTOR;
        }
    }

    /// Writes every change, including those to each copy of the allocation table, and waits. Returns whether there were
    /// any. Changes that could not be written stay.
    pub fn write_back(&mut self) -> Result<bool> {
        self.dirty.sort_unstable();
        let mut batch = Batch::new();
        for copy in 0..self.fats {
            for index in &self.dirty {
                let Some(b) = self.map.get(index) else { continue };
                for s in (0..8).filter(|s| b.dirty & 1 << s != 0) {
                    let at = index * PAGE + s * SECTOR;
                    let in_fat = (self.fat_at..self.fat_at + self.fat_len).contains(&at);
                    if copy == 0 || in_fat {
                        let to = at + copy * self.fat_len;
                        batch.add(Op::Write, to, &b.page, (s * SECTOR) as usize, SECTOR as usize)?;
                    }
                }
            }
        }
        if batch.is_empty() {
            self.dirty.clear();
            return Ok(false);
        }
        batch.run(&*self.dev)?;
        for index in self.dirty.drain(..) {
            if let Some(b) = self.map.get_mut(&index) {
                b.dirty = 0;
            }
        }
        Ok(true)
    }
}
