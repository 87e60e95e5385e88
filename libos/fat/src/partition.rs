//! Partitions: which part of a disk holds the volume.
//!
//! MBR tables with logical partitions and GPT, numbered as on Linux. A table that contradicts itself or its disk is
//! refused entirely: where things are would be anybody's guess, and we would write there.

use crate::geometry::{Geometry, refuse_if, u32_at};
use crate::volume::Refused;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::Errno;
use libos_base::block::{self, BlockDevice, Completion, Request, SECTOR};
use libos_base::memory::push;

/// Most partitions that a table may have, far above what is used in practice.
const MOST: u32 = 1024;
/// Type GUIDs as stored on the disk: EFI system partition, Microsoft basic data.
const GUIDS: [[u8; 16]; 2] = [
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b],
    [0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7],
];

/// One partition, in sectors.
#[derive(Clone, Copy)]
struct Part {
    number: u32,
    start: u64,
    end: u64,
    /// Whether its type is one for FAT.
    fat: bool,
}

/// The device for the volume: the disk itself if a volume begins at its first sector, otherwise the partition asked
/// for, or the only partition with a FAT type and a FAT volume.
pub fn find(disk: Arc<dyn BlockDevice>, number: Option<u32>) -> Result<Arc<dyn BlockDevice>, Refused> {
    let table = Table { disk: &*disk, unit: u64::from(disk.block_size()) / SECTOR };
    let first = table.block(0, "the disk is empty")?;
    let whole = Geometry::parse(&first, disk.sectors() * SECTOR);
    if number.is_none() && whole.is_ok() {
        return Ok(disk);
    }
    let Some(parts) = table.parts(&first)? else {
        return Err(Refused::Unusable(if number.is_some() { "no partitions" } else { whole.err().unwrap_or("") }));
    };
    let mut why = "no FAT partition";
    let mut found: Option<Part> = None;
    for p in parts {
        match number {
            None if !p.fat => continue,
            Some(n) if n != p.number => continue,
            _ => {}
        }
        let boot = table.read(p.start)?;
        match Geometry::parse(&boot, (p.end - p.start) * SECTOR) {
            Err(e) => why = e,
            Ok(_) => match found.replace(p) {
                None => {}
                Some(other) => {
                    let (name, a, b) = (disk.name(), other.number, p.number);
                    libos_base::error!("{name}: partitions {a} and {b} have FAT volumes");
                    return Err(Refused::Unusable("more than one partition has one; choose with :partition=N"));
                }
            },
        }
    }
    let Some(p) = found else {
        return Err(Refused::Unusable(why));
    };
    let name = alloc::format!("{}{}", disk.name(), p.number);
    Ok(Arc::new(Window { disk, name, start: p.start, sectors: p.end - p.start }))
}

/// Adds a partition that must lie in `within` and not overlap another.
fn add(list: &mut Vec<Part>, p: Part, within: (u64, u64)) -> Result<(), Refused> {
    refuse_if(p.start < within.0 || p.end > within.1, "a partition lies outside of its disk")?;
    refuse_if(list.iter().any(|o| p.start < o.end && o.start < p.end), "two partitions overlap")?;
    Ok(push(list, p)?)
}

fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from(u32_at(b, at)) | u64::from(u32_at(b, at + 4)) << 32
}

/// CRC-32 as in Ethernet; starts with `!0`, and the result is inverted at the end.
fn crc(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |crc, _| crc >> 1 ^ if crc & 1 != 0 { 0xedb8_8320 } else { 0 })
    })
}

/// Whether this type means further partitions inside.
fn is_extended(kind: u8) -> bool {
    matches!(kind, 0x05 | 0x0f | 0x85)
}

struct Table<'a> {
    disk: &'a dyn BlockDevice,
    /// Sectors in a block of the disk; tables count in blocks.
    unit: u64,
}

impl Table<'_> {
    fn read(&self, sector: u64) -> Result<[u8; 512], Refused> {
        let mut b = [0; 512];
        block::read(self.disk, sector * SECTOR, &mut b)?;
        Ok(b)
    }
    /// Reads a block, of which 512 bytes matter.
    fn block(&self, at: u64, beyond: &'static str) -> Result<[u8; 512], Refused> {
        refuse_if(at >= self.disk.sectors() / self.unit, beyond)?;
        self.read(at * self.unit)
    }

    /// All partitions; `None` if there is no table.
    fn parts(&self, first: &[u8; 512]) -> Result<Option<Vec<Part>>, Refused> {
        let mut parts = Vec::new();
        let mut logical = Vec::new();
        let entries: [Entry; 4] = core::array::from_fn(|i| Entry::at(first, i));
        let used = |e: &&Entry| e.kind != 0 && e.len != 0;
        if first[510..] != [0x55, 0xaa]
            || entries.iter().any(|e| e.state & 0x7f != 0)
            || entries.iter().filter(used).any(|e| e.start == 0)
            || entries.iter().filter(used).count() == 0
        {
            return Ok(None);
        }
        if entries.iter().any(|e| e.kind == 0xee) {
            return self.gpt().map(Some);
        }
        for (number, e) in (1..).zip(&entries).filter(|(_, e)| used(e)) {
            let p = e.part(number, self.unit, 0);
            add(&mut parts, p, (1, self.disk.sectors()))?;
            if is_extended(e.kind) {
                self.logical(&mut logical, p)?;
            }
        }
        parts.try_reserve(logical.len()).map_err(Errno::from)?;
        parts.extend(logical);
        Ok(Some(parts))
    }

    /// The partitions in an extended one: a chain of tables, each with one partition and the position of the next
    /// table.
    fn logical(&self, list: &mut Vec<Part>, outer: Part) -> Result<(), Refused> {
        let mut at = outer.start;
        for _ in 0..MOST {
            let b = self.read(at)?;
            refuse_if(b[510..] != [0x55, 0xaa], "a logical partition has no table")?;
            let (data, next) = (Entry::at(&b, 0), Entry::at(&b, 1));
            if data.kind != 0 && data.len != 0 {
                let number = 5 + list.len() as u32;
                add(list, data.part(number, self.unit, at), (at + 1, outer.end))?;
            }
            if !is_extended(next.kind) || next.len == 0 {
                return Ok(());
            }
            at = next.part(0, self.unit, outer.start).start;
            refuse_if(at >= outer.end, "a partition lies outside of its disk")?;
        }
        Err(Refused::Unusable("the chain of logical partitions does not end"))
    }

    /// UEFI 2.10, 5.3.
    fn gpt(&self) -> Result<Vec<Part>, Refused> {
        const DAMAGED: &str = "damaged GPT";
        let mut h = self.block(1, DAMAGED)?;
        let (len, want) = (u32_at(&h, 12) as usize, u32_at(&h, 16));
        h[16..20].fill(0);
        refuse_if(h[..8] != *b"EFI PART" || !(92..=512).contains(&len) || !crc(!0, &h[..len]) != want, DAMAGED)?;
        let (from, to) = (u64_at(&h, 40), u64_at(&h, 48));
        let (at, count, want) = (u64_at(&h, 72), u32_at(&h, 80), u32_at(&h, 88));
        let blocks = self.disk.sectors() / self.unit;
        refuse_if(u64_at(&h, 24) != 1 || to >= blocks || count > MOST || u32_at(&h, 84) != 128, DAMAGED)?;
        let mut parts = Vec::new();
        let mut sum = !0;
        for number in 0..count {
            let sector = u64::from(number / 4);
            // Wherever the list begins, its sectors are consecutive.
            let b = match at.checked_mul(self.unit).and_then(|s| s.checked_add(sector)) {
                Some(s) if s < self.disk.sectors() => self.read(s)?,
                _ => return Err(DAMAGED.into()),
            };
            let e = &b[number as usize % 4 * 128..][..128];
            sum = crc(sum, e);
            if e[..16] == [0; 16] {
                continue;
            }
            let (first, last) = (u64_at(e, 32), u64_at(e, 40));
            refuse_if(first > last || last > to, "a partition lies outside of its disk")?;
            let fat = GUIDS.iter().any(|g| e[..16] == *g);
            let p = Part { number: number + 1, start: first * self.unit, end: (last + 1) * self.unit, fat };
            add(&mut parts, p, (from.max(2).saturating_mul(self.unit), self.disk.sectors()))?;
        }
        refuse_if(!sum != want, DAMAGED)?;
        Ok(parts)
    }
}

/// An entry of an MBR.
struct Entry {
    state: u8,
    kind: u8,
    start: u32,
    len: u32,
}

impl Entry {
    fn at(b: &[u8; 512], i: usize) -> Self {
        let e = &b[446 + 16 * i..];
        Self { state: e[0], kind: e[4], start: u32_at(e, 8), len: u32_at(e, 12) }
    }
    /// The partition in sectors; the entry counts blocks, starting at sector `base`.
    fn part(&self, number: u32, unit: u64, base: u64) -> Part {
        let start = base + u64::from(self.start) * unit;
        let fat = matches!(self.kind, 0x01 | 0x04 | 0x06 | 0x0b | 0x0c | 0x0e | 0xef);
        Part { number, start, end: start + u64::from(self.len) * unit, fat }
    }
}

/// A partition as a device of its own.
struct Window {
    disk: Arc<dyn BlockDevice>,
    name: String,
    start: u64,
    sectors: u64,
}

impl BlockDevice for Window {
    fn name(&self) -> &str {
        &self.name
    }
    fn sectors(&self) -> u64 {
        self.sectors
    }
    fn read_only(&self) -> bool {
        self.disk.read_only()
    }
    fn has_flush(&self) -> bool {
        self.disk.has_flush()
    }
    fn has_discard(&self) -> bool {
        self.disk.has_discard()
    }
    fn block_size(&self) -> u32 {
        self.disk.block_size()
    }
    fn serial(&self) -> &str {
        self.disk.serial()
    }
    fn submit(&self, mut requests: Vec<Request>, done: &Arc<Completion>) {
        requests.retain_mut(|r| {
            let inside = r.valid(self.sectors);
            if inside {
                r.sector += self.start;
            } else {
                done.add(1);
                done.done(Err(Errno::EIO));
            }
            inside
        });
        self.disk.submit(requests, done);
    }
}
