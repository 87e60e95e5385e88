//! What a booted guest maps, read from outside: QEMU stops and writes its memory to a file, and the page tables are
//! walked here.
//!
//! No page may be writable and executable, no frame may be executable or read-only at one address and writable at
//! another, and page tables may be writable only in their window.

use super::case::{Case, Tally};
use super::context::Context;
use super::process;
use super::qemu;
use super::vm::Vm;
use anyhow::{Context as _, Result, ensure};
use goblin::elf::program_header::{PF_W, PT_GNU_RELRO, PT_LOAD};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const PAGE: u64 = 4096;
const MEMORY: u64 = 64 << 20;
/// Where the direct map was before it got a random address.
const OLD_DIRECT_MAP: u64 = 0xffff_8000_0000_0000;

pub fn cases(all: &mut Vec<Case>) {
    all.push(Case::new("boot/mappings", mappings));
}

fn mappings(context: &Context) -> Result<Tally> {
    let mut bases = Vec::new();
    let mut frames = 0;
    for smp in ["1", "2", "4"] {
        let seen = look(context, smp).with_context(|| format!("--smp {smp}"))?;
        frames = seen.tables.len();
        bases.push((seen.direct_map, seen.window));
    }
    for (i, &(direct, window)) in bases.iter().enumerate() {
        ensure!(
            direct != OLD_DIRECT_MAP && window != direct,
            "the direct map begins at {direct:#x}, the window at {window:#x}"
        );
        let again = bases[..i].iter().any(|old| old.0 == direct || old.1 == window);
        ensure!(!again, "two boots chose the same places: {bases:x?}");
    }
    Ok(Tally::pass(format!("{frames} page tables")))
}

/// One frame's addresses.
#[derive(Default)]
struct Frame {
    write: Vec<u64>,
    exec: Vec<u64>,
}

#[derive(Default)]
struct Seen {
    frames: HashMap<u64, Frame>,
    tables: Vec<u64>,
    direct_map: u64,
    window: u64,
}

/// Boots once and checks the mappings.
fn look(context: &Context, smp: &str) -> Result<Seen> {
    let folder = context.scratch("mappings")?;
    let (socket, dump) = (folder.join("monitor"), folder.join("memory"));
    let body = format!("exec qemu-system-x86_64 \"$@\" -monitor unix:{},server=on,wait=off\n", socket.display());
    let script = qemu::write_script(&folder, "qemu-monitor", &body)?;
    let image = context.program("code")?;
    let size = format!("{}M", MEMORY >> 20);
    let mut words =
        vec!["--net".as_ref(), "none".as_ref(), "-m".as_ref(), size.as_ref(), "--smp".as_ref(), smp.as_ref()];
    words.extend([image.as_os_str(), "--".as_ref(), "stay".as_ref()]);
    let vm = Vm::start_with(context, words, |command| {
        command.env("UNIBODY_QEMU", &script);
    })?;
    process::eventually(Duration::from_secs(60), || {
        ensure!(vm.logs().contains("made"), "the program does not get ready\n{}", vm.logs());
        Ok(())
    })?;
    let mut monitor = UnixStream::connect(&socket).context("QEMU's monitor")?;
    monitor.set_read_timeout(Some(Duration::from_secs(30)))?;
    until_prompt(&mut monitor)?;
    ask(&mut monitor, "stop")?;
    let registers = ask(&mut monitor, "info registers")?;
    let root = registers.split("CR3=").nth(1).and_then(|r| u64::from_str_radix(r.split_whitespace().next()?, 16).ok());
    ask(&mut monitor, &format!("pmemsave 0 {MEMORY} \"{}\"", dump.display()))?;
    drop(vm);
    let memory = std::fs::read(&dump)?;
    let mut seen = Seen::default();
    seen.walk(&memory, root.context("the monitor names no CR3")? & !(PAGE - 1), 4, 0, true, true);
    seen.judge(&image)?;
    std::fs::remove_dir_all(folder)?;
    Ok(seen)
}

fn until_prompt(monitor: &mut UnixStream) -> Result<String> {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    while !said.ends_with(b"(qemu) ") {
        let n = monitor.read(&mut piece).context("QEMU's monitor does not answer")?;
        ensure!(n > 0, "QEMU's monitor is gone");
        said.extend_from_slice(&piece[..n]);
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn ask(monitor: &mut UnixStream, line: &str) -> Result<String> {
    writeln!(monitor, "{line}")?;
    until_prompt(monitor)
}

impl Seen {
    /// Walks a table of this level, whose first entry is for `virt`.
    fn walk(&mut self, memory: &[u8], table: u64, level: u32, virt: u64, write: bool, exec: bool) {
        self.tables.push(table);
        for i in 0..512 {
            let at = (table + i * 8) as usize;
            let Some(bytes) = memory.get(at..at + 8) else { return };
            let e = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
            if e & 1 == 0 {
                continue;
            }
            let span = PAGE << (9 * (level - 1));
            let mut virt = virt + i * span;
            if level == 4 && i >= 256 {
                virt |= 0xffff << 48;
            }
            let phys = e & 0x000f_ffff_ffff_f000;
            let (write, exec) = (write && e & 2 != 0, exec && e >> 63 == 0);
            if level > 1 && e & 0x80 == 0 {
                self.walk(memory, phys, level - 1, virt, write, exec);
                continue;
            }
            if level > 1 && virt >= OLD_DIRECT_MAP && phys < MEMORY {
                self.direct_map = virt - phys;
            }
            for page in (0..span).step_by(PAGE as usize).take_while(|page| phys + page < MEMORY) {
                let frame = self.frames.entry(phys + page).or_default();
                if write {
                    frame.write.push(virt + page);
                }
                if exec {
                    frame.exec.push(virt + page);
                }
            }
        }
    }

    fn judge(&mut self, image: &Path) -> Result<()> {
        let mut wrong = String::new();
        for (phys, frame) in &self.frames {
            if !frame.exec.is_empty() && !frame.write.is_empty() {
                writeln!(wrong, "{phys:#x}: executable at {:x?}, writable at {:x?}", frame.exec, frame.write)?;
            }
            if frame.exec.iter().chain(&frame.write).any(|&virt| virt < 0x1_0000) {
                writeln!(wrong, "{phys:#x} is mapped at the null page's place")?;
            }
        }
        let empty = Frame::default();
        let of = |phys: u64| self.frames.get(&phys).unwrap_or(&empty);
        for &table in &self.tables {
            let [at] = of(table).write[..] else {
                writeln!(wrong, "the page table {table:#x} is writable at {:x?}", of(table).write)?;
                continue;
            };
            if self.window == 0 {
                self.window = at - table;
            }
            if at - table != self.window {
                writeln!(
                    wrong,
                    "the page table {table:#x} is writable at {at:x}, outside the window {:x}",
                    self.window
                )?;
            }
        }
        // Its linked address is its physical address.
        let bytes = std::fs::read(image)?;
        let elf = goblin::elf::Elf::parse(&bytes)?;
        let fixed = elf
            .program_headers
            .iter()
            .filter(|h| h.p_type == PT_GNU_RELRO || h.p_type == PT_LOAD && h.p_flags & PF_W == 0);
        let mut pages = 0;
        for header in fixed {
            let last = (header.p_vaddr + header.p_memsz).saturating_sub(1) / PAGE * PAGE;
            for phys in (header.p_vaddr / PAGE * PAGE..=last).step_by(PAGE as usize) {
                pages += 1;
                if !of(phys).write.is_empty() {
                    writeln!(wrong, "{phys:#x} of the image, read-only, is writable at {:x?}", of(phys).write)?;
                }
            }
        }
        ensure!(wrong.is_empty(), "{wrong}");
        let code = self.frames.values().filter(|frame| frame.exec.iter().any(|&virt| virt < OLD_DIRECT_MAP)).count();
        ensure!(
            pages > 40 && code > 700 && self.tables.len() > 10,
            "{pages} pages, {code} of code: the walk saw too little"
        );
        Ok(())
    }
}
