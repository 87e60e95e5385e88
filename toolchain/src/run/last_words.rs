//! What the processors of a guest do that does not answer: the registers that QEMU's monitor prints, for people.

use super::symbols::Symbols;
use goblin::elf::Elf;

/// Stops the guest, so that what its processors show is no older than this, and asks for their registers.
pub const QUESTION: &[u8] = b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"stop\"}\n\
    {\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"info registers -a\"}}\n";

/// The text in a line of the monitor's, if it is the answer to [`QUESTION`].
pub fn answer(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(value.get("return")?.as_str()?.to_owned())
}

/// The kernel's interrupt descriptor table. Every processor has its address in a register, and so tells where the image
/// runs.
const TABLE: &str = "libos::arch::x86_64::idt::TABLE";

/// One line a processor.
pub fn lines(registers: &str, image: &[u8]) -> Vec<String> {
    let symbols = Symbols::read(image);
    let table = linked_address(image, TABLE);
    registers.split("CPU#").skip(1).filter_map(|one| processor(one, table, &symbols)).collect()
}

/// `text`: what stands behind `CPU#`.
fn processor(text: &str, table: Option<u64>, symbols: &Symbols) -> Option<String> {
    let number: u32 = text.split_whitespace().next()?.parse().ok()?;
    let (rip, flags) = (register(text, "RIP=")?, register(text, "RFL=")?);
    let doing = match (flags & 1 << 9 != 0, register(text, "HLT=") == Some(1)) {
        (true, true) => return Some(format!("processor {number} waits for an interrupt")),
        (false, true) => "has halted for ever",
        (false, false) => "runs with interrupts off",
        (true, false) => "runs",
    };
    let base = register(text, "IDT=").zip(table).map(|(runs, linked)| runs.wrapping_sub(linked));
    let name = base.and_then(|base| symbols.name(rip.wrapping_sub(base)));
    Some(format!("processor {number} {doing}, in {}", name.unwrap_or_else(|| format!("{rip:#x}"))))
}

fn register(text: &str, name: &str) -> Option<u64> {
    let value = text[text.find(name)? + name.len()..].split_whitespace().next()?;
    u64::from_str_radix(value, 16).ok()
}

fn linked_address(image: &[u8], name: &str) -> Option<u64> {
    let elf = Elf::parse(image).ok()?;
    let is_it = |mangled: &str| format!("{:#}", rustc_demangle::demangle(mangled)) == name;
    elf.syms.iter().find(|s| elf.strtab.get_at(s.st_name).is_some_and(is_it)).map(|s| s.st_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\r\nCPU#0\r\nRAX=0000000000000000 RBX=0000000000000001\r\n\
        RIP=00007f0000201010 RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0\r\n\
        GDT=     ffff900000001000 0000004f\r\nIDT=     00007f0000300000 00000fff\r\n\
        CPU#1\r\nRIP=00007f0000202000 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n\
        IDT=     00007f0000300000 00000fff\r\n\
        CPU#2\r\nRIP=0000000000001234 RFL=00000202 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\r\n\
        IDT=     0000000000000000 0000ffff\r\n";

    #[test]
    fn processors() {
        let symbols = Symbols::of(vec![(0x201000, 0x20, "main".into())]);
        let all: Vec<_> =
            TEXT.split("CPU#").skip(1).filter_map(|one| processor(one, Some(0x300000), &symbols)).collect();
        assert_eq!(
            all,
            [
                "processor 0 runs with interrupts off, in main+0x10",
                "processor 1 waits for an interrupt",
                "processor 2 runs, in 0x1234"
            ]
        );
        assert!(lines("nonsense", b"no ELF").is_empty());
    }

    #[test]
    fn only_a_text_is_the_answer() {
        assert_eq!(answer("{\"return\": \"CPU#0\\r\\n\"}").as_deref(), Some("CPU#0\r\n"));
        for other in ["{\"return\": {}}", "{\"event\": \"STOP\"}", "{\"QMP\": {}}", "no JSON"] {
            assert_eq!(answer(other), None, "{other}");
        }
    }
}
