//! Corrections to what the linker produces.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::Result as IoResult;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// `e_type` in the ELF header, and its two relevant values.
const E_TYPE: u64 = 16;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
/// `e_shoff`, `e_shnum`; the size of a section header; in it `sh_type` and `sh_size`.
const E_SHOFF: u64 = 40;
const E_SHNUM: u64 = 60;
const HEADER: usize = 64;
const SH_TYPE: usize = 4;
const SH_SIZE: usize = 32;
const SHT_RELA: u8 = 4;

/// Finishes a linked image in place.
///
/// The linker marks a PIE with a load address as ET_EXEC, and Linux would load it there each time; marked ET_DYN, it
/// gets a random address. And with packed relocations the linker leaves an empty section of unpacked ones, and GRUB
/// refuses files with a section of that type.
pub fn finish(image: &Path) -> Result<()> {
    let fail = || format!("cannot finish {}", image.display());
    let file = File::options().read(true).write(true).open(image).with_context(fail)?;
    match u16::from_le_bytes(at(&file, E_TYPE).with_context(fail)?) {
        ET_DYN => {}
        ET_EXEC => file.write_all_at(&ET_DYN.to_le_bytes(), E_TYPE).with_context(fail)?,
        other => bail!("{} has the ELF type {other}, which is no program's", image.display()),
    }
    drop_empty_relocations(&file).with_context(fail)
}

fn at<const N: usize>(file: &File, offset: u64) -> IoResult<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset).map(|()| bytes)
}

fn drop_empty_relocations(file: &File) -> IoResult<()> {
    let table = u64::from_le_bytes(at(file, E_SHOFF)?);
    let count = u64::from(u16::from_le_bytes(at(file, E_SHNUM)?));
    for offset in (0..count).map(|i| table + i * HEADER as u64) {
        let header: [u8; HEADER] = at(file, offset)?;
        if header[SH_TYPE..SH_TYPE + 4] == [SHT_RELA, 0, 0, 0] && header[SH_SIZE..SH_SIZE + 8] == [0; 8] {
            // All zero: an unused entry, like the first. The other sections keep their numbers.
            file.write_all_at(&[0; HEADER], offset)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(kind: u8, section: (u8, u8)) -> Option<Vec<u8>> {
        let mut bytes = vec![0u8; 3 * HEADER];
        bytes[16] = kind;
        bytes[40] = 64;
        bytes[60] = 2;
        bytes[2 * HEADER + SH_TYPE] = section.0;
        bytes[2 * HEADER + SH_SIZE] = section.1;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        finish(file.path()).ok()?;
        Some(std::fs::read(file.path()).unwrap())
    }

    #[test]
    fn types() {
        assert_eq!(finished(2, (1, 0)).unwrap()[16], 3);
        assert_eq!(finished(3, (1, 0)).unwrap()[16], 3);
        assert!(finished(1, (1, 0)).is_none());
    }

    #[test]
    fn sections() {
        assert_eq!(finished(3, (SHT_RELA, 0)).unwrap()[2 * HEADER..], [0; HEADER]);
        assert_eq!(finished(3, (SHT_RELA, 24)).unwrap()[2 * HEADER + SH_TYPE], SHT_RELA);
        assert_eq!(finished(3, (1, 0)).unwrap()[2 * HEADER + SH_TYPE], 1);
    }
}
