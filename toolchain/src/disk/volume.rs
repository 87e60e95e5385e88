//! A look at a FAT volume from outside: whether its structure is sound, and where its directory entries are.

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes of a directory entry.
pub const ENTRY: usize = 32;
const DIRECTORY: u8 = 0x10;
const LABEL: u8 = 0x08;
/// How deep nested folders are followed.
const DEPTH: usize = 100;

/// A file or folder.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Offset of its (short) directory entry in the file.
    pub offset: u64,
    /// The entry.
    pub raw: [u8; ENTRY],
}

impl Entry {
    /// Whether it is a folder.
    pub fn is_dir(&self) -> bool {
        self.raw[11] & DIRECTORY != 0
    }
    /// Bytes in it.
    pub fn size(&self) -> u32 {
        u32::from_le_bytes([self.raw[28], self.raw[29], self.raw[30], self.raw[31]])
    }
    fn cluster(&self) -> u32 {
        let half = |at: usize| u32::from(u16::from_le_bytes([self.raw[at], self.raw[at + 1]]));
        half(20) << 16 | half(26)
    }
}

/// The volume's layout, and its table.
struct Volume<'a> {
    file: &'a File,
    /// 12, 16 or 32.
    bits: u32,
    fat: Vec<u8>,
    clusters: u32,
    cluster_len: u64,
    data: u64,
    root: u64,
    root_len: u64,
    root_cluster: u32,
    /// Offset of the FSInfo sector, in which a FAT32 volume keeps the number of free clusters; 0: none.
    info: u64,
    /// Clusters that are in use.
    used: Vec<bool>,
}

/// All files and folders, a folder before its contents, in the order in which they are on the disk. Fails if anything
/// is wrong with the volume except lost clusters.
pub fn walk(file: &File) -> Result<Vec<Entry>> {
    let mut volume = Volume::open(file)?;
    let mut found = Vec::new();
    let root = match volume.bits {
        32 => volume.chain(volume.root_cluster).context("the root folder")?,
        _ => vec![(volume.root, volume.root_len)],
    };
    volume.folder(&root, &mut found, 0)?;
    Ok(found)
}

/// Refuses disks that are sound but of a kind that [`walk`] and the crate do not support.
pub fn check_kind(file: &File) -> Result<()> {
    let mut b = [0; 512];
    file.read_exact_at(&mut b, 0).context("no boot sector")?;
    let n16 = |at: usize| u64::from(u16::from_le_bytes([b[at], b[at + 1]]));
    let n32 = |at: usize| n16(at) | n16(at + 2) << 16;
    let states = b[446..510].iter().step_by(16).all(|state| state & 0x7f == 0);
    let types = b[450..510].iter().step_by(16).any(|kind| *kind != 0);
    let volume = n16(11) >= 512 && n16(11).is_power_of_two();
    if b[510..] == [0x55, 0xaa] && !volume && states && types {
        bail!("it has partitions: only a volume that fills its disk can grow");
    }
    let sectors = if n16(19) == 0 { n32(32) } else { n16(19) };
    let clusters = sectors.saturating_sub(n16(14) + u64::from(b[16]) * n32(36)) / u64::from(b[13].max(1));
    if b[510..] == [0x55, 0xaa] && n16(22) == 0 && n32(36) != 0 && clusters < 65_525 {
        bail!("it is FAT32 with only {clusters} clusters, which cannot grow");
    }
    Ok(())
}

/// Records how many clusters are free, for which FAT32 has a field: formatting and copying leave it unset.
pub fn count_free(file: &File) -> Result<()> {
    let volume = Volume::open(file)?;
    if volume.info == 0 {
        return Ok(());
    }
    let free: Vec<u32> = (2..volume.clusters + 2).filter(|c| volume.entry(*c) == 0).collect();
    let mut numbers = [0; 8];
    numbers[..4].copy_from_slice(&u32::try_from(free.len())?.to_le_bytes());
    numbers[4..].copy_from_slice(&free.first().copied().unwrap_or(u32::MAX).to_le_bytes());
    Ok(file.write_all_at(&numbers, volume.info + 488)?)
}

impl<'a> Volume<'a> {
    fn open(file: &'a File) -> Result<Self> {
        let mut b = [0; 512];
        file.read_exact_at(&mut b, 0).context("no boot sector")?;
        let n16 = |at: usize| u64::from(u16::from_le_bytes([b[at], b[at + 1]]));
        let n32 = |at: usize| u64::from(u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]));
        let (sector, per_cluster, reserved, fats, root_entries) =
            (n16(11), u64::from(b[13]), n16(14), u64::from(b[16]), n16(17));
        let wide = |small: u64, large: u64| if small != 0 { small } else { large };
        let (sectors, per_fat) = (wide(n16(19), n32(32)), wide(n16(22), n32(36)));
        let sound = sector.is_power_of_two() && (512..=4096).contains(&sector) && per_cluster.is_power_of_two();
        if b[510..] != [0x55, 0xaa] || !sound || reserved == 0 || fats == 0 || per_fat == 0 {
            bail!("there is no FAT file system on it");
        }
        let root = (reserved + fats * per_fat) * sector;
        let root_len = root_entries * ENTRY as u64;
        let data = root + root_len.next_multiple_of(sector);
        let cluster_len = per_cluster * sector;
        let clusters =
            (sectors * sector).checked_sub(data).context("the tables are larger than the volume")? / cluster_len;
        ensure!(sectors * sector <= file.metadata()?.len(), "the file system is larger than the file");
        let bits = match clusters {
            0..4085 => 12,
            4085..65525 => 16,
            _ => 32,
        };
        ensure!((clusters + 2) * u64::from(bits) <= per_fat * sector * 8, "the allocation table is too short");
        let mut fat = vec![0; usize::try_from(per_fat * sector)?];
        file.read_exact_at(&mut fat, reserved * sector)?;
        for copy in 1..fats {
            let mut other = vec![0; fat.len()];
            file.read_exact_at(&mut other, reserved * sector + copy * per_fat * sector)?;
            ensure!(other == fat, "the copies of the allocation table differ");
        }
        let clusters = u32::try_from(clusters)?;
        let used = vec![false; clusters as usize + 2];
        let root_cluster = n32(44) as u32;
        let info = if bits == 32 && n16(48) < reserved { n16(48) * sector } else { 0 };
        let volume = Self { info, file, bits, fat, clusters, cluster_len, data, root, root_len, root_cluster, used };
        // Cleared by systems to mark a volume that is mounted or had errors.
        let flags = match bits {
            16 => volume.entry(1) >> 14,
            32 => volume.entry(1) >> 26,
            _ => 3,
        };
        ensure!(flags & 3 == 3, "it is marked as not cleanly unmounted, or as damaged");
        Ok(volume)
    }

    fn entry(&self, cluster: u32) -> u32 {
        let c = cluster as usize;
        let two = |at: usize| u32::from(u16::from_le_bytes([self.fat[at], self.fat[at + 1]]));
        match self.bits {
            12 if c % 2 == 1 => two(c * 3 / 2) >> 4,
            12 => two(c * 3 / 2) & 0xfff,
            16 => two(c * 2),
            _ => (two(c * 4) | two(c * 4 + 2) << 16) & 0x0fff_ffff,
        }
    }

    /// A chain as ranges of bytes in the file. Its clusters must belong to nothing else.
    fn chain(&mut self, first: u32) -> Result<Vec<(u64, u64)>> {
        let last = match self.bits {
            12 => 0xff8,
            16 => 0xfff8,
            _ => 0x0fff_fff8,
        };
        let (mut ranges, mut at) = (Vec::new(), first);
        while at < last {
            ensure!((2..self.clusters + 2).contains(&at), "a chain leads out of the volume");
            ensure!(!std::mem::replace(&mut self.used[at as usize], true), "a cluster belongs to two files");
            ranges.push((self.data + u64::from(at - 2) * self.cluster_len, self.cluster_len));
            at = self.entry(at);
        }
        Ok(ranges)
    }

    fn folder(&mut self, ranges: &[(u64, u64)], found: &mut Vec<Entry>, depth: usize) -> Result<()> {
        ensure!(depth <= DEPTH, "folders are nested too deep");
        for &(start, len) in ranges {
            let mut bytes = vec![0; usize::try_from(len)?];
            self.file.read_exact_at(&mut bytes, start)?;
            for (number, raw) in bytes.chunks_exact(ENTRY).enumerate() {
                let raw: [u8; ENTRY] = raw.try_into()?;
                if raw[0] == 0 {
                    return Ok(());
                }
                // Deleted; long names, labels; itself and its parent.
                if raw[0] == 0xe5 || raw[11] & LABEL != 0 || raw[0] == b'.' {
                    continue;
                }
                let entry = Entry { offset: start + (number * ENTRY) as u64, raw };
                found.push(entry.clone());
                let name = || String::from_utf8_lossy(&raw[..11]).into_owned();
                let first = entry.cluster();
                let chain = if first == 0 { Vec::new() } else { self.chain(first).with_context(name)? };
                let holds = chain.len() as u64 * self.cluster_len;
                if entry.is_dir() {
                    ensure!(!chain.is_empty(), "{}: a folder without content", name());
                    self.folder(&chain, found, depth + 1)?;
                } else if u64::from(entry.size()) > holds {
                    bail!("{}: the file has fewer clusters than bytes", name());
                }
            }
        }
        Ok(())
    }
}
