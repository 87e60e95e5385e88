//! What an image must look like so that every loader starts it and its own boot code can rely on it.
//!
//! The wrapper checks each image that it links: better reported on the host than by a machine that stays silent.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use goblin::elf::Elf;
use goblin::elf::header::{EM_X86_64, ET_DYN, ET_EXEC};
use goblin::elf::program_header::{PT_LOAD, PT_NOTE, ProgramHeader};
use goblin::elf::reloc::R_X86_64_RELATIVE;
use goblin::elf64::program_header::SIZEOF_PHDR;
use std::fmt;
use unibody_proto::note;

/// Why an image cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not ELF, 64-bit, little-endian, x86-64, executable.
    NotX86Executable,
    /// Linux tells the program where its headers are (AT_PHDR), so they must be loaded.
    HeadersNotLoaded,
    /// Firecracker and Cloud Hypervisor refuse an entry below 1 MiB, where the BIOS is.
    LoadsBelow1MiB,
    /// Loaders place segments by p_paddr and the boot code runs there first.
    PhysicalDiffersFromVirtual,
    /// A page would need the permissions of two segments.
    SegmentsShareAPage,
    /// A segment that is both writable and executable.
    WritableAndExecutable,
    /// The entry point is not in code.
    EntryNotExecutable,
    /// No PVH note (Xen's, type 18) in a PT_NOTE segment, or it points nowhere: QEMU and Firecracker need it.
    NoPvhEntry,
    /// No multiboot2 header in the first 32 KiB: GRUB needs it.
    NoMultiboot2Header,
    /// A multiboot 1 header in the first 8 KiB: QEMU would take the file for a 32-bit one.
    Multiboot1Header,
    /// A relocation other than R_X86_64_RELATIVE: the boot code knows only that one.
    ForeignRelocation(u32),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::NotX86Executable => "it is not a 64-bit x86 executable",
            Fault::HeadersNotLoaded => "its ELF headers are not in its first loaded segment",
            Fault::LoadsBelow1MiB => "a part of it would be loaded below 1 MiB",
            Fault::PhysicalDiffersFromVirtual => "a segment's physical address is not its virtual address",
            Fault::SegmentsShareAPage => "two of its segments share a page",
            Fault::WritableAndExecutable => "a segment of it is writable and executable",
            Fault::EntryNotExecutable => "its entry point is not in executable code",
            Fault::NoPvhEntry => "it has no PVH entry note",
            Fault::NoMultiboot2Header => "it has no multiboot2 header in its first 32 KiB",
            Fault::Multiboot1Header => "it has a multiboot 1 header in its first 8 KiB",
            Fault::ForeignRelocation(kind) => return write!(f, "it has a relocation of type {kind}, not RELATIVE"),
        })
    }
}

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;
const XEN_PHYS32_ENTRY: u32 = 18;
const MULTIBOOT1: u32 = 0x1bad_b002;
const MULTIBOOT2: u32 = 0xe852_50d6;

/// Checks that every loader can start an image. The rules come in the order in which a loader would run into them.
pub fn check(file: &[u8]) -> Result<(), Fault> {
    let elf = Elf::parse(file).map_err(|_| Fault::NotX86Executable)?;
    let header = &elf.header;
    // Some linkers label a position-independent file with a load address of its own ET_EXEC.
    let executable = header.e_machine == EM_X86_64 && matches!(header.e_type, ET_DYN | ET_EXEC);
    if !(elf.is_64 && elf.little_endian && executable) {
        return Err(Fault::NotX86Executable);
    }
    segments(&elf)?;
    let code = |addr: u64| loads(&elf).any(|p| p.is_executable() && addr >= p.p_vaddr && addr - p.p_vaddr < p.p_memsz);
    if !code(elf.entry) {
        return Err(Fault::EntryNotExecutable);
    }
    if !pvh_entry(&elf, file).is_some_and(|entry| code(entry.into())) {
        return Err(Fault::NoPvhEntry);
    }
    // A header, not just its magic: the sum of magic, flags and checksum is zero.
    if header_at(file, MULTIBOOT1, 8 << 10, 4, 3).is_some() {
        return Err(Fault::Multiboot1Header);
    }
    if multiboot2(file).is_none() {
        return Err(Fault::NoMultiboot2Header);
    }
    match elf.dynrelas.iter().find(|relocation| relocation.r_type != R_X86_64_RELATIVE) {
        Some(foreign) => Err(Fault::ForeignRelocation(foreign.r_type)),
        None => Ok(()),
    }
}

fn loads<'a>(elf: &'a Elf) -> impl Iterator<Item = &'a ProgramHeader> {
    elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD)
}

fn segments(elf: &Elf) -> Result<(), Fault> {
    let headers_end = elf.header.e_phoff.saturating_add(u64::from(elf.header.e_phnum) * SIZEOF_PHDR as u64);
    let mut free_from = 0;
    for (i, p) in loads(elf).enumerate() {
        if i == 0 && (p.p_offset != 0 || p.p_filesz < headers_end) {
            return Err(Fault::HeadersNotLoaded);
        }
        if p.p_vaddr != p.p_paddr {
            return Err(Fault::PhysicalDiffersFromVirtual);
        }
        if p.p_vaddr < MIB {
            return Err(Fault::LoadsBelow1MiB);
        }
        if p.is_write() && p.is_executable() {
            return Err(Fault::WritableAndExecutable);
        }
        // PT_LOAD entries are in ascending order (gABI).
        if p.p_vaddr & !(PAGE - 1) < free_from {
            return Err(Fault::SegmentsShareAPage);
        }
        free_from = p.p_vaddr.saturating_add(p.p_memsz).div_ceil(PAGE) * PAGE;
    }
    if free_from == 0 { Err(Fault::HeadersNotLoaded) } else { Ok(()) }
}

/// Where PVH loaders enter.
pub fn pvh_entry(elf: &Elf, file: &[u8]) -> Option<u32> {
    note(elf, file, b"Xen", XEN_PHYS32_ENTRY).and_then(|desc| word(desc, 0))
}

/// The descriptor of a note. Notes live in PT_NOTE segments; `strip` keeps those.
pub fn note<'a>(elf: &Elf, file: &'a [u8], owner: &[u8], kind: u32) -> Option<&'a [u8]> {
    let segments = elf.program_headers.iter().filter(|header| header.p_type == PT_NOTE);
    segments.filter_map(|header| file.get(header.file_range())).find_map(|notes| note::find(notes, owner, kind))
}

/// Where the multiboot2 header is (Multiboot2 specification 1.6, section 3.1).
pub fn multiboot2(file: &[u8]) -> Option<usize> {
    header_at(file, MULTIBOOT2, 32 << 10, 8, 4)
}

/// The first header of `words` words with this magic and the sum zero, among multiples of `step` below `limit`.
fn header_at(file: &[u8], magic: u32, limit: usize, step: usize, words: usize) -> Option<usize> {
    let sum = |at: usize| (0..words).try_fold(0u32, |sum, i| Some(sum.wrapping_add(word(file, at + 4 * i)?)));
    (0..limit.min(file.len())).step_by(step).find(|at| word(file, *at) == Some(magic) && sum(*at) == Some(0))
}

/// A little-endian word.
pub fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
