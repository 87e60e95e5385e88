//! What the processors of an unresponsive guest are doing: the VMM's report, made readable.

use super::symbols::Symbols;
use crate::vmm::Processor;
use goblin::elf::Elf;

/// The kernel's interrupt descriptor table. Every processor has its address in a register, which shows where the image
/// was loaded.
const TABLE: &str = "libos::arch::x86_64::idt::TABLE";

/// One line per processor.
pub fn lines(processors: &[Processor], image: &[u8]) -> Vec<String> {
    let symbols = Symbols::read(image);
    let table = linked_address(image, TABLE);
    processors.iter().map(|one| line(one, table, &symbols)).collect()
}

fn line(processor: &Processor, table: Option<u64>, symbols: &Symbols) -> String {
    let Processor { number, instruction, interrupts, halted, idt } = *processor;
    let doing = match (interrupts, halted) {
        (true, true) => return format!("processor {number} waits for an interrupt"),
        (false, true) => "has halted for ever",
        (false, false) => "runs with interrupts off",
        (true, false) => "runs",
    };
    let base = idt.zip(table).map(|(runs, linked)| runs.wrapping_sub(linked));
    let name = base.and_then(|base| symbols.name(instruction.wrapping_sub(base)));
    format!("processor {number} {doing}, in {}", name.unwrap_or_else(|| format!("{instruction:#x}")))
}

fn linked_address(image: &[u8], name: &str) -> Option<u64> {
    let elf = Elf::parse(image).ok()?;
    let is_it = |mangled: &str| format!("{:#}", rustc_demangle::demangle(mangled)) == name;
    elf.syms.iter().find(|s| elf.strtab.get_at(s.st_name).is_some_and(is_it)).map(|s| s.st_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors() {
        let symbols = Symbols::of(vec![(0x201000, 0x20, "main".into())]);
        let processor = |number, instruction, interrupts, halted, idt| Processor {
            number,
            instruction,
            interrupts,
            halted,
            idt: Some(idt),
        };
        let said = |processor| line(&processor, Some(0x300000), &symbols);
        let runs = processor(0, 0x7f00_0020_1010, false, false, 0x7f00_0030_0000);
        assert_eq!(said(runs), "processor 0 runs with interrupts off, in main+0x10");
        let waits = processor(1, 0x7f00_0020_2000, true, true, 0x7f00_0030_0000);
        assert_eq!(said(waits), "processor 1 waits for an interrupt");
        assert_eq!(said(processor(2, 0x1234, true, false, 0)), "processor 2 runs, in 0x1234");
        assert_eq!(
            lines(&[processor(3, 0x10, false, true, 0)], b"no ELF"),
            ["processor 3 has halted for ever, in 0x10"]
        );
    }
}
