//! Sizes that the project promises, for stripped images.

use super::case::{Case, Need, Tally};
use super::context::Context;
use super::process;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// hello and nginx: the small one, and the one with all modules.
pub fn cases(all: &mut Vec<Case>) {
    all.push(Case::new("size/hello", |context| size(context, &context.program("hello")?, 245_000)));
    let nginx = [
        Case::new("size/nginx-lean", |context| size(context, &context.nginx_lean()?, 1_700_000)),
        Case::new("size/nginx", |context| size(context, &context.nginx()?, 2_550_000)),
    ];
    all.extend(nginx.map(|case| case.needs(&[Need::Toolchain, Need::Nginx])));
    all.push(Case::new("size/only-what-is-used", only_what_is_used));
}

fn strip(context: &Context, image: &Path) -> Result<PathBuf> {
    let stripped = context.scratch("size")?.join("stripped.img");
    let mut strip = process::command(context.bin()?.join("x86_64-unikernel-strip"), ["-o"]);
    process::run(strip.arg(&stripped).arg(image), b"", Duration::from_secs(30))?.expect(0)?;
    Ok(stripped)
}

fn size(context: &Context, image: &Path, most: u64) -> Result<Tally> {
    let stripped = strip(context, image)?;
    let bytes = std::fs::metadata(&stripped)?.len();
    if bytes >= most {
        bail!("{bytes} bytes stripped, {most} or more is too much ({})", image.display());
    }
    // Smaller, but still the same image.
    if image.file_name().is_some_and(|name| name == "hello.img") {
        let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none"]);
        process::run(command.arg(&stripped), b"", Duration::from_secs(60))?.expect(0)?;
        process::run(&mut process::command(&stripped, [""; 0]), b"", Duration::from_secs(10))?.expect(0)?;
    }
    Ok(Tally::pass(format!("{bytes} bytes, limit {most}")))
}

/// System calls that a program never makes are not in its image: hello has no sockets, files or threads.
fn only_what_is_used(context: &Context) -> Result<Tally> {
    let calls = |program: &str| -> Result<Vec<u32>> {
        let image = context.program(program)?;
        let bytes = std::fs::read(image)?;
        let elf = goblin::elf::Elf::parse(&bytes)?;
        let names = elf
            .syms
            .iter()
            .filter(|symbol| symbol.st_value != 0)
            .filter_map(|symbol| elf.strtab.get_at(symbol.st_name));
        let mut numbers: Vec<u32> = names.filter_map(|name| name.strip_prefix("libos_sys_")?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    };
    let (hello, threads, number) = (calls("hello")?, calls("threads_basic")?, calls("syscall_number")?);
    if hello.is_empty() || hello.len() > 40 {
        bail!("hello links {} system calls: {hello:?}", hello.len());
    }
    if threads.len() > 80 {
        bail!("a program with threads links {} system calls: {threads:?}", threads.len());
    }
    for (name, socket) in [("hello", hello.contains(&41)), ("threads_basic", threads.contains(&41))] {
        if socket {
            bail!("{name} links socket()");
        }
    }
    Ok(Tally::pass(format!(
        "calls linked: hello {}, threads {}, syscall(n) {}",
        hello.len(),
        threads.len(),
        number.len()
    )))
}
