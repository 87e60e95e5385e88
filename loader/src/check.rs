//! The rules, in the order in which a loader would run into them.

use crate::bytes::{contents, header, program_headers, u32_at, u64_at};
use core::fmt;
use goblin::elf64::header::{EM_X86_64, ET_DYN, ET_EXEC, Header};
use goblin::elf64::program_header::{PF_W, PF_X, PT_DYNAMIC, PT_LOAD, PT_NOTE, ProgramHeader, SIZEOF_PHDR};

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
const R_X86_64_RELATIVE: u32 = 8;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;

/// Checks that every loader can start an image.
pub fn check(file: &[u8]) -> Result<(), Fault> {
    const CLASS_64_LITTLE: [u8; 2] = [2, 1];
    let h = header(file).ok_or(Fault::NotX86Executable)?;
    // Some linkers label a position-independent file with a load address of its own ET_EXEC.
    if h.e_ident[4..6] != CLASS_64_LITTLE || h.e_machine != EM_X86_64 || !matches!(h.e_type, ET_DYN | ET_EXEC) {
        return Err(Fault::NotX86Executable);
    }
    let loads = program_headers(file, &h).filter(|p| p.p_type == PT_LOAD);
    segments(&h, loads.clone())?;
    let executable = |addr: u64| loads.clone().any(|p| p.p_flags & PF_X != 0 && inside(&p, addr));
    if !executable(h.e_entry) {
        return Err(Fault::EntryNotExecutable);
    }
    if !pvh_entry(file, &h).is_some_and(|entry| executable(entry.into())) {
        return Err(Fault::NoPvhEntry);
    }
    multiboot(file)?;
    relocations(file, &h, loads)
}

fn inside(p: &ProgramHeader, addr: u64) -> bool {
    addr >= p.p_vaddr && addr - p.p_vaddr < p.p_memsz
}

fn segments(h: &Header, loads: impl Iterator<Item = ProgramHeader>) -> Result<(), Fault> {
    let mut free_from = 0;
    for (i, p) in loads.enumerate() {
        let headers_end = h.e_phoff.saturating_add(u64::from(h.e_phnum) * SIZEOF_PHDR as u64);
        if i == 0 && (p.p_offset != 0 || p.p_filesz < headers_end) {
            return Err(Fault::HeadersNotLoaded);
        }
        if p.p_vaddr != p.p_paddr {
            return Err(Fault::PhysicalDiffersFromVirtual);
        }
        if p.p_vaddr < MIB {
            return Err(Fault::LoadsBelow1MiB);
        }
        if p.p_flags & (PF_W | PF_X) == PF_W | PF_X {
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

fn pvh_entry(file: &[u8], h: &Header) -> Option<u32> {
    program_headers(file, h).filter(|p| p.p_type == PT_NOTE).find_map(|p| {
        let notes = contents(file, &p)?;
        let mut at = 0;
        loop {
            let (name, desc) = (u32_at(notes, at)? as usize, u32_at(notes, at + 4)? as usize);
            let kind = u32_at(notes, at + 8)?;
            let desc_at = at + 12 + name.checked_next_multiple_of(4)?;
            if kind == XEN_PHYS32_ENTRY && notes.get(at + 12..)?.starts_with(b"Xen\0") && name == 4 {
                return u32_at(notes, desc_at);
            }
            at = desc_at.checked_add(desc.checked_next_multiple_of(4)?)?;
        }
    })
}

fn multiboot(file: &[u8]) -> Result<(), Fault> {
    let words = |limit: usize, step: usize| {
        (0..limit.min(file.len())).step_by(step).filter_map(|at| Some((at, u32_at(file, at)?)))
    };
    // A header, not just its magic: the sum of magic, flags and checksum is zero.
    let sum = |at: usize, n: usize| (0..n).try_fold(0u32, |s, i| Some(s.wrapping_add(u32_at(file, at + 4 * i)?)));
    if words(8 << 10, 4).any(|(at, w)| w == MULTIBOOT1 && sum(at, 3) == Some(0)) {
        return Err(Fault::Multiboot1Header);
    }
    if !words(32 << 10, 8).any(|(at, w)| w == MULTIBOOT2 && sum(at, 4) == Some(0)) {
        return Err(Fault::NoMultiboot2Header);
    }
    Ok(())
}

fn relocations(file: &[u8], h: &Header, loads: impl Iterator<Item = ProgramHeader> + Clone) -> Result<(), Fault> {
    let Some(dynamic) = program_headers(file, h).find(|p| p.p_type == PT_DYNAMIC) else { return Ok(()) };
    let tags = contents(file, &dynamic).unwrap_or_default();
    let tag = |wanted: u64| {
        (0..tags.len() / 16).find_map(|i| (u64_at(tags, i * 16)? == wanted).then(|| u64_at(tags, i * 16 + 8))?)
    };
    let (Some(addr), Some(size)) = (tag(DT_RELA), tag(DT_RELASZ)) else { return Ok(()) };
    let Some(segment) = loads.clone().find(|p| inside(p, addr)) else { return Ok(()) };
    let start = (segment.p_offset + (addr - segment.p_vaddr)) as usize;
    for i in 0..(size / 24) as usize {
        match u64_at(file, start + i * 24 + 8) {
            Some(info) if info as u32 != R_X86_64_RELATIVE => return Err(Fault::ForeignRelocation(info as u32)),
            _ => {}
        }
    }
    Ok(())
}
