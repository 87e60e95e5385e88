//! The 32 bytes of a directory entry.

use crate::names::Short;
use libos_base::abi::Timespec;

/// One slot of a directory.
pub type Raw = [u8; 32];

/// Attribute bits.
pub mod attr {
    pub const READ_ONLY: u8 = 1;
    pub const VOLUME: u8 = 8;
    pub const DIR: u8 = 0x10;
    pub const ARCHIVE: u8 = 0x20;
    pub const LONG: u8 = 0x0f;
}

/// First byte of a slot that was used and deleted, and of one that was never used.
pub const DELETED: u8 = 0xe5;

/// Bits of the NT byte that nobody else uses: they count the renames of a file, so that of two entries for the same
/// clusters (a rename interrupted by a power cut) the newer is known.
const COUNT_SHIFT: u32 = 6;

/// The count after a rename: only a file that was never renamed has 0.
pub fn next_rename(n: u8) -> u8 {
    n % 3 + 1
}

/// Fields of a short entry.
pub trait Entry {
    fn short(&self) -> Short;
    fn attr(&self) -> u8;
    fn first(&self) -> u32;
    fn set_first(&mut self, c: u32, wide: bool);
    fn size(&self) -> u32;
    fn set_size(&mut self, n: u32);
    fn renames(&self) -> u8;
    fn set_renames(&mut self, n: u8);
    fn mtime(&self) -> i64;
    fn atime(&self) -> i64;
    /// Creation time, for comparisons.
    fn created_stamp(&self) -> u64;
    fn set_mtime(&mut self, t: i64);
    fn set_atime(&mut self, t: i64);
    fn set_created(&mut self, t: Timespec);
}

fn u16_at(r: &Raw, at: usize) -> u16 {
    u16::from_le_bytes([r[at], r[at + 1]])
}
fn put(r: &mut Raw, at: usize, v: u16) {
    r[at..at + 2].copy_from_slice(&v.to_le_bytes());
}

impl Entry for Raw {
    fn short(&self) -> Short {
        let mut s = [0; 11];
        s.copy_from_slice(&self[..11]);
        s
    }
    fn attr(&self) -> u8 {
        self[11]
    }
    fn first(&self) -> u32 {
        u32::from(u16_at(self, 20)) << 16 | u32::from(u16_at(self, 26))
    }
    fn set_first(&mut self, c: u32, wide: bool) {
        if wide {
            put(self, 20, (c >> 16) as u16);
        }
        put(self, 26, c as u16);
    }
    fn size(&self) -> u32 {
        u32::from(u16_at(self, 30)) << 16 | u32::from(u16_at(self, 28))
    }
    fn set_size(&mut self, n: u32) {
        self[28..].copy_from_slice(&n.to_le_bytes());
    }
    fn renames(&self) -> u8 {
        self[12] >> COUNT_SHIFT
    }
    fn set_renames(&mut self, n: u8) {
        self[12] = self[12] & !(3 << COUNT_SHIFT) | n << COUNT_SHIFT;
    }
    fn mtime(&self) -> i64 {
        decode(u16_at(self, 24), u16_at(self, 22))
    }
    fn atime(&self) -> i64 {
        decode(u16_at(self, 18), 0)
    }
    fn created_stamp(&self) -> u64 {
        u64::from(u16_at(self, 16)) << 24 | u64::from(u16_at(self, 14)) << 8 | u64::from(self[13])
    }
    fn set_mtime(&mut self, t: i64) {
        let (d, s) = encode(t);
        put(self, 24, d);
        put(self, 22, s);
    }
    fn set_atime(&mut self, t: i64) {
        put(self, 18, encode(t).0);
    }
    fn set_created(&mut self, t: Timespec) {
        let (d, s) = encode(t.sec);
        put(self, 16, d);
        put(self, 14, s);
        // Hundredths of the two seconds.
        self[13] = (t.sec & 1) as u8 * 100 + (t.nsec / 10_000_000) as u8;
    }
}

/// 1980-01-01 and the last second of 2107-12-31: the range of FAT.
const MIN: i64 = 315_532_800;
const MAX: i64 = 4_354_819_198;
const DAY: i64 = 86_400;

/// A Unix time with FAT's resolution of two seconds.
pub fn whole(t: Timespec) -> i64 {
    t.sec.clamp(MIN, MAX) & !1
}
/// Unix time as an access date.
pub fn day(t: Timespec) -> i64 {
    let t = t.sec.clamp(MIN, MAX);
    t - t.rem_euclid(DAY)
}

/// Date and time words of a Unix time (UTC); days from civil and back after H. Hinnant's algorithms.
fn encode(t: i64) -> (u16, u16) {
    let t = t.clamp(MIN, MAX);
    let (days, secs) = (t / DAY + 719_468, t % DAY);
    let era = days / 146_097;
    let doe = days % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = doy - (153 * mp + 2) / 5 + 1;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    let y = yoe + era * 400 + i64::from(m <= 2);
    let date = (y - 1980) << 9 | m << 5 | d;
    let time = (secs / 3600) << 11 | (secs / 60 % 60) << 5 | (secs % 60 / 2);
    (date as u16, time as u16)
}

fn decode(date: u16, time: u16) -> i64 {
    let (y, m, d) = (i64::from(date >> 9) + 1980, i64::from(date >> 5 & 15), i64::from(date & 31));
    // Whatever a volume says is turned into some date.
    let (m, d) = (m.clamp(1, 12), d.max(1));
    let y = y - i64::from(m <= 2);
    let yoe = y % 400;
    let doy = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + d - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    let days = y / 400 * 146_097 + doe - 719_468;
    let t = time;
    days * DAY + i64::from(t >> 11) * 3600 + i64::from(t >> 5 & 63) * 60 + i64::from(t & 31) * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        for t in [MIN, 951_782_400, 951_868_800, 1_700_000_000, 2_000_000_000, 4_102_444_800, MAX] {
            let mut r: Raw = [0; 32];
            r.set_mtime(t);
            assert_eq!(r.mtime(), t & !1);
        }
        let mut r: Raw = [0; 32];
        r.set_mtime(-5);
        assert_eq!(r.mtime(), MIN);
        r.set_mtime(i64::MAX);
        assert_eq!(r.mtime(), MAX);
        assert_eq!(encode(1_000_000_000), (0x2b29, 0x0dd4));
    }

    #[test]
    fn fields() {
        let mut r: Raw = [0; 32];
        r.set_first(0x12_3456, true);
        r.set_size(0xdead_beef);
        r[12] = 0x18;
        r.set_renames(3);
        assert_eq!((r.first(), r.size(), r.renames(), r[12]), (0x12_3456, 0xdead_beef, 3, 0xd8));
        r.set_renames(0);
        assert_eq!(r[12], 0x18);
    }
}
