//! What `inspect` shows about an image.

use super::{Image, damaged, elf, hardening};
use anyhow::Result;
use goblin::elf::Elf;
use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_LOAD};
use goblin::elf::section_header::{SHF_ALLOC, SHT_NOBITS};
use serde::Serialize;
use unibody_proto::{cpio, params};

/// The whole report.
#[derive(Serialize)]
pub struct Report {
    pub image: String,
    pub file_size: usize,
    /// Build-id, in hexadecimal.
    pub build_id: Option<String>,
    /// Memory below which it does not start.
    pub min_memory: u64,
    /// The kernel's components that are in it.
    pub components: Vec<String>,
    /// Where loaders enter.
    pub entries: Vec<Entry>,
    /// What is loaded.
    pub segments: Vec<Segment>,
    /// Bytes by component.
    pub sizes: Vec<Size>,
    /// System calls that are linked; none if the symbols were stripped.
    pub system_calls: Option<Vec<Call>>,
    /// Whether the program makes calls by numbers known only at run time, which links them all.
    pub any_system_call: bool,
    /// Files of its own root.
    pub root: Vec<File>,
    /// Its own parameters.
    pub configuration: Vec<String>,
    /// What protects it.
    pub security: Vec<hardening::Check>,
}

/// An entry point.
#[derive(Serialize)]
pub struct Entry {
    /// The boot protocol, or Linux.
    pub protocol: &'static str,
    pub address: u64,
}

/// A loaded segment.
#[derive(Serialize)]
pub struct Segment {
    /// Address it is linked at.
    pub address: u64,
    /// Bytes in the file.
    pub file_size: u64,
    /// Bytes in memory.
    pub memory_size: u64,
    /// `r-x` and the like.
    pub protection: String,
    /// Names of the sections in it.
    pub sections: Vec<String>,
}

/// One component's size.
#[derive(Serialize)]
pub struct Size {
    /// The component's name.
    pub component: &'static str,
    /// Bytes in the file.
    pub file: u64,
    /// Bytes in memory.
    pub memory: u64,
}

/// A linked system call.
#[derive(Serialize)]
pub struct Call {
    /// Linux number.
    pub number: usize,
    pub name: String,
    /// Support level.
    pub support: String,
}

/// A file of the root.
#[derive(Serialize)]
pub struct File {
    pub path: String,
    /// Type and permissions, in octal.
    pub mode: String,
    pub size: usize,
}

/// Examines an image.
pub fn report(image: &Image) -> Result<Report> {
    let elf = image.elf()?;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let root = cpio::entries(image.root()?).map(|entry| {
        let entry = entry.map_err(|error| damaged(&image.path, error))?;
        let path = format!("/{}", text(entry.name));
        Ok(File { path, mode: format!("{:06o}", entry.mode), size: entry.data.len() })
    });
    let root = root.collect::<Result<Vec<_>>>()?;
    let is_parameters = |file: &File| file.path.strip_prefix('/') == Some(params::FILE);
    Ok(Report {
        image: image.path.display().to_string(),
        file_size: image.bytes.len(),
        build_id: loader::note(&elf, &image.bytes, b"GNU", 3).map(hex),
        min_memory: image.min_memory,
        components: image.components.clone(),
        entries: entries(&elf, &image.bytes),
        segments: segments(&elf),
        sizes: sizes(&elf),
        system_calls: system_calls(&elf),
        any_system_call: elf::symbol(&elf, "libos_syscall_dispatch").is_some(),
        root: root.into_iter().filter(|file| !is_parameters(file)).collect(),
        configuration: image.defaults()?.iter().map(|p| format!("{}={}", text(p.key), text(p.value))).collect(),
        security: hardening::checks(&elf),
    })
}

fn entries(elf: &Elf, bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Some(address) = loader::pvh_entry(elf, bytes) {
        entries.push(Entry { protocol: "PVH", address: address.into() });
    }
    if let Some(address) = multiboot2_entry(bytes) {
        entries.push(Entry { protocol: "multiboot2", address });
    }
    entries.push(Entry { protocol: "Linux process, Linux 64-bit boot", address: elf.header.e_entry });
    entries
}

/// The entry address tag of the multiboot2 header (Multiboot2 specification 1.6, section 3.1).
fn multiboot2_entry(bytes: &[u8]) -> Option<u64> {
    let header = loader::multiboot2(bytes)?;
    let end = header + loader::word(bytes, header + 8)? as usize;
    let mut tag = header + 16;
    while tag + 8 <= end {
        if loader::word(bytes, tag)? & 0xffff == 3 {
            return Some(loader::word(bytes, tag + 8)?.into());
        }
        tag += (loader::word(bytes, tag + 4)? as usize).max(8).next_multiple_of(8);
    }
    None
}

fn segments(elf: &Elf) -> Vec<Segment> {
    let loads = elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD);
    let bit = |flags: u32, bit: u32, letter: char| if flags & bit == 0 { '-' } else { letter };
    loads
        .map(|header| {
            let inside = elf.section_headers.iter().filter(|section| {
                section.sh_flags & u64::from(SHF_ALLOC) != 0
                    && section.sh_size > 0
                    && section.sh_addr >= header.p_vaddr
                    && section.sh_addr < header.p_vaddr + header.p_memsz
            });
            let names = inside.filter_map(|section| elf.shdr_strtab.get_at(section.sh_name));
            let flags = header.p_flags;
            Segment {
                address: header.p_vaddr,
                file_size: header.p_filesz,
                memory_size: header.p_memsz,
                protection: [bit(flags, PF_R, 'r'), bit(flags, PF_W, 'w'), bit(flags, PF_X, 'x')].iter().collect(),
                sections: names.map(str::to_owned).collect(),
            }
        })
        .collect()
}

/// Kernel sections begin with `.k` (see the linker script). The C library could be told from the program only by the
/// names of its object files, which the symbol table keeps only for local symbols, so its share is counted as the
/// program's.
fn sizes(elf: &Elf) -> Vec<Size> {
    let mut sizes = [
        Size { component: "program and C library", file: 0, memory: 0 },
        Size { component: "kernel", file: 0, memory: 0 },
        Size { component: "root file system", file: 0, memory: 0 },
        Size { component: "symbols and debug information", file: 0, memory: 0 },
    ];
    for section in &elf.section_headers {
        let name = elf.shdr_strtab.get_at(section.sh_name).unwrap_or_default();
        let component = match name {
            _ if section.sh_flags & u64::from(SHF_ALLOC) == 0 => 3,
            ".rootfs" => 2,
            _ if name.starts_with(".k") || name.starts_with(".libos") => 1,
            _ => 0,
        };
        if component != 3 {
            sizes[component].memory += section.sh_size;
        }
        if section.sh_type != SHT_NOBITS {
            sizes[component].file += section.sh_size;
        }
    }
    sizes.into_iter().collect()
}

fn system_calls(elf: &Elf) -> Option<Vec<Call>> {
    if elf.syms.is_empty() {
        return None;
    }
    let names = elf.syms.iter().filter(|symbol| !symbol.is_import());
    let numbers =
        names.filter_map(|symbol| elf.strtab.get_at(symbol.st_name)?.strip_prefix("libos_sys_")?.parse().ok());
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    let call = |number: usize| {
        let known = libos_abi::Call::by_number(number);
        let name = known.map_or("?", |call| call.name).to_owned();
        Call { number, name, support: known.map_or("?".to_owned(), |call| call.support.to_string()) }
    };
    Some(numbers.into_iter().map(call).collect())
}
