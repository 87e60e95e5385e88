//! The log that QEMU's `blklogwrites` driver keeps of a disk (in the format of Linux's dm-log-writes), and the disks
//! that a power cut can leave behind.
//!
//! QEMU adds an entry when the underlying file has completed the request, before the guest learns of it. So whatever
//! the guest was told is done is in the log, and a flush covers at most the entries before it. To catch a driver that
//! flushes before its writes have completed, the file is throttled: then such writes come after the flush.

use super::random::Random;
use anyhow::{Context as _, Result, ensure};
use std::ops::Range;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const SECTOR: usize = 512;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// A request to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Some bytes of the log were written.
    Write {
        /// The first sector.
        sector: u64,
        /// Where the data is in the log.
        data: Range<usize>,
        /// Durable by itself.
        fua: bool,
    },
    /// These sectors are no longer needed.
    Discard {
        /// The first sector.
        sector: u64,
        /// How many.
        sectors: u64,
    },
    /// Everything before is durable.
    Flush,
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it begins in the file.
    pub position: usize,
    /// The request.
    pub what: What,
}

/// A log that was read.
pub struct Log {
    bytes: Vec<u8>,
    /// In the order in which the disk did them.
    pub entries: Vec<Entry>,
}

fn word(bytes: &[u8], at: usize) -> Result<u64> {
    let found = bytes.get(at..at + 8).context("the write log ends in an entry")?;
    Ok(u64::from_le_bytes(found.try_into()?))
}

impl Log {
    /// Reads a log. The count in its header is not current if QEMU was killed: entries are read to the end of the file,
    /// and an incomplete last one was never reported to the guest.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        ensure!(word(&bytes, 0)? == MAGIC && word(&bytes, 8)? == 1, "this is no write log of version 1");
        let unit = usize::try_from(word(&bytes, 24)? & 0xffff_ffff)?;
        ensure!(unit == SECTOR, "the write log has sectors of {unit} bytes");
        let mut entries = Vec::new();
        let mut at = SECTOR;
        while at + SECTOR <= bytes.len() {
            let (sector, sectors, flags) = (word(&bytes, at)?, word(&bytes, at + 8)?, word(&bytes, at + 16)?);
            ensure!(flags & !(FLUSH | FUA | DISCARD) == 0, "strange flags {flags:#x} at {at} in the write log");
            let length = usize::try_from(sectors)?.checked_mul(SECTOR).context("a strange length in the write log")?;
            let data = at + SECTOR..at + SECTOR + if flags & DISCARD == 0 { length } else { 0 };
            if data.end > bytes.len() {
                break;
            }
            let position = at;
            at = data.end;
            if flags & DISCARD != 0 {
                entries.push(Entry { position, what: What::Discard { sector, sectors } });
            } else if sectors > 0 {
                entries.push(Entry { position, what: What::Write { sector, data, fua: flags & FUA != 0 } });
            }
            if flags & FLUSH != 0 {
                entries.push(Entry { position, what: What::Flush });
            }
        }
        Ok(Self { bytes, entries })
    }

    /// How many flushes there are.
    pub fn flushes(&self) -> usize {
        self.flushes_before(self.entries.len())
    }

    /// How many flushes there are among the first `at` entries.
    pub fn flushes_before(&self, at: usize) -> usize {
        self.entries[..at].iter().filter(|entry| entry.what == What::Flush).count()
    }

    /// How many entries the log had when its file was this long.
    pub fn entries_at(&self, length: u64) -> usize {
        self.entries.partition_point(|entry| (entry.position as u64) < length)
    }

    /// The log of a disk that loses its cache with every cut, as if no flush had been requested.
    pub fn without_flushes(mut self) -> Self {
        self.entries.retain(|entry| entry.what != What::Flush);
        self
    }

    /// The index after the last flush among the first `at` entries.
    fn durable(&self, at: usize) -> usize {
        self.entries[..at].iter().rposition(|entry| entry.what == What::Flush).map_or(0, |i| i + 1)
    }

    fn apply(&self, disk: &mut [u8], what: &What, kept: impl Fn(usize) -> bool) -> Result<()> {
        let (sector, sectors) = match what {
            What::Flush => return Ok(()),
            What::Write { sector, data, .. } => (*sector, data.len() / SECTOR),
            What::Discard { sector, sectors } => (*sector, usize::try_from(*sectors)?),
        };
        let start = usize::try_from(sector)? * SECTOR;
        let target = disk.get_mut(start..start + sectors * SECTOR).context("a write behind the end of the disk")?;
        for i in (0..sectors).filter(|i| kept(*i)) {
            let place = &mut target[i * SECTOR..(i + 1) * SECTOR];
            match what {
                What::Write { data, .. } => place.copy_from_slice(&self.bytes[data.start + i * SECTOR..][..SECTOR]),
                _ => place.fill(0),
            }
        }
        Ok(())
    }

    /// Applies whole entries.
    pub fn replay(&self, disk: &mut [u8], range: Range<usize>) -> Result<()> {
        self.entries[range].iter().try_for_each(|entry| self.apply(disk, &entry.what, |_| true))
    }

    /// The disk after a power cut that came when `at` entries were done: everything flushed is there, and a random part
    /// of the rest. `base` is the disk at entry `from`; both are advanced to the last flush.
    pub fn cut(&self, base: &mut [u8], from: &mut usize, at: usize, seed: u64) -> Result<Vec<u8>> {
        let durable = self.durable(at);
        if durable > *from {
            self.replay(base, *from..durable)?;
            *from = durable;
        }
        let mut disk = base.to_vec();
        let mut random = Random::new(seed);
        // One in this many is lost; 0: none, 1: all.
        let lost = [0, 1, 2, 2, 2, 4, 8][random.below(7)];
        let torn = random.below(2) == 1;
        for entry in &self.entries[*from..at] {
            let fua = matches!(entry.what, What::Write { fua: true, .. });
            let bits = random.next();
            if fua || lost == 0 {
                self.apply(&mut disk, &entry.what, |_| true)?;
            } else if torn && random.below(2) == 1 {
                // Up to 64 sectors are lost independently of each other; longer requests repeat that pattern.
                self.apply(&mut disk, &entry.what, |i| bits >> (i % 64) & 1 == 1)?;
            } else if random.below(lost) != 0 {
                self.apply(&mut disk, &entry.what, |_| true)?;
            }
        }
        Ok(disk)
    }

    /// Cut points: right after the positions in `marks` as far as they go, before flushes, and anywhere.
    pub fn cuts(&self, first: usize, count: usize, marks: &[usize], seed: u64) -> Vec<usize> {
        let mut random = Random::new(seed);
        let flushes: Vec<usize> =
            (first..self.entries.len()).filter(|i| self.entries[*i].what == What::Flush).collect();
        let mut cuts: Vec<usize> = (0..count)
            .map(|i| {
                let any = first + random.below(self.entries.len() + 1 - first);
                let near = |places: &[usize], random: &mut Random| match places {
                    [] => any,
                    _ => places[random.below(places.len())],
                };
                match i % 4 {
                    0 => near(marks, &mut random),
                    1 => near(&flushes, &mut random),
                    _ => any,
                }
            })
            .map(|at| at.clamp(first, self.entries.len()))
            .collect();
        cuts.sort_unstable();
        cuts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(entries: &[(u64, u64, u64)]) -> Vec<u8> {
        let mut bytes = vec![0; SECTOR];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8] = 1;
        bytes[24..28].copy_from_slice(&512_u32.to_le_bytes());
        for (n, (sector, sectors, flags)) in entries.iter().enumerate() {
            let mut header = vec![0; SECTOR];
            for (at, value) in [(0, sector), (8, sectors), (16, flags)] {
                header[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
            bytes.extend(header);
            let data = if flags & DISCARD == 0 { *sectors as usize * SECTOR } else { 0 };
            bytes.resize(bytes.len() + data, n as u8 + 1);
        }
        bytes
    }

    fn first_bytes(disk: &[u8]) -> Vec<u8> {
        disk.chunks(SECTOR).map(|sector| sector[0]).collect()
    }

    #[test]
    fn entries_and_positions() {
        let bytes = log(&[(0, 2, 0), (0, 0, FLUSH), (1, 1, DISCARD), (3, 1, FUA)]);
        let all = Log::parse(bytes.clone()).unwrap();
        assert_eq!(all.entries.len(), 4);
        assert_eq!((all.flushes(), all.entries[1].position, all.entries[2].position), (1, 2048, 2560));
        assert_eq!((all.entries_at(0), all.entries_at(513), all.entries_at(2048), all.entries_at(2049)), (0, 1, 1, 2));
        let mut disk = vec![9; 4 * SECTOR];
        all.replay(&mut disk, 0..4).unwrap();
        assert_eq!(first_bytes(&disk), [1, 0, 9, 4]);
        // The last entry is incomplete.
        assert_eq!(Log::parse(bytes[..bytes.len() - 1].to_vec()).unwrap().entries.len(), 3);
        assert!(Log::parse(vec![0; 4096]).is_err());
        assert!(Log::parse(log(&[(0, 0, 64)])).is_err());
        assert!(Log::parse(log(&[(9, 1, 0)])).unwrap().replay(&mut disk, 0..1).is_err());
    }

    #[test]
    fn what_was_flushed_survives_and_the_rest_varies() {
        let all = Log::parse(log(&[(0, 1, 0), (0, 0, FLUSH), (0, 1, 0), (1, 2, 0), (0, 0, FLUSH), (3, 1, 0)])).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let (mut base, mut from) = (vec![0; 4 * SECTOR], 0);
            seen.insert(first_bytes(&all.cut(&mut base, &mut from, 4, seed).unwrap()));
            assert_eq!((from, first_bytes(&base)), (2, vec![1, 0, 0, 0]));
        }
        // The first write is durable; the second is there or not; the third may be torn.
        let expected: std::collections::BTreeSet<_> = [[1, 0], [3, 0]]
            .iter()
            .flat_map(|a| [[0, 0], [4, 0], [0, 4], [4, 4]].map(|b| vec![a[0], b[0], b[1], 0]))
            .collect();
        assert_eq!(seen, expected);
        let (mut base, mut from) = (vec![0; 4 * SECTOR], 0);
        let whole = all.cut(&mut base, &mut from, 5, 1).unwrap();
        assert_eq!(first_bytes(&whole), [3, 4, 4, 0]);
        // Without flushes nothing is certain.
        let none = all.without_flushes();
        let lost = (0..50).filter(|seed| none.cut(&mut vec![0; 4 * SECTOR], &mut 0, 4, *seed).unwrap()[0] == 0);
        assert!(lost.count() > 5);
    }

    #[test]
    fn cut_points() {
        let all = Log::parse(log(&[(0, 1, 0), (0, 0, FLUSH), (0, 1, 0), (1, 2, 0), (0, 0, FLUSH), (3, 1, 0)])).unwrap();
        let cuts = all.cuts(2, 100, &[5], 1);
        assert_eq!(cuts.len(), 100);
        assert!(cuts.is_sorted() && cuts.contains(&5) && cuts.contains(&6) && cuts[0] == 2 && cuts[99] <= 6);
    }
}
