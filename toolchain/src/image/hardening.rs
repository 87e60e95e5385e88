//! What protects an image, judged by its file alone.

use super::elf::symbol;
use goblin::elf::Elf;
use goblin::elf::dynamic::DF_1_PIE;
use goblin::elf::header::ET_DYN;
use goblin::elf::program_header::{PF_W, PF_X, PT_GNU_RELRO, PT_GNU_STACK, PT_LOAD};
use serde::Serialize;

/// One property.
#[derive(Serialize)]
pub struct Check {
    pub property: &'static str,
    /// Whether it holds; unknown if only symbols could tell and they were stripped.
    pub holds: Option<bool>,
    /// What it means for the image.
    pub meaning: &'static str,
}

/// All properties.
pub fn checks(elf: &Elf) -> Vec<Check> {
    let loads = || elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD);
    let has = |kind: u32| elf.program_headers.iter().find(|header| header.p_type == kind);
    let named = |name: &str| if elf.syms.is_empty() { None } else { Some(symbol(elf, name).is_some()) };
    let apart = || -> Option<bool> {
        let (kernel, program) = (symbol(elf, "__ktext_start")?, symbol(elf, "__text_start")?);
        let segment = |addr: u64| loads().position(|h| addr >= h.p_vaddr && addr < h.p_vaddr + h.p_memsz);
        Some(segment(kernel).is_some() && segment(kernel) != segment(program))
    };
    let marked = elf.dynamic.as_ref().is_some_and(|dynamic| dynamic.info.flags_1 & DF_1_PIE != 0);
    let pie = marked || elf.header.e_type == ET_DYN;
    let check = |property, holds, meaning| Check { property, holds, meaning };
    vec![
        check(
            "W^X",
            Some(loads().all(|header| header.p_flags & (PF_W | PF_X) != PF_W | PF_X)),
            "no part is both writable and executable",
        ),
        check("PIE", Some(pie), "it runs at any address, so its base can be random"),
        check("RELRO", Some(has(PT_GNU_RELRO).is_some()), "relocated data is sealed before the program runs"),
        check(
            "NX stack",
            Some(has(PT_GNU_STACK).is_some_and(|header| header.p_flags & PF_X == 0)),
            "stacks cannot be executed",
        ),
        check("kernel apart", apart(), "kernel and program share no segment, so they have permissions of their own"),
        check(
            "stack protector",
            named("__stack_chk_fail"),
            "functions compiled with it die when their frame is smashed",
        ),
    ]
}
