//! How often a boot leaves the guest: accesses to ports, as QEMU traces them, and to registers of devices. The latter
//! depend on the interrupts that come meanwhile, so they are told but not limited.

use super::case::{Case, Tally};
use super::context::Context;
use super::process;
use super::qemu;
use anyhow::{Context as _, Result, bail, ensure};
use std::time::Duration;

/// Machine, and the most accesses to ports from the kernel's first instruction to the end of `hello`. Whoever saves some
/// lowers the limit.
const MOST: [(&str, usize); 3] = [("q35", 300), ("pc", 300), ("microvm", 70)];
/// The counters that the processor's clock is measured against: until two measurements agree, which takes longer on a
/// busy machine.
const CLOCKS: [&str; 2] = ["name 'pit'", "name 'acpi-tmr'"];

pub fn cases(all: &mut Vec<Case>) {
    all.push(Case::new("boot/device-accesses", count));
}

fn count(context: &Context) -> Result<Tally> {
    let folder = context.scratch("accesses")?;
    let image = context.program("hello")?;
    let mut notes = Vec::new();
    for (machine, most) in MOST {
        let trace = folder.join(machine);
        let body = format!(
            "exec qemu-system-x86_64 \"$@\" -trace memory_region_ops_read -trace memory_region_ops_write -D '{}'\n",
            trace.display()
        );
        let script = qemu::write_script(&folder, "qemu-traced", &body)?;
        let mut command = context.unibody(["run", "--accel", "tcg", "--machine", machine, "--smp", "1"]);
        process::run(command.arg(&image).env("UNIBODY_QEMU", &script), b"", Duration::from_secs(60))?.expect(0)?;
        let (ports, all) = of_kernel(&std::fs::read(&trace).context("QEMU wrote no trace")?)?;
        ensure!(ports <= most, "{machine}: {ports} accesses to ports, {most} are allowed");
        notes.push(format!("{machine} {ports} and {}", all - ports));
    }
    Ok(Tally::pass(format!("ports and registers: {}", notes.join(", "))))
}

/// How many accesses follow the last one to the device from which the firmware reads the kernel: to ports, in all.
fn of_kernel(trace: &[u8]) -> Result<(usize, usize)> {
    let text = String::from_utf8_lossy(trace);
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("memory_region_ops_")).collect();
    let Some(last) = lines.iter().rposition(|line| line.contains("fwcfg")) else {
        bail!("the trace does not show that firmware read the kernel");
    };
    let (mut ports, mut all) = (0, 0);
    for line in lines[last + 1..].iter().filter(|line| !CLOCKS.iter().any(|clock| line.contains(clock))) {
        let address = line.split(" addr 0x").nth(1).and_then(|rest| rest.split(' ').next());
        let address = address.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        ports += usize::from(address.with_context(|| format!("a strange line: {line}"))? < 1 << 16);
        all += 1;
    }
    ensure!(all > 0, "the kernel accessed nothing, says the trace");
    Ok((ports, all))
}
