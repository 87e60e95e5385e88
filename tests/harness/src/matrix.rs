//! The boot matrix: the same image on every machine that it is meant for.

use super::case::{Case, Need, Tally};
use super::context::Context;
use super::process;
use super::qemu::{self, Change};
use anyhow::{Result, bail};
use std::time::Duration;

/// Name, machine, memory, processors, change of the command line.
type Row = (&'static str, &'static str, &'static str, u32, Option<Change>);

const ROWS: &[Row] = &[
    ("q35", "q35", "64M", 1, None),
    ("pc", "pc", "64M", 1, None),
    ("microvm", "microvm", "64M", 1, None),
    ("microvm-no-acpi", "microvm,acpi=off", "64M", 1, None),
    ("microvm-pcie", "microvm,pcie=on", "64M", 1, None),
    ("microvm-legacy", "microvm", "64M", 1, Some(Change::LegacyMmio)),
    ("microvm-no-acpi-legacy", "microvm,acpi=off", "64M", 1, Some(Change::LegacyMmio)),
    ("q35-root-ports", "q35", "64M", 1, Some(Change::RootPorts)),
    ("pc-legacy-virtio", "pc", "64M", 1, Some(Change::LegacyPci)),
    ("no-entropy-device", "q35", "64M", 1, Some(Change::NoEntropy)),
    ("memory-16M", "q35", "16M", 1, None),
    ("memory-16M-microvm", "microvm", "16M", 1, None),
    ("memory-5G", "q35", "5G", 1, None),
    ("memory-5G-pc", "pc", "5G", 2, None),
    ("smp-2", "q35", "64M", 2, None),
    ("smp-4", "q35", "64M", 4, None),
    ("smp-2-pc", "pc", "64M", 2, None),
    ("smp-2-microvm", "microvm", "64M", 2, None),
    ("smp-4-microvm-no-acpi", "microvm,acpi=off", "64M", 4, None),
    ("grub-bios", "q35", "128M", 1, Some(Change::GrubBios)),
    ("grub-bios-pc", "pc", "128M", 2, Some(Change::GrubBios)),
    ("grub-uefi", "q35", "256M", 2, Some(Change::GrubUefi)),
];

/// One case for each row, and some about memory.
pub fn cases(all: &mut Vec<Case>, full: bool) {
    for row in ROWS {
        let grub = matches!(row.4, Some(Change::GrubBios | Change::GrubUefi));
        let needs: &[Need] = if grub { &[Need::Toolchain, Need::Grub] } else { &[Need::Toolchain] };
        all.push(Case::new(format!("boot/{}", row.0), move |context| boot(context, row)).needs(needs));
    }
    all.push(Case::new("boot/linux-64-bit-protocol", linux64).needs(&[Need::Toolchain]));
    all.push(Case::new("boot/least-memory", least_memory));
    all.push(Case::new("boot/accepted-by-loaders", accepted));
    let rounds = if full { 1000 } else { 20 };
    all.push(Case::new(format!("boot/{rounds}-times"), move |context| again(context, rounds)).limit(3600));
}

/// `hello`, and a program that needs threads, timers and sockets.
fn boot(context: &Context, row: &Row) -> Result<Tally> {
    let (name, machine, memory, smp, change) = *row;
    let script = match change {
        Some(change) => Some(qemu::script(&context.scratch(name)?, change)?),
        None => None,
    };
    let mut took = Vec::new();
    for program in ["hello", "matrix"] {
        let image = context.program(program)?;
        let smp = smp.to_string();
        let mut command = context.unibody(["run", "--accel", "tcg", "--machine", machine, "-m", memory, "--smp", &smp]);
        if let Some(script) = &script {
            command.env("UNIBODY_QEMU", script);
        }
        let args = if program == "matrix" { &["--", smp.as_str()][..] } else { &[] };
        let done = process::run(command.arg(&image).args(args), b"", Duration::from_secs(90))?.expect(0)?;
        let expected = if program == "hello" { "Hello from unibody, 2 + 3 = 5\n" } else { "everything works\n" };
        if done.out() != expected {
            bail!("expected {expected:?}\n{}", done.report());
        }
        took.push(format!("{:.2} s", done.took.as_secs_f32()));
    }
    Ok(Tally::pass(took.join(", ")))
}

/// Entered at `e_entry` in long mode with a zero page, by our small loader, which QEMU starts instead of the image.
fn linux64(context: &Context) -> Result<Tally> {
    let loader = context.scratch("linux64")?.join("linux64");
    let mut gcc =
        process::command("gcc", ["-O1", "-ffreestanding", "-fno-pic", "-no-pie", "-mno-red-zone", "-mno-sse"]);
    gcc.args(["-fno-stack-protector", "-nostdlib", "-static", "-Wl,-Ttext-segment=0x4000000,-e,start32", "-o"]);
    gcc.arg(&loader).arg(context.project.join("tests/loaders/linux64.c"));
    process::run(&mut gcc, b"", Duration::from_secs(60))?.expect(0)?;
    for machine in ["q35", "microvm"] {
        let mut qemu = process::command("qemu-system-x86_64", ["-accel", "tcg", "-cpu", "max", "-nodefaults"]);
        qemu.args(["-no-user-config", "-display", "none", "-no-reboot", "-m", "128M", "-smp", "2", "-serial", "stdio"]);
        qemu.args(["-M", machine, "-kernel"]).arg(&loader).arg("-initrd").arg(context.program("hello")?);
        let done = process::run(&mut qemu, b"", Duration::from_secs(60))?.expect(0)?;
        // The serial line is a terminal.
        if !done.out().contains("Hello from unibody, 2 + 3 = 5\r\n") {
            bail!("{machine}: hello did not say so\n{}", done.report());
        }
    }
    Ok(Tally::pass(""))
}

/// The image says how much memory it needs: with that it boots, with less it is refused before QEMU starts.
fn least_memory(context: &Context) -> Result<Tally> {
    let image = context.program("hello")?;
    let refused =
        process::run(context.unibody(["run", "--accel", "tcg", "-m", "1M"]).arg(&image), b"", Duration::from_secs(30))?
            .expect(1)?;
    let text = refused.err();
    // The message names the minimum, as `-m` takes it.
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mut least = words.filter(|word| word.len() > 1 && word.ends_with(['M', 'K']) && *word != "1M");
    let least = least.rfind(|word| word[..word.len() - 1].bytes().all(|b| b.is_ascii_digit()));
    let Some(least) = least else { bail!("the refusal names no minimum\n{}", refused.report()) };
    let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "-m", least]);
    let done = process::run(command.arg(&image), b"", Duration::from_secs(60))?.expect(0)?;
    if !done.out().starts_with("Hello") {
        bail!("it does not boot with the memory that it asks for\n{}", done.report());
    }
    Ok(Tally::pass(format!("hello boots with {least}")))
}

/// What VMMs check before they start an image. The rules are those of rust-vmm's ELF loader (Firecracker, Cloud Hypervisor):
/// ELF64, little endian, an x86-64 executable or PIE, program headers of the right size inside the file, segments by physical
/// address at or above 1 MiB, an entry point there, and a PVH note that lies in a PT_NOTE segment.
fn accepted(context: &Context) -> Result<Tally> {
    let bytes = std::fs::read(context.program("hello")?)?;
    let elf = goblin::elf::Elf::parse(&bytes)?;
    let mut wrong = Vec::new();
    let mut check = |ok: bool, what: &str| {
        if !ok {
            wrong.push(what.to_owned());
        }
    };
    check(elf.is_64 && elf.little_endian, "ELF64, little endian");
    check(elf.header.e_machine == goblin::elf::header::EM_X86_64, "x86-64");
    check(elf.header.e_type == goblin::elf::header::ET_DYN, "ET_DYN");
    check(usize::from(elf.header.e_phentsize) == 56, "program headers of 56 bytes");
    check(elf.entry >= 1 << 20, "entry point at or above 1 MiB");
    let loads: Vec<_> =
        elf.program_headers.iter().filter(|p| p.p_type == goblin::elf::program_header::PT_LOAD).collect();
    check(loads.iter().all(|p| p.p_paddr >= 1 << 20), "segments at or above 1 MiB");
    check(loads.iter().all(|p| p.p_offset + p.p_filesz <= bytes.len() as u64), "segments inside the file");
    let inside = |p: &&&goblin::elf::ProgramHeader| (p.p_vaddr..p.p_vaddr + p.p_filesz).contains(&elf.entry);
    check(loads.iter().find(inside).is_some_and(|p| p.is_executable()), "entry point in an executable segment");
    check(loads.iter().all(|p| !(p.is_executable() && p.is_write())), "no segment writable and executable");
    let notes = elf.iter_note_headers(&bytes).map(|notes| notes.flatten().collect::<Vec<_>>()).unwrap_or_default();
    check(
        notes.iter().any(|n| n.name.trim_end_matches('\0') == "Xen" && n.n_type == 18 && n.desc.len() >= 4),
        "a PVH note in PT_NOTE",
    );
    let header = bytes.windows(4).step_by(4).take(32768 / 4).position(|w| w == 0xe852_50d6_u32.to_le_bytes());
    check(header.is_some(), "a multiboot2 header in the first 32 KiB");
    check(bytes[..8192].windows(4).step_by(4).all(|w| w != 0x1bad_b002_u32.to_le_bytes()), "no multiboot 1 header");
    if !wrong.is_empty() {
        bail!("the image lacks: {}", wrong.join("; "));
    }
    Ok(Tally::pass(""))
}

/// Many boots, none of which may hang.
fn again(context: &Context, rounds: usize) -> Result<Tally> {
    let image = context.program("matrix")?;
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let smp = (1 + round % 4).to_string();
        let mut command = context.unibody(["run", "--accel", "tcg", "--smp", &smp]);
        let done = process::run(command.arg(&image).args(["--", &smp]), b"", Duration::from_secs(60))?;
        if done.status != 0 || done.timed_out {
            bail!("boot {round} of {rounds}\n{}", done.report());
        }
        slowest = slowest.max(done.took);
    }
    Ok(Tally::pass(format!("slowest {:.2} s", slowest.as_secs_f32())))
}
