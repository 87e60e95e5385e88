//! Looking things up in an ELF file, with and without its section headers and symbols.

use goblin::elf::Elf;
use goblin::elf::program_header::{PF_W, PF_X, PT_LOAD};
use std::ops::Range;
use unibody_proto::note;

/// The descriptor of a note.
pub fn note<'a>(elf: &Elf, bytes: &'a [u8], owner: &[u8], kind: u32) -> Option<&'a [u8]> {
    super::note_segments(elf, bytes).into_iter().find_map(|notes| note::find(notes, owner, kind))
}

/// The value of a symbol.
pub fn symbol(elf: &Elf, name: &str) -> Option<u64> {
    elf.syms.iter().find(|symbol| elf.strtab.get_at(symbol.st_name) == Some(name)).map(|symbol| symbol.st_value)
}

/// Where a section's contents lie in the file.
pub fn section(elf: &Elf, name: &str) -> Option<Range<usize>> {
    let header = elf.section_headers.iter().find(|header| elf.shdr_strtab.get_at(header.sh_name) == Some(name))?;
    header.file_range()
}

/// The bytes between two addresses, if one loaded segment holds them all.
pub fn between<'a>(elf: &Elf, bytes: &'a [u8], start: u64, end: u64) -> Option<&'a [u8]> {
    let holds = |vaddr: u64, size: u64| start >= vaddr && start <= end && end <= vaddr + size;
    let segment =
        elf.program_headers.iter().find(|header| header.p_type == PT_LOAD && holds(header.p_vaddr, header.p_filesz))?;
    let at = usize::try_from(start - segment.p_vaddr + segment.p_offset).ok()?;
    bytes.get(at..at.checked_add(usize::try_from(end - start).ok()?)?)
}

/// The embedded root archive: by its section, by its symbols, or, if both were stripped, as a separate read-only
/// segment that begins with an archive's magic.
pub fn root<'a>(elf: &Elf, bytes: &'a [u8]) -> Option<&'a [u8]> {
    if let Some(range) = section(elf, ".rootfs") {
        return bytes.get(range);
    }
    if let (Some(start), Some(end)) = (symbol(elf, "__rootfs_start"), symbol(elf, "__rootfs_end")) {
        return between(elf, bytes, start, end);
    }
    let read_only = |flags: u32| flags & (PF_W | PF_X) == 0;
    let segments = elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD && read_only(header.p_flags));
    segments.filter_map(|header| bytes.get(header.file_range())).find(|data| data.starts_with(b"07070"))
}
