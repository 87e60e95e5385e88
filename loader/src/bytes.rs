//! Reading little-endian structures out of a file that may contain anything.

use goblin::elf64::header::Header;
use goblin::elf64::program_header::{ProgramHeader, SIZEOF_PHDR};

/// `N` bytes at `at`.
pub fn array<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// A 32-bit number.
pub fn u32_at(file: &[u8], at: usize) -> Option<u32> {
    array(file, at).map(u32::from_le_bytes)
}

/// A 64-bit number.
pub fn u64_at(file: &[u8], at: usize) -> Option<u64> {
    array(file, at).map(u64::from_le_bytes)
}

/// A 16-bit number.
fn u16_at(file: &[u8], at: usize) -> Option<u16> {
    array(file, at).map(u16::from_le_bytes)
}

/// The ELF header, if the file begins with the magic and is long enough. Field by field: the file need not be aligned.
pub fn header(file: &[u8]) -> Option<Header> {
    let e_ident: [u8; 16] = array(file, 0)?;
    Some(Header {
        e_ident: e_ident.starts_with(b"\x7fELF").then_some(e_ident)?,
        e_type: u16_at(file, 16)?,
        e_machine: u16_at(file, 18)?,
        e_version: u32_at(file, 20)?,
        e_entry: u64_at(file, 24)?,
        e_phoff: u64_at(file, 32)?,
        e_shoff: u64_at(file, 40)?,
        e_flags: u32_at(file, 48)?,
        e_ehsize: u16_at(file, 52)?,
        e_phentsize: u16_at(file, 54)?,
        e_phnum: u16_at(file, 56)?,
        e_shentsize: u16_at(file, 58)?,
        e_shnum: u16_at(file, 60)?,
        e_shstrndx: u16_at(file, 62)?,
    })
}

/// The program headers.
pub fn program_headers<'a>(file: &'a [u8], h: &Header) -> impl Iterator<Item = ProgramHeader> + Clone + use<'a> {
    let (start, size) = (h.e_phoff as usize, usize::from(h.e_phentsize).max(SIZEOF_PHDR));
    (0..usize::from(h.e_phnum)).map_while(move |i| {
        let at = start.checked_add(i.checked_mul(size)?)?;
        let raw: [u8; SIZEOF_PHDR] = array(file, at)?;
        let (half, full) = (|o: usize| u32_at(&raw, o), |o: usize| u64_at(&raw, o));
        Some(ProgramHeader {
            p_type: half(0)?,
            p_flags: half(4)?,
            p_offset: full(8)?,
            p_vaddr: full(16)?,
            p_paddr: full(24)?,
            p_filesz: full(32)?,
            p_memsz: full(40)?,
            p_align: full(48)?,
        })
    })
}

/// The bytes of a segment that are in the file.
pub fn contents<'a>(file: &'a [u8], p: &ProgramHeader) -> Option<&'a [u8]> {
    let start = usize::try_from(p.p_offset).ok()?;
    file.get(start..start.checked_add(usize::try_from(p.p_filesz).ok()?)?)
}
