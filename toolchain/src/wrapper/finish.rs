//! Corrections to what the linker produces.

use anyhow::{Context, Result, ensure};
use goblin::elf::Elf;
use goblin::elf::header::{ET_DYN, ET_EXEC};
use goblin::elf::section_header::SHT_RELA;
use goblin::elf64::section_header::SIZEOF_SHDR;
use std::fs;
use std::path::Path;

/// Offset of `e_type` in the ELF header.
const E_TYPE: usize = 16;

/// Finishes a linked image in place and returns its bytes.
///
/// The linker marks a PIE with a load address as ET_EXEC, and Linux would load it there each time; marked ET_DYN, it
/// gets a random address. And with packed relocations the linker leaves an empty section of unpacked ones, and GRUB
/// refuses files with a section of that type.
pub fn finish(image: &Path) -> Result<Vec<u8>> {
    let fail = || format!("cannot finish {}", image.display());
    let mut bytes = fs::read(image).with_context(fail)?;
    let elf = Elf::parse(&bytes).with_context(fail)?;
    let kind = elf.header.e_type;
    ensure!(matches!(kind, ET_DYN | ET_EXEC), "{} has the ELF type {kind}, which is no program's", image.display());
    let sections = (elf.header.e_shoff as usize..).step_by(SIZEOF_SHDR).zip(&elf.section_headers);
    let empty: Vec<_> = sections.filter(|(_, s)| s.sh_type == SHT_RELA && s.sh_size == 0).map(|(at, _)| at).collect();
    bytes[E_TYPE..][..2].copy_from_slice(&ET_DYN.to_le_bytes());
    for at in empty {
        // All zero: an unused entry, like the first. The other sections keep their numbers.
        bytes[at..][..SIZEOF_SHDR].fill(0);
    }
    fs::write(image, &bytes).with_context(fail)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: usize = SIZEOF_SHDR;
    /// Offsets of `sh_type` and `sh_size` in a section header.
    const SH_TYPE: usize = 4;
    const SH_SIZE: usize = 32;
    const RELA: u8 = SHT_RELA as u8;

    fn finished(kind: u8, section: (u8, u8)) -> Option<Vec<u8>> {
        let mut bytes = vec![0u8; 3 * HEADER];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        bytes[16] = kind;
        bytes[40] = 64;
        bytes[58] = HEADER as u8;
        bytes[60] = 2;
        bytes[2 * HEADER + SH_TYPE] = section.0;
        bytes[2 * HEADER + SH_SIZE] = section.1;
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        let finished = finish(file.path()).ok()?;
        assert_eq!(finished, fs::read(file.path()).unwrap());
        Some(finished)
    }

    #[test]
    fn types() {
        assert_eq!(finished(2, (1, 0)).unwrap()[16], 3);
        assert_eq!(finished(3, (1, 0)).unwrap()[16], 3);
        assert!(finished(1, (1, 0)).is_none());
    }

    #[test]
    fn sections() {
        assert_eq!(finished(3, (RELA, 0)).unwrap()[2 * HEADER..], [0; HEADER]);
        assert_eq!(finished(3, (RELA, 24)).unwrap()[2 * HEADER + SH_TYPE], RELA);
        assert_eq!(finished(3, (1, 0)).unwrap()[2 * HEADER + SH_TYPE], 1);
    }
}
