//! The allocation table: entries, chains, free clusters.

use crate::buffers::Buffers;
use crate::geometry::{FIRST, Geometry, Kind};
use alloc::vec::Vec;
use libos_base::block::SECTOR;
use libos_base::{Errno, Result, memory};

/// Entry values, widened to 32 bits.
pub const FREE: u32 = 0;
pub const BAD: u32 = 0x0fff_fff7;
pub const END: u32 = 0x0fff_ffff;

/// Consecutive clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Index within its file of the first one.
    pub index: u32,
    pub start: u32,
    pub len: u32,
}

/// The table of one volume, on its buffers.
pub struct Table {
    pub geo: Geometry,
    pub buf: Buffers,
    /// Number of clusters that can be allocated, once counted.
    pub free: Option<u32>,
    /// Where to start looking for a free cluster.
    next: u32,
}

impl Table {
    /// `free`: the count, if the volume vouches for it.
    pub fn new(geo: Geometry, buf: Buffers, free: Option<u32>) -> Self {
        Self { geo, buf, free, next: FIRST }
    }
    fn place(&self, cluster: u32) -> (u64, usize) {
        let c = u64::from(cluster);
        match self.geo.kind {
            Kind::Fat12 => (self.geo.fat_at + c + c / 2, 2),
            Kind::Fat16 => (self.geo.fat_at + c * 2, 2),
            Kind::Fat32 => (self.geo.fat_at + c * 4, 4),
        }
    }
    fn raw(&mut self, cluster: u32) -> Result<u32> {
        let (at, n) = self.place(cluster);
        let mut b = [0; 4];
        self.buf.read(at, &mut b[..n])?;
        Ok(u32::from_le_bytes(b))
    }
    /// Whether its entry spans two sectors, which only happens on FAT12 (two of 1024 entries).
    fn splits(&self, cluster: u32) -> bool {
        let (at, n) = self.place(cluster);
        at % SECTOR + n as u64 > SECTOR
    }
    /// Whether a file can have it. A power cut can leave half of an entry that spans two sectors, and a directory would
    /// then lead to any cluster, so these are never allocated.
    pub fn is_free(&mut self, cluster: u32) -> Result<bool> {
        Ok(!self.splits(cluster) && self.get(cluster)? == FREE)
    }
    /// What follows `cluster`: a cluster, or FREE, BAD or END. Numbers out of range are returned as they are.
    pub fn get(&mut self, cluster: u32) -> Result<u32> {
        let raw = self.raw(cluster)?;
        let (v, top) = match self.geo.kind {
            Kind::Fat12 if cluster & 1 == 0 => (raw & 0xfff, 0xfff),
            Kind::Fat12 => (raw >> 4, 0xfff),
            Kind::Fat16 => (raw, 0xffff),
            Kind::Fat32 => (raw & END, END),
        };
        Ok(match top - v {
            0..=7 => END,
            8 => BAD,
            _ => v,
        })
    }
    /// Changes an entry.
    pub fn set(&mut self, cluster: u32, value: u32) -> Result<()> {
        if !self.geo.valid(cluster) {
            return Err(Errno::EIO);
        }
        let (at, n) = self.place(cluster);
        let new = match self.geo.kind {
            Kind::Fat12 if cluster & 1 == 0 => self.raw(cluster)? & 0xf000 | value & 0xfff,
            Kind::Fat12 => self.raw(cluster)? & 0xf | (value & 0xfff) << 4,
            Kind::Fat16 => value & 0xffff,
            Kind::Fat32 => self.raw(cluster)? & !END | value & END,
        };
        self.buf.write(at, &new.to_le_bytes()[..n])
    }

    /// The chain from `first` as runs, at most `max` clusters of it; EIO if it is broken. The second value: whether it
    /// ends there.
    pub fn chain(&mut self, first: u32, max: u32) -> Result<(Vec<Run>, bool)> {
        let mut runs: Vec<Run> = Vec::new();
        let (mut at, mut n) = (first, 0);
        while n < max {
            if !self.geo.valid(at) {
                return Err(Errno::EIO);
            }
            push(&mut runs, at)?;
            n += 1;
            at = self.get(at)?;
            if at == END {
                return Ok((runs, true));
            }
        }
        Ok((runs, false))
    }

    /// Counts the free clusters, unless that has been done.
    pub fn count_free(&mut self) -> Result<u32> {
        if let Some(n) = self.free {
            return Ok(n);
        }
        let mut n = 0;
        for c in FIRST..FIRST + self.geo.clusters {
            n += u32::from(self.is_free(c)?);
        }
        self.free = Some(n);
        Ok(n)
    }

    /// Allocates at most `want` clusters in one run, following `after` if that is free, and chains them, with `link`
    /// also to `after`; ENOSPC if there are none.
    pub fn alloc(&mut self, after: Option<u32>, want: u32, link: bool) -> Result<Run> {
        let end = FIRST + self.geo.clusters;
        if self.free == Some(0) {
            return Err(Errno::ENOSPC);
        }
        let mut start = None;
        let hint = after.map(|c| c + 1).filter(|&c| self.geo.valid(c));
        if let Some(h) = hint
            && self.is_free(h)?
        {
            start = Some(h);
        }
        if start.is_none() {
            let from = if self.geo.valid(self.next) { self.next } else { FIRST };
            for c in (from..end).chain(FIRST..from) {
                if self.is_free(c)? {
                    start = Some(c);
                    break;
                }
            }
        }
        let Some(start) = start else {
            self.free = Some(0);
            return Err(Errno::ENOSPC);
        };
        let mut len = 1;
        while len < want && start + len < end && self.is_free(start + len)? {
            len += 1;
        }
        // From the end, so that a failure leaves a chain that leads nowhere wrong.
        for i in (0..len).rev() {
            self.set(start + i, if i + 1 == len { END } else { start + i + 1 })?;
        }
        if let Some(c) = after.filter(|_| link) {
            self.set(c, start)?;
        }
        self.next = start + len;
        self.free = self.free.map(|n| n.saturating_sub(len));
        Ok(Run { index: 0, start, len })
    }

    /// Frees clusters. Returns whether all of them were in use.
    pub fn release(&mut self, run: Run) -> Result<bool> {
        let mut sound = true;
        for c in run.start..run.start + run.len {
            if self.get(c)? == FREE {
                sound = false;
                continue;
            }
            self.set(c, FREE)?;
            let more = u32::from(self.is_free(c)?);
            self.free = self.free.map(|n| n + more);
        }
        Ok(sound)
    }
}

/// Adds a cluster to the end of a chain.
pub fn push(runs: &mut Vec<Run>, cluster: u32) -> Result<()> {
    append(runs, Run { index: 0, start: cluster, len: 1 })
}

/// Adds clusters to the end of a chain.
pub fn append(runs: &mut Vec<Run>, new: Run) -> Result<()> {
    let index = total(runs);
    if let Some(r) = runs.last_mut()
        && r.start + r.len == new.start
    {
        r.len += new.len;
        return Ok(());
    }
    memory::push(runs, Run { index, ..new })
}

/// Number of clusters in a chain.
pub fn total(runs: &[Run]) -> u32 {
    runs.last().map_or(0, |r| r.index + r.len)
}

/// The run that holds cluster `index` of a file.
pub fn find(runs: &[Run], index: u32) -> Option<&Run> {
    let i = runs.partition_point(|r| r.index + r.len <= index);
    runs.get(i)
}

/// The last cluster of a chain.
pub fn last(runs: &[Run]) -> Option<u32> {
    runs.last().map(|r| r.start + r.len - 1)
}

/// Cuts a chain to `keep` clusters; returns what was cut off.
pub fn cut(runs: &mut Vec<Run>, keep: u32) -> Result<Vec<Run>> {
    let whole = runs.partition_point(|r| r.index + r.len <= keep);
    let mut gone = memory::with_room(runs.len() - whole)?;
    for r in &mut runs[whole..] {
        let n = keep.saturating_sub(r.index);
        gone.push(Run { index: 0, start: r.start + n, len: r.len - n });
        r.len = n;
    }
    runs.retain(|r| r.len > 0);
    Ok(gone)
}
