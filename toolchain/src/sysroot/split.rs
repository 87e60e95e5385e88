//! Gives each string and constant of the kernel its own section, so that the linker can drop those that an image does
//! not use.
//!
//! The compiler already gives functions and statics their own sections. Zero-terminated strings (names of source files,
//! templates of messages) and short constants it collects in a few sections whose equal parts the linker merges
//! (SHF_MERGE), and one reference keeps such a section whole. The linker still merges what is left of them.
//!
//! Which part does a reference mean? The address alone does not say: it may be biased, like a displacement relative to
//! the end of an instruction, or lie past the part's end, like the end of an iterator. Linkers that merge face the same
//! question, hence the rule that compilers follow (`shouldRelocateWithSymbol` in LLVM's `ELFObjectWriter.cpp`,
//! `_bfd_elf_rela_local_sym` in binutils): a symbol means the part that it lies in, whatever is added to it; a
//! reference through the section's own symbol means the part at the addend. Here both must be exactly at the start of a
//! part, or the section stays whole.

use anyhow::{Context, Result, bail, ensure};
use object::build::elf::{Builder, Relocation, Section, SectionData, SectionId, Symbol, SymbolId, Symbols};
use object::elf::{R_X86_64_64, R_X86_64_PC32, SHF_GROUP, SHF_MERGE, SHF_STRINGS, SHT_REL, STB_LOCAL, STT_SECTION};

/// A mergeable section, and the parts to split it into.
struct Plan {
    whole: SectionId,
    name: String,
    /// Start and length of each.
    parts: Vec<(u64, u64)>,
}

/// The relocatable object with its mergeable sections split, and a message for each section that stayed whole because
/// it holds something not understood here. The linker understands it, so the kernel is larger but works.
pub fn split(object: &[u8]) -> (Vec<u8>, Vec<String>) {
    match split_what_is_understood(object) {
        Ok(done) => done,
        Err(why) => (object.to_vec(), vec![format!("its strings and constants stay in one piece: {why:#}")]),
    }
}

fn split_what_is_understood(object: &[u8]) -> Result<(Vec<u8>, Vec<String>)> {
    let mut elf = Builder::read(object)?;
    let (mut plans, mut faults) = (Vec::new(), Vec::new());
    for section in elf.sections.iter().filter(|s| s.is_alloc() && s.sh_flags.contains(SHF_MERGE)) {
        match plan(section) {
            Ok(plan) => plans.push(plan),
            Err(why) => faults.push(format!("{} stays whole: {why:#}", section.name)),
        }
    }
    let mut keep = vec![true; plans.len()];
    check(&elf, &plans, &mut |n, why| {
        if std::mem::replace(&mut keep[n], false) {
            faults.push(format!("{} stays whole: {why:#}", plans[n].name));
        }
    })?;
    let mut keep = keep.into_iter();
    plans.retain(|_| keep.next() == Some(true));
    for plan in &plans {
        carry_out(&mut elf, plan)?;
    }
    let mut out = Vec::with_capacity(object.len());
    elf.write(&mut out)?;
    Ok((out, faults))
}

/// Finds the parts of a section.
fn plan(section: &Section) -> Result<Plan> {
    ensure!(!section.sh_flags.contains(SHF_GROUP), "it belongs to a group");
    let SectionData::Data(bytes) = &section.data else { bail!("it holds no data") };
    let entry = usize::try_from(section.sh_entsize)?;
    let align = usize::try_from(section.sh_addralign.max(1))?;
    let cut = if section.sh_flags.contains(SHF_STRINGS) { strings } else { constants };
    let parts = cut(bytes, entry, align).context("it does not consist of what it says")?;
    let parts = parts.into_iter().map(|(start, len)| (start as u64, len as u64)).collect();
    Ok(Plan { whole: section.id(), name: section.name.to_string(), parts })
}

/// Reports what rules out each plan.
fn check(elf: &Builder, plans: &[Plan], fault: &mut dyn FnMut(usize, anyhow::Error)) -> Result<()> {
    let plan_of = |id: Option<SectionId>| plans.iter().position(|plan| Some(plan.whole) == id);
    for symbol in &elf.symbols {
        if let Some(n) = plan_of(symbol.section)
            && let Err(why) = plans[n].of_symbol(symbol)
        {
            fault(n, why);
        }
    }
    for section in &elf.sections {
        ensure!(section.sh_type != SHT_REL, "{} has its addends elsewhere", section.name);
        for n in [section.sh_link_section, section.sh_info_section].into_iter().filter_map(plan_of) {
            fault(n, anyhow::anyhow!("{} belongs to it", section.name));
        }
        let SectionData::Relocation(relocations) = &section.data else { continue };
        for relocation in relocations {
            let Some(symbol) = relocation.symbol.map(|id| elf.symbols.get(id)) else { continue };
            if symbol.st_type() == STT_SECTION
                && let Some(n) = plan_of(symbol.section)
                && let Err(why) = plans[n].of_reference(relocation)
            {
                fault(n, why.context(format!("{} at {:#x}", section.name, relocation.r_offset)));
            }
        }
    }
    Ok(())
}

/// Start and length of each string with its terminator. Strings may be padded with zeros up to the alignment.
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

impl Plan {
    fn part_at(&self, start: u64) -> Option<usize> {
        self.parts.binary_search_by_key(&start, |part| part.0).ok()
    }

    /// The part that a symbol names; none for the section's own symbol, which can mean any.
    fn of_symbol(&self, symbol: &Symbol) -> Result<Option<usize>> {
        if symbol.st_type() == STT_SECTION {
            ensure!(symbol.st_value == 0, "its symbol is not at its start");
            return Ok(None);
        }
        let part = self.part_at(symbol.st_value).filter(|at| symbol.st_size <= self.parts[*at].1);
        Ok(Some(part.with_context(|| format!("{} at {:#x} is not one of its parts", symbol.name, symbol.st_value))?))
    }

    /// The part meant by a reference through the section's own symbol.
    fn of_reference(&self, relocation: &Relocation) -> Result<usize> {
        let part = u64::try_from(relocation.r_addend).ok().and_then(|addend| self.part_at(addend));
        part.filter(|_| [R_X86_64_64, R_X86_64_PC32].contains(&relocation.r_type)).with_context(|| {
            let (kind, addend) = (relocation.r_type, relocation.r_addend);
            format!("a reference of type {kind:?} to {addend:#x}, which is not one of its parts")
        })
    }
}

/// Copies each part into its own section and redirects symbols and references to it.
fn carry_out(elf: &mut Builder, plan: &Plan) -> Result<()> {
    let whole = elf.sections.get_mut(plan.whole);
    let SectionData::Data(bytes) = &whole.data else { bail!("{} holds no data", plan.name) };
    let bytes = bytes.to_vec();
    whole.delete = true;
    let mut sections = Vec::with_capacity(plan.parts.len());
    for &(start, len) in &plan.parts {
        let section = elf.sections.copy(plan.whole);
        section.delete = false;
        section.data = SectionData::Data(bytes[start as usize..(start + len) as usize].to_vec().into());
        sections.push(section.id());
    }
    let mut own = Vec::new();
    for symbol in elf.symbols.iter_mut().filter(|symbol| symbol.section == Some(plan.whole)) {
        match plan.of_symbol(symbol)? {
            Some(part) => {
                symbol.section = Some(sections[part]);
                symbol.st_value = 0;
            }
            None => {
                symbol.delete = true;
                own.push(symbol.id());
            }
        }
    }
    // The parts' section symbols, created once something refers to them.
    let mut symbols = vec![None; sections.len()];
    for section in &mut elf.sections {
        let SectionData::Relocation(relocations) = &mut section.data else { continue };
        for relocation in relocations.iter_mut().filter(|r| r.symbol.is_some_and(|s| own.contains(&s))) {
            let part = plan.of_reference(relocation)?;
            let symbol = symbols[part].get_or_insert_with(|| own_symbol(&mut elf.symbols, sections[part]));
            relocation.symbol = Some(*symbol);
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

    /// Assembles `source` and returns the object.
    fn assemble(dir: &Path, source: &str) -> Vec<u8> {
        let (from, to) = (dir.join("a.s"), dir.join("a.o"));
        std::fs::write(&from, source).unwrap();
        crate::command::run(Command::new("gcc").arg("-c").arg(&from).arg("-o").arg(&to), None).unwrap();
        std::fs::read(to).unwrap()
    }

    /// Links what is used, runs it, and returns the program and its output.
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

    /// A program that prints strings that it reaches in every way that compilers use.
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
        let (object, warnings) = split(&object);
        assert!(warnings.is_empty(), "{warnings:?}");
        let (after, said) = run(dir.path(), &object);
        assert_eq!(said, "named;by place;named;by entry;med;number;\n");
        assert_eq!(unused.map(|u| count(&after, u)), [0; 3]);
        // What is left is merged as before.
        assert_eq!(["named;", "med;", "by place;"].map(|u| count(&after, u)), [1; 3]);
    }

    #[test]
    fn what_is_not_understood_stays_whole() {
        let dir = tempfile::tempdir().unwrap();
        // What is left of the unused parts: strings, and the constant.
        let whole = |what: &str, why: &str, left: [usize; 3]| {
            let program = format!("{PROGRAM}\n.section .rodata.str1.1\n{what}\n");
            let (object, warnings) = split(&assemble(dir.path(), &program));
            assert!(warnings.len() == 1 && warnings[0].contains(why), "{what}: {warnings:?}");
            let (image, said) = run(dir.path(), &object);
            assert_eq!(said, "named;by place;named;by entry;med;number;\n", "{what}");
            assert_eq!(["unused 1;", "unused 2;", "qused 1;"].map(|u| count(&image, u)), left, "{what}");
        };
        let (strings, constants, all) = ([1, 1, 0], [0, 0, 1], [1; 3]);
        whole(".data\n.quad .rodata.str1.1 + place + 1", "which is not one of its parts", strings);
        whole(".data\n.quad .rodata.str1.1 - 4", "which is not one of its parts", strings);
        whole(".data\n.quad .rodata.str1.1 + 1000", "which is not one of its parts", strings);
        whole(".data\n.long .rodata.str1.1", "which is not one of its parts", strings);
        whole(".ascii \"a\"\nmiddle: .asciz \"b\"\n.data\n.quad middle - . + 8", "middle at", strings);
        whole("long: .asciz \"a\"\n.asciz \"b\"\n.size long, 4", "long at", strings);
        whole(".ascii \"no end\"", "does not consist of what it says", strings);
        whole(".section .rodata.cst8\n.quad _start", "belongs to it", constants);
        let group = ".section .rodata.str1.1,\"aMSG\",@progbits,1,group,comdat\n.asciz \"a\"";
        whole(group, "Unsupported section type", all);
        // Not even an object.
        assert_eq!(split(b"?").0, b"?");
    }

    #[test]
    fn parts() {
        assert_eq!(strings(b"ab\0\0c\0", 1, 1).unwrap(), [(0, 3), (3, 1), (4, 2)]);
        assert_eq!(strings(b"", 1, 1).unwrap(), []);
        assert_eq!(strings(b"ab", 1, 1), None);
        // Wide characters: a single zero byte does not end a string.
        assert_eq!(strings(b"a\0\0b\0\0c\0\0\0", 2, 2).unwrap(), [(0, 6), (6, 4)]);
        assert_eq!(strings(b"a\0\0b\0\0c", 2, 2), None);
        // Aligned: the zeros between strings are not strings.
        assert_eq!(strings(b"a\0\0\0bcd\0\0\0", 1, 4).unwrap(), [(0, 2), (4, 4), (8, 1)]);
        assert_eq!(strings(b"a\0b\0", 1, 4), None);
        assert_eq!(strings(b"a\0", 0, 1), None);
        assert_eq!(constants(&[0; 24], 8, 8).unwrap(), [(0, 8), (8, 8), (16, 8)]);
        assert_eq!(constants(&[0; 20], 8, 8), None);
        assert_eq!(constants(&[0; 24], 8, 16), None);
        assert_eq!(constants(&[0; 8], 0, 1), None);
    }
}
