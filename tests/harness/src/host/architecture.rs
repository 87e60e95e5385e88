//! Processor-specific code stays in `arch`, and `CONTRACT.md` lists what that offers.

use super::source;
use crate::case::Tally;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const CONTRACT: &str = "libos/src/arch/CONTRACT.md";
/// The kernel's folders, and those in them that belong to an architecture or its ABI.
const KERNEL: &[&str] = &["libos", "libc-shim/src"];
const ITS_OWN: &[&str] = &["libos/src/arch", "libos/base/src/arch", "libos/abi"];
/// Strings that only an architecture's code contains, whatever precedes or follows them.
const PARTS: &str = "asm! x86_ x86- rdtsc rdrand cpuid apic xsave fxsave fsbase fs_base gs_base pvh multiboot e820 invlpg swapgs iretq pml4";
/// Whole words.
const NAMES: &str = "cr0 cr2 cr3 cr4 rip rsp rbp rax rdi rsi msr rflags gdt idt tss lapic";

/// Checks both.
pub fn check() -> Result<Tally> {
    let project = unibody::paths::project(None)?;
    let contract = fs::read_to_string(project.join(CONTRACT)).with_context(|| format!("cannot read {CONTRACT}"))?;
    let mut wrong = strangers(&project)?;
    wrong.extend(instructions(&project, &contract)?);
    let (promised, given) = (promised(&contract), given(&project)?);
    wrong.extend(promised.difference(&given).map(|name| format!("{CONTRACT} lists {name}, which is not there")));
    wrong.extend(given.difference(&promised).map(|name| format!("{name} of x86_64 is not in {CONTRACT}")));
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(Tally::pass(format!("{} names", given.len())))
}

/// Lines outside `arch` that name something of a processor.
fn strangers(project: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for folder in KERNEL {
        for file in source::files(&project.join(folder))? {
            let inside = file.strip_prefix(project)?;
            if ITS_OWN.iter().any(|own| inside.starts_with(own)) {
                continue;
            }
            let code = source::code(&fs::read_to_string(&file)?);
            let speaks = code.lines().enumerate().filter_map(|(n, line)| Some((n + 1, word(line)?)));
            wrong
                .extend(speaks.map(|(line, word)| format!("{}:{line}: {word} is an architecture's", inside.display())));
        }
    }
    Ok(wrong)
}

fn word(line: &str) -> Option<&'static str> {
    let line = line.to_ascii_lowercase();
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let whole = |name: &&str| line.split(|c| !part(c)).any(|word| word == *name);
    PARTS.split(' ').find(|name| line.contains(name)).or_else(|| NAMES.split(' ').find(whole))
}

/// Drivers with instructions of x86-64 that the contract does not name.
fn instructions(project: &Path, contract: &str) -> Result<Vec<String>> {
    let drivers = project.join("drivers/src");
    let mut wrong = Vec::new();
    for file in source::files(&drivers)? {
        let code = source::code(&fs::read_to_string(&file)?);
        let inside = file.strip_prefix(&drivers)?.display().to_string();
        if (code.contains("asm!") || code.contains("arch::x86_64")) && !contract.contains(&format!("`{inside}`")) {
            wrong.push(format!("drivers/src/{inside} has instructions of a processor and is not in {CONTRACT}"));
        }
    }
    Ok(wrong)
}

/// The names in the first columns of the contract's tables.
fn promised(contract: &str) -> BTreeSet<String> {
    let rows = contract.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

/// What the x86-64 code offers: public items of its public modules, methods of the frame, macros.
fn given(project: &Path) -> Result<BTreeSet<String>> {
    let dir = project.join("libos/src/arch/x86_64");
    let mut all = BTreeSet::new();
    let top = fs::read_to_string(dir.join("mod.rs"))?;
    for module in top.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        let file =
            [format!("{module}.rs"), format!("{module}/mod.rs")].into_iter().find(|file| dir.join(file).exists());
        let code = source::code(&fs::read_to_string(dir.join(file.with_context(|| format!("{module} has no file"))?))?);
        all.extend(items(&code, &["pub ", "    pub fn libos_"]).into_iter().map(|item| format!("{module}::{item}")));
    }
    all.extend(items(&top, &["pub const "]));
    all.extend(items(&fs::read_to_string(project.join("libos/base/src/arch/x86_64.rs"))?, &["pub "]));
    all.insert("TrapFrame".into());
    let frame = fs::read_to_string(dir.join("frame.rs"))?;
    let methods = frame.split("impl TrapFrame {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap_or_default();
    all.extend(items(methods, &["    pub "]).into_iter().map(|method| format!("TrapFrame::{method}")));
    let stubs = fs::read_to_string(dir.join("stub.rs"))?;
    all.extend(
        stubs.lines().filter_map(|line| Some(line.strip_prefix("macro_rules! ")?.split(' ').next()?.to_owned())),
    );
    Ok(all)
}

/// The names of items whose lines begin with one of these.
fn items(code: &str, begins: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for line in code.lines() {
        if !begins.iter().any(|begin| line.starts_with(begin)) {
            continue;
        }
        if let Some(reexport) = line.strip_prefix("pub use ") {
            all.extend(reexport.trim_end_matches(';').rsplit("::").next().map(str::to_owned));
            continue;
        }
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        let keyword = |word: &&str| ["pub", "unsafe", "extern", "const", "fn", "struct", "type", "C"].contains(word);
        all.extend(words.find(|word| !keyword(word)).map(str::to_owned));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names() {
        assert_eq!(word("    asm!(\"cli\")"), Some("asm!"));
        assert_eq!(word("let local_APIC = 1;"), Some("apic"));
        assert_eq!(word("regs.rip"), Some("rip"));
        assert_eq!(word("strip description grip"), None);
    }

    #[test]
    fn items_by_their_lines() {
        let code = "pub unsafe fn a() {}\npub const B: u8 = 1;\npub(super) fn c() {}\npub use d::e;\nfn f() {}\n    pub fn g() {}\n";
        assert_eq!(items(code, &["pub "]), ["a", "B", "e"]);
    }
}
