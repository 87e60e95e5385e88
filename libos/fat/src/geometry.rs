//! Where things are on a volume, according to its boot sector.
//!
//! Everything that a hostile boot sector could say is refused here, before anything computes with it. What counts as a
//! volume, and of which kind, follows Linux (fs/fat/inode.c, `fat_fill_super`): a FAT32 volume is one whose 16-bit
//! table length is 0, however few clusters it has; the number of clusters decides between the other two.

use crate::entry::{Entry, Raw};

/// Width of a table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Fat12,
    Fat16,
    Fat32,
}

/// First cluster number.
pub const FIRST: u32 = 2;

/// Layout of a volume; positions are bytes from its start.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub kind: Kind,
    /// Bytes per cluster.
    pub cluster: u32,
    /// The allocation table in use, its length, and the number of copies that follow one another from there.
    pub fat_at: u64,
    pub fat_len: u64,
    pub fats: u64,
    /// FAT12 and FAT16: the root directory.
    pub root_at: u64,
    pub root_len: u64,
    /// FAT32: the root's first cluster.
    pub root_cluster: u32,
    /// Where cluster 2 begins.
    pub data_at: u64,
    /// Number of clusters.
    pub clusters: u32,
    /// Where the FSInfo sector should be, on FAT32.
    pub info_at: Option<u64>,
    /// The byte of the boot sector that holds the state of the volume.
    pub state_at: u64,
}

/// Bits of the state byte. `DIRTY` is the standard one; `IN_USE` is ours, for volumes without an FSInfo sector.
pub const STATE_DIRTY: u8 = 1;
pub const STATE_IN_USE: u8 = 0x80;

fn u16_at(b: &[u8], at: usize) -> u64 {
    u64::from(u16::from_le_bytes([b[at], b[at + 1]]))
}
/// A little-endian 32-bit number.
pub fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// The error `why`, if that is so.
pub fn refuse_if(so: bool, why: &'static str) -> Result<(), &'static str> {
    if so { Err(why) } else { Ok(()) }
}

impl Geometry {
    /// Reads a boot sector; the error says what is wrong with it.
    pub fn parse(b: &[u8; 512], device: u64) -> Result<Geometry, &'static str> {
        refuse_if(b[510..] != [0x55, 0xaa], "no boot sector signature")?;
        let sector = u16_at(b, 11);
        refuse_if(!sector.is_power_of_two() || !(512..=4096).contains(&sector), "impossible sector size")?;
        let per_cluster = u64::from(b[13]);
        refuse_if(!per_cluster.is_power_of_two(), "impossible cluster size")?;
        let (reserved, fats, root_entries) = (u16_at(b, 14), u64::from(b[16]), u16_at(b, 17));
        refuse_if(reserved == 0 || !(1..=4).contains(&fats), "no room for allocation tables")?;
        let wide = u16_at(b, 22) == 0;
        let fat = if wide { u64::from(u32_at(b, 36)) } else { u16_at(b, 22) };
        let total = match u16_at(b, 19) {
            0 => u64::from(u32_at(b, 32)),
            n if [0, n].contains(&u64::from(u32_at(b, 32))) => n,
            _ => return Err("two different sizes"),
        };
        refuse_if(fat == 0 || wide != (root_entries == 0), "no FAT volume")?;
        // Where the clusters begin after such a directory is a matter of opinion; Linux refuses it, too.
        refuse_if(!(root_entries * 32).is_multiple_of(sector), "the root directory does not fill its sectors")?;
        let data = reserved + fats * fat + root_entries * 32 / sector;
        refuse_if(data >= total, "no room for data")?;
        refuse_if(total * sector > device, "larger than the disk")?;
        let clusters = (total - data) / per_cluster;
        let (kind, bits, most) = match clusters {
            0 => return Err("no room for data"),
            _ if wide => (Kind::Fat32, 32, 0x0fff_fff4),
            1..4085 => (Kind::Fat12, 12, 4084),
            _ => (Kind::Fat16, 16, 65_524),
        };
        // Clusters without an entry in the table are not used.
        let clusters = clusters.min(fat * sector * 8 / bits - 2);
        refuse_if(clusters > most, "too many clusters")?;
        let (flags, version, root_cluster) = (u16_at(b, 40), u16_at(b, 42), u32_at(b, 44));
        let (mut active, mut copies) = (0, fats);
        if wide {
            refuse_if(version != 0, "unknown version")?;
            if flags & 0x80 != 0 {
                (active, copies) = (flags & 0xf, 1);
            }
            refuse_if(active >= fats, "active allocation table out of range")?;
            refuse_if(!(FIRST..FIRST + clusters as u32).contains(&root_cluster), "root directory out of range")?;
        }
        let info = u16_at(b, 48).max(1);
        Ok(Geometry {
            kind,
            cluster: (sector * per_cluster) as u32,
            fat_at: (reserved + active * fat) * sector,
            fat_len: fat * sector,
            fats: copies,
            root_at: (reserved + fats * fat) * sector,
            root_len: if wide { 0 } else { root_entries * 32 },
            root_cluster: if wide { root_cluster } else { 0 },
            data_at: data * sector,
            clusters: clusters as u32,
            info_at: (wide && info < reserved).then_some(info * sector),
            state_at: if wide { 65 } else { 37 },
        })
    }

    /// Whether first cluster numbers have 32 bits.
    pub fn wide(&self) -> bool {
        self.kind == Kind::Fat32
    }
    /// The first cluster of an entry.
    pub fn first_of(&self, raw: &Raw) -> u32 {
        if self.wide() { raw.first() } else { raw.first() & 0xffff }
    }
    /// Position of a cluster.
    pub fn at(&self, cluster: u32) -> u64 {
        self.data_at + u64::from(cluster - FIRST) * u64::from(self.cluster)
    }
    /// Whether this is a valid cluster number.
    pub fn valid(&self, cluster: u32) -> bool {
        cluster >= FIRST && cluster - FIRST < self.clusters
    }
    /// Number of clusters needed for `bytes`.
    pub fn clusters_for(&self, bytes: u64) -> u32 {
        // Files are below 4 GiB and clusters at least 512 bytes.
        bytes.div_ceil(u64::from(self.cluster)) as u32
    }
}
