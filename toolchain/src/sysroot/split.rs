//! Gives each string and constant of the kernel a section of its own, so that the linker drops those that an image does
//! not use.
//!
//! Functions and statics have their own sections from the compiler. What ends in a zero byte (names of source files, templates
//! of messages) and short constants it puts together in a few sections of which the linker merges equal parts (SHF_MERGE):
//! one reference keeps all of such a section. The linker still merges what is left of them.
//!
//! Which part does a reference mean? The address alone does not tell: it may be biased, as in a displacement that counts from
//! the end of an instruction, or lie past the part's end, as the end of an iterator does. Linkers that merge have the same
//! question, hence the rule that compilers keep to (`shouldRelocateWithSymbol` in LLVM's `ELFObjectWriter.cpp`,
//! `_bfd_elf_rela_local_sym` in binutils): a symbol means the part that it lies in, whatever is added to it; a reference by the
//! section's own symbol means the part at the addend. Here both must lie at a part's very start, or the object is refused.

use anyhow::{Context, Result, bail, ensure};
use object::build::elf::{Builder, Section, SectionData, SectionId, SymbolId, Symbols};
use object::elf::{R_X86_64_64, R_X86_64_PC32, SHF_GROUP, SHF_MERGE, SHF_STRINGS, SHT_REL, STB_LOCAL, STT_SECTION};

/// A mergeable section, and what becomes of it.
struct Split {
    whole: SectionId,
    name: String,
    parts: Vec<Part>,
}

/// A string or constant in its new section.
struct Part {
    /// Where it lies in the whole.
    start: u64,
    len: u64,
    section: SectionId,
    /// The section's symbol, once something refers to it.
    symbol: Option<SymbolId>,
}

/// The relocatable object with its mergeable sections split.
pub fn split(object: &[u8]) -> Result<Vec<u8>> {
    let mut elf = Builder::read(object).context("cannot read the kernel's object")?;
    let mergeable = |s: &&Section| s.is_alloc() && s.sh_flags.contains(SHF_MERGE);
    let whole: Vec<_> = elf.sections.iter().filter(mergeable).map(Section::id).collect();
    let mut splits = whole.into_iter().map(|id| cut(&mut elf, id)).collect::<Result<Vec<_>>>()?;
    let by_section = move_symbols(&mut elf, &splits)?;
    move_relocations(&mut elf, &mut splits, &by_section)?;
    let mut out = Vec::with_capacity(object.len());
    elf.write(&mut out).context("cannot write the kernel's object")?;
    Ok(out)
}

/// Copies each part of a section into one of its own.
fn cut(elf: &mut Builder, whole: SectionId) -> Result<Split> {
    let section = elf.sections.get_mut(whole);
    let name = section.name.to_string();
    ensure!(!section.sh_flags.contains(SHF_GROUP), "{name} belongs to a group");
    let SectionData::Data(bytes) = &section.data else { bail!("{name} holds no data") };
    let bytes = bytes.to_vec();
    let entry = usize::try_from(section.sh_entsize)?;
    let align = usize::try_from(section.sh_addralign.max(1))?;
    let ranges = if section.sh_flags.contains(SHF_STRINGS) {
        strings(&bytes, entry, align)
    } else {
        constants(&bytes, entry, align)
    };
    let ranges = ranges.with_context(|| format!("{name} does not consist of what it says"))?;
    section.delete = true;
    let part = |(start, len): (usize, usize)| {
        let section = elf.sections.copy(whole);
        section.delete = false;
        section.data = SectionData::Data(bytes[start..start + len].to_vec().into());
        Part { start: start as u64, len: len as u64, section: section.id(), symbol: None }
    };
    Ok(Split { whole, name, parts: ranges.into_iter().map(part).collect() })
}

/// Start and length of each string with its terminator. Between strings there may be zeros up to the alignment.
fn strings(bytes: &[u8], entry: usize, align: usize) -> Option<Vec<(usize, usize)>> {
    let zero = |at: usize| bytes.get(at..at + entry).map(|e| e.iter().all(|b| *b == 0));
    let (mut found, mut start) = (Vec::new(), 0);
    while entry > 0 && start < bytes.len() {
        let mut end = start;
        while !zero(end)? {
            end += entry;
        }
        end += entry;
        found.push((start, end - start));
        start = end.next_multiple_of(align);
        if bytes[end..start.min(bytes.len())].iter().any(|b| *b != 0) {
            return None;
        }
    }
    (entry > 0).then_some(found)
}

fn constants(bytes: &[u8], entry: usize, align: usize) -> Option<Vec<(usize, usize)>> {
    let whole = entry > 0 && bytes.len().is_multiple_of(entry) && entry.is_multiple_of(align);
    whole.then(|| (0..bytes.len()).step_by(entry).map(|start| (start, entry)).collect())
}

impl Split {
    fn part_at(&self, start: u64) -> Option<usize> {
        self.parts.binary_search_by_key(&start, |part| part.start).ok()
    }
}

/// Moves the symbols of split sections to the parts. Returns the sections' own, which can mean any part: each with the
/// place of its section in `splits`.
fn move_symbols(elf: &mut Builder, splits: &[Split]) -> Result<Vec<(SymbolId, usize)>> {
    let mut by_section = Vec::new();
    for symbol in &mut elf.symbols {
        let Some(n) = splits.iter().position(|split| Some(split.whole) == symbol.section) else { continue };
        let split = &splits[n];
        if symbol.st_type() == STT_SECTION {
            ensure!(symbol.st_value == 0, "the symbol of {} is not at its start", split.name);
            symbol.delete = true;
            by_section.push((symbol.id(), n));
            continue;
        }
        let part = split.part_at(symbol.st_value).map(|at| &split.parts[at]);
        let Some(part) = part.filter(|part| symbol.st_size <= part.len) else {
            bail!("{} at {:#x} in {} is not one of its parts", symbol.name, symbol.st_value, split.name)
        };
        symbol.section = Some(part.section);
        symbol.st_value = 0;
    }
    Ok(by_section)
}

/// Points references by a split section's symbol at the part's.
fn move_relocations(elf: &mut Builder, splits: &mut [Split], by_section: &[(SymbolId, usize)]) -> Result<()> {
    let is_split = |id: Option<SectionId>, splits: &[Split]| splits.iter().any(|split| Some(split.whole) == id);
    for section in &mut elf.sections {
        let linked = is_split(section.sh_link_section, splits) || is_split(section.sh_info_section, splits);
        ensure!(!linked, "{} belongs to a section that would be split", section.name);
        ensure!(section.sh_type != SHT_REL, "{} has its addends elsewhere", section.name);
        let SectionData::Relocation(relocations) = &mut section.data else { continue };
        for relocation in relocations {
            let Some(symbol) = relocation.symbol else { continue };
            let Some((_, n)) = by_section.iter().find(|(own, _)| *own == symbol) else { continue };
            let split = &mut splits[*n];
            let part = u64::try_from(relocation.r_addend).ok().and_then(|addend| split.part_at(addend));
            let known = [R_X86_64_64, R_X86_64_PC32].contains(&relocation.r_type);
            let Some(part) = part.filter(|_| known) else {
                bail!(
                    "{} at {:#x}: a reference of type {:?} to {} + {:#x}, which is not one of its parts",
                    section.name,
                    relocation.r_offset,
                    relocation.r_type,
                    split.name,
                    relocation.r_addend
                )
            };
            let part = &mut split.parts[part];
            relocation.symbol = Some(*part.symbol.get_or_insert_with(|| own_symbol(&mut elf.symbols, part.section)));
            relocation.r_addend = 0;
        }
    }
    Ok(())
}

/// Adds the symbol that stands for a section.
fn own_symbol(symbols: &mut Symbols, section: SectionId) -> SymbolId {
    let symbol = symbols.add();
    symbol.section = Some(section);
    symbol.set_st_info(STB_LOCAL, STT_SECTION);
    symbol.id()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    /// Assembles and gives the object.
    fn assemble(dir: &Path, source: &str) -> Vec<u8> {
        let (from, to) = (dir.join("a.s"), dir.join("a.o"));
        std::fs::write(&from, source).unwrap();
        crate::command::run(Command::new("gcc").arg("-c").arg(&from).arg("-o").arg(&to), None).unwrap();
        std::fs::read(to).unwrap()
    }

    /// Links what is used, runs it, and gives the program and its output.
    fn run(dir: &Path, object: &[u8]) -> (Vec<u8>, String) {
        let (from, to) = (dir.join("b.o"), dir.join("b"));
        std::fs::write(&from, object).unwrap();
        let mut gcc = Command::new("gcc");
        gcc.args(["-nostdlib", "-static", "-Wl,--gc-sections", "-Wl,-s", "-o"]).arg(&to).arg(&from);
        crate::command::run(&mut gcc, None).unwrap();
        let output = crate::command::run(&mut Command::new(&to), None).unwrap();
        (std::fs::read(to).unwrap(), String::from_utf8(output).unwrap())
    }

    fn count(haystack: &[u8], needle: &str) -> usize {
        haystack.windows(needle.len()).filter(|w| *w == needle.as_bytes()).count()
    }

    /// A program that prints strings which it reaches in all the ways that compilers use.
    const PROGRAM: &str = r#"
        .section .rodata.str1.1,"aMS",@progbits,1
        .asciz "unused 1;"
named:  .asciz "named;"
        .size named, 7
        .asciz "unused 2;"
        .set place, . - .rodata.str1.1
        .asciz "by place;"
        .set entry, . - .rodata.str1.1
        .asciz "by entry;"
        .asciz ""
again:  .asciz "named;"
tail:   .asciz "med;"
        .section .rodata.cst8,"aM",@progbits,8
        .quad 0x3b31206465737571        # "qused 1;"
number: .quad 0x0a3b7265626d756e        # "number;\n"
        .section .data.table,"aw"
table:  .quad .rodata.str1.1 + place
        .quad again
        .section .rodata.switch,"a"
switch: .reloc ., R_X86_64_PC32, .rodata.str1.1 + entry
        .long 0
        .reloc ., R_X86_64_PC32, tail + 4
        .long 0
        .section .text._start,"ax"
        .globl _start
_start: lea     named(%rip), %rsi
        lea     named+6(%rip), %rdi     # one past the last byte
        call    print
        mov     $3, %ebx
        cmpl    $0x656d616e, named(%rip)        # an immediate lies behind the displacement
        jne     exit
        cmpb    $'n', again(%rip)
        jne     exit
        mov     table(%rip), %rsi
        lea     9(%rsi), %rdi
        call    print
        mov     table+8(%rip), %rsi
        lea     6(%rsi), %rdi
        call    print
        lea     switch(%rip), %rax
        movslq  (%rax), %rsi
        add     %rax, %rsi
        lea     9(%rsi), %rdi
        call    print
        lea     switch(%rip), %rax
        movslq  4(%rax), %rsi
        add     %rax, %rsi
        lea     4(%rsi), %rdi
        call    print
        lea     number(%rip), %rsi
        lea     number+8(%rip), %rdi
        call    print
        xor     %ebx, %ebx
exit:   mov     %ebx, %edi
        mov     $60, %eax
        syscall
print:  mov     %rdi, %rdx              # from rsi to rdi
        sub     %rsi, %rdx
        mov     $1, %edi
        mov     $1, %eax
        syscall
        ret
        .section .note.GNU-stack,"",@progbits
"#;

    #[test]
    fn unused_parts_fall_away() {
        let dir = tempfile::tempdir().unwrap();
        let object = assemble(dir.path(), PROGRAM);
        let (before, said) = run(dir.path(), &object);
        assert_eq!(said, "named;by place;named;by entry;med;number;\n");
        let unused = ["unused 1;", "unused 2;", "qused 1;"];
        assert_eq!(unused.map(|u| count(&before, u)), [1; 3]);
        let (after, said) = run(dir.path(), &split(&object).unwrap());
        assert_eq!(said, "named;by place;named;by entry;med;number;\n");
        assert_eq!(unused.map(|u| count(&after, u)), [0; 3]);
        // What is left is merged as before.
        assert_eq!(["named;", "med;", "by place;"].map(|u| count(&after, u)), [1; 3]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |what: &str, why: &str| {
            let program = format!("{PROGRAM}\n.section .rodata.str1.1\n{what}\n");
            let error = format!("{:#}", split(&assemble(dir.path(), &program)).map(drop).expect_err(what));
            assert!(error.contains(why), "{what}: {error}");
        };
        refused(".data\n.quad .rodata.str1.1 + place + 1", "which is not one of its parts");
        refused(".data\n.quad .rodata.str1.1 - 4", "which is not one of its parts");
        refused(".data\n.quad .rodata.str1.1 + 1000", "which is not one of its parts");
        refused(".data\n.long .rodata.str1.1", "which is not one of its parts");
        refused(".ascii \"a\"\nmiddle: .asciz \"b\"\n.data\n.quad middle - . + 8", "middle at");
        refused("long: .asciz \"a\"\n.asciz \"b\"\n.size long, 4", "long at");
        refused(".ascii \"no end\"", "does not consist of what it says");
        refused(".section .rodata.cst8\n.quad _start", "belongs to a section that would be split");
        refused(".section .rodata.str1.1,\"aMSG\",@progbits,1,group,comdat\n.asciz \"a\"", "Unsupported section type");
    }

    #[test]
    fn parts() {
        assert_eq!(strings(b"ab\0\0c\0", 1, 1).unwrap(), [(0, 3), (3, 1), (4, 2)]);
        assert_eq!(strings(b"", 1, 1).unwrap(), []);
        assert_eq!(strings(b"ab", 1, 1), None);
        // Wide characters: a zero byte does not end them.
        assert_eq!(strings(b"a\0\0b\0\0c\0\0\0", 2, 2).unwrap(), [(0, 6), (6, 4)]);
        assert_eq!(strings(b"a\0\0b\0\0c", 2, 2), None);
        // Aligned: zeros between them are no strings.
        assert_eq!(strings(b"a\0\0\0bcd\0\0\0", 1, 4).unwrap(), [(0, 2), (4, 4), (8, 1)]);
        assert_eq!(strings(b"a\0b\0", 1, 4), None);
        assert_eq!(strings(b"a\0", 0, 1), None);
        assert_eq!(constants(&[0; 24], 8, 8).unwrap(), [(0, 8), (8, 8), (16, 8)]);
        assert_eq!(constants(&[0; 20], 8, 8), None);
        assert_eq!(constants(&[0; 24], 8, 16), None);
        assert_eq!(constants(&[0; 8], 0, 1), None);
    }
}
