//! Reading through the `fatfs` crate.
//!
//! The crate decodes directories ([`entries`]): long names, their checksums, short names with the case bits. It is
//! shown one directory at a time, as the root of a volume that exists only in the view: its boot sector is ours and the
//! clusters have been checked, so nothing on the disk can lead it astray. It never sees the disk's boot sector, since
//! it does not know FAT32 volumes with few clusters. Its writes are refused: they would be in no safe order, and
//! dropping its handles would write back entries that are gone.

use crate::entry::Raw;
use crate::names::oem;
use alloc::string::String;
use core::cell::Cell;
use fatfs::{
    DefaultTimeProvider, Error, FileSystem, FsOptions, IoBase, IoError, OemCpConverter, Read, Seek, SeekFrom, Write,
};
use libos_base::{Errno, Result};

/// The error of a view.
#[derive(Debug)]
pub struct Failed(pub Errno);

impl IoError for Failed {
    fn is_interrupted(&self) -> bool {
        false
    }
    fn new_unexpected_eof_error() -> Self {
        Failed(Errno::EIO)
    }
    fn new_write_zero_error() -> Self {
        Failed(Errno::EROFS)
    }
}

/// Short names in code page 437.
#[derive(Clone, Copy, Debug, Default)]
struct Cp437;

impl OemCpConverter for Cp437 {
    fn decode(&self, c: u8) -> char {
        oem(c)
    }
    fn encode(&self, c: char) -> Option<u8> {
        c.is_ascii().then_some(c as u8)
    }
}

/// A volume with one directory.
struct View<'a> {
    boot: [u8; 512],
    slots: &'a [Raw],
    pos: &'a Cell<u64>,
    end: u64,
}

impl IoBase for View<'_> {
    type Error = Failed;
}
impl Read for View<'_> {
    fn read(&mut self, dst: &mut [u8]) -> Result<usize, Failed> {
        let at = self.pos.get();
        let from: &[u8] = match at {
            ..512 => &self.boot[at as usize..],
            512..ROOT => &[0; 512][(at - 512) as usize..],
            _ => {
                let bytes = (at - ROOT) as usize;
                match self.slots.get(bytes / 32) {
                    Some(s) => &s[bytes % 32..],
                    None => &[0; 32][bytes % 32..],
                }
            }
        };
        let n = dst.len().min(from.len());
        dst[..n].copy_from_slice(&from[..n]);
        self.pos.set(at + n as u64);
        Ok(n)
    }
}
impl Write for View<'_> {
    fn write(&mut self, _: &[u8]) -> Result<usize, Failed> {
        Err(Failed(Errno::EROFS))
    }
    fn flush(&mut self) -> Result<(), Failed> {
        Ok(())
    }
}
impl Seek for View<'_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Failed> {
        let pos = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::Current(n) => self.pos.get().checked_add_signed(n),
            SeekFrom::End(n) => self.end.checked_add_signed(n),
        };
        self.pos.set(pos.ok_or(Failed(Errno::EINVAL))?);
        Ok(self.pos.get())
    }
}

fn errno(e: Error<Failed>) -> Errno {
    match e {
        Error::Io(Failed(e)) => e,
        _ => Errno::EIO,
    }
}

/// Most slots of a directory.
pub const SLOTS_MAX: usize = 65_520;
/// Slots start here in the view, after a boot sector and a one-sector table.
const ROOT: u64 = 1024;

/// One object of a directory.
pub struct Found {
    pub name: String,
    /// The slot of its short entry, and the number of slots for the long name before it.
    pub slot: u32,
    pub long: u32,
}

/// The objects in a directory, except `.`, `..` and volume labels, in disk order.
pub fn entries(slots: &[Raw], mut emit: impl FnMut(Found) -> Result<()>) -> Result<()> {
    let n = slots.len().clamp(1, SLOTS_MAX).next_multiple_of(16);
    let mut boot = [0; 512];
    boot[0] = 0xeb;
    boot[11..13].copy_from_slice(&512u16.to_le_bytes());
    // One sector per cluster, one reserved, one table of one sector.
    (boot[13], boot[14], boot[16], boot[22]) = (1, 1, 1, 1);
    boot[17..19].copy_from_slice(&(n as u16).to_le_bytes());
    boot[32..36].copy_from_slice(&(n as u32 / 16 + 4).to_le_bytes());
    boot[510..].copy_from_slice(&[0x55, 0xaa]);
    let pos = Cell::new(0);
    let view = View { boot, slots, pos: &pos, end: ROOT + 32 * n as u64 + 1024 };
    let options: FsOptions<DefaultTimeProvider, _> = FsOptions::new().oem_cp_converter(Cp437);
    let fs = FileSystem::new(view, options).map_err(errno)?;
    for e in fs.root_dir().iter() {
        let e = e.map_err(errno)?;
        // The crate is positioned after the entry it has just read.
        let slot = ((pos.get() - ROOT) / 32 - 1) as u32;
        let name = e.short_file_name_as_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let long = e.long_file_name_as_ucs2_units().map_or(0, |u| u.len().div_ceil(13)) as u32;
        emit(Found { name: e.file_name(), slot, long })?;
    }
    Ok(())
}
