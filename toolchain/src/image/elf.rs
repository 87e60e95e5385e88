//! Looking things up in an ELF file, with and without its section headers and symbols.

use goblin::elf::Elf;
use goblin::elf::program_header::{PF_W, PF_X, PT_LOAD};

/// The value of a symbol.
pub fn symbol(elf: &Elf, name: &str) -> Option<u64> {
    elf.syms.iter().find(|symbol| elf.strtab.get_at(symbol.st_name) == Some(name)).map(|symbol| symbol.st_value)
}

/// The embedded root archive: a segment of its own that begins with an archive's magic. It has a section and symbols as
/// well, but those may be stripped.
pub fn root<'a>(elf: &Elf, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let read_only = |flags: u32| flags & (PF_W | PF_X) == 0;
    let segments = elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD && read_only(header.p_flags));
    segments.filter_map(|header| bytes.get(header.file_range())).find(|data| data.starts_with(b"07070"))
}
