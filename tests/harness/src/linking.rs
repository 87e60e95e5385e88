//! What is in an image and what is not: kernel components, and kernel symbols.

use crate::case::{Case, Tally};
use crate::context::Context;
use crate::process::{self, Finished};
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use unibody::image::Image;
use unibody::wrapper;

pub fn cases(all: &mut Vec<Case>) {
    all.push(Case::new("link/components", components));
    all.push(Case::new("link/exports", exports));
    all.push(Case::new("link/exception-table", exception_table));
}

/// Compiles `source` with the given components left out.
fn link(context: &Context, source: &Path, image: &Path, without: &str, flags: &[&str]) -> Result<Finished> {
    let mut gcc = process::command(context.bin()?.join("x86_64-unikernel-gcc"), flags);
    gcc.arg("-o").arg(image).arg(source).env(wrapper::WITHOUT, without);
    process::run(&mut gcc, b"", Duration::from_secs(120))
}

/// An image has the components that its program's calls need, minus those left out and whatever only they need; its
/// note lists them even if the image is stripped.
fn components(context: &Context) -> Result<Tally> {
    let folder = context.scratch("components")?;
    let source = |name: &str| PathBuf::from("tests/programs").join(format!("{name}.c"));
    let of = |name: &str, without: &str, flags: &[&str]| -> Result<(Vec<String>, bool)> {
        let image = folder.join("image");
        link(context, &context.project.join(source(name)), &image, without, flags)?.expect(0)?;
        let image = Image::open(&image)?;
        let fat = image.elf()?.strtab.to_vec()?.iter().any(|symbol| symbol.contains("libos_fat"));
        let mut components = image.components;
        components.sort_unstable();
        Ok((components, fat))
    };
    let known = [
        ("hello", "", &[][..], &[][..], false),
        ("own_name", "", &[], &[], false),
        ("files_stdio", "", &[], &["disk", "fat", "proc", "share", "terminal"], true),
        ("files_stdio", "disk", &[], &["proc", "share", "terminal"], false),
        ("files_stdio", "terminal,share,proc", &[], &["disk", "fat"], true),
        ("files_stdio", "", &["-s"], &["disk", "fat", "proc", "share", "terminal"], false),
    ];
    for (name, without, flags, components, fat) in known {
        let found = of(name, without, flags)?;
        let wanted = (components.iter().map(|c| (*c).to_owned()).collect(), fat);
        ensure!(found == wanted, "{name} without '{without}' {flags:?}: {found:?}, not {wanted:?}");
    }
    let refused = link(context, &context.project.join(source("hello")), &folder.join("image"), "disk,toaster", &[])?;
    let text = refused.expect(1)?.err();
    ensure!(
        text.contains("'toaster'")
            && text.contains("disk, multicast, netfiles, netlink, packet, pi, proc, share, terminal"),
        "{text}"
    );
    let text = context.tool(["build", "nginx", "--with", "toaster"])?.expect(1)?.err();
    ensure!(text.contains("'toaster'"), "{text}");
    Ok(Tally::pass(format!("{} images", known.len())))
}

/// A program's functions may have the same names as the kernel's, and it cannot call the kernel's.
fn exports(context: &Context) -> Result<Tally> {
    let folder = context.scratch("exports")?;
    let (source, image) = (folder.join("program.c"), folder.join("image"));
    let internal = ["libos_user_copy", "libos_switch", "libos_syscall_entry", "libos_vectors", "not_the_kernels"];
    for name in &internal[..4] {
        std::fs::write(&source, format!("int {name}(void);\nint main(void) {{ return {name}(); }}\n"))?;
        let done = link(context, &source, &image, "", &[])?;
        if done.status == 0 {
            bail!("a program can call {name} of the kernel");
        }
        ensure!(done.err().contains(name), "'{name}' is not named\n{}", done.report());
    }
    let own: String = internal.iter().map(|name| format!("int {name}(void) {{ return 1; }}\n")).collect();
    let sum = internal.map(|name| format!("{name}()")).join(" + ");
    std::fs::write(&source, format!("{own}int main(void) {{ return {sum}; }}\n"))?;
    link(context, &source, &image, "", &[])?.expect(0)?;
    let mut run = context.unibody(["run", "--accel", "tcg", "--net", "none"]);
    process::run(run.arg(&image), b"", Duration::from_secs(60))?.expect(internal.len() as i32)?;
    Ok(Tally::pass(format!("{} names", internal.len())))
}

/// The linker keeps the entry of every instruction that may fault, and each leads from code of the kernel to code of the kernel
/// (`libos/src/arch/x86_64/extable.rs`).
fn exception_table(context: &Context) -> Result<Tally> {
    let image = context.scratch("exception-table")?.join("image");
    link(context, &context.project.join("tests/programs/futex.c"), &image, "", &["-s"])?.expect(0)?;
    let image = Image::open(&image)?;
    let elf = image.elf()?;
    let section = |name| {
        let found = elf.section_headers.iter().find(|s| elf.shdr_strtab.get_at(s.sh_name) == Some(name));
        found.with_context(|| format!("no section {name}"))
    };
    let (table, text) = (section(".libos_extable")?, section(".ktext")?);
    let bytes = image.bytes.get(table.file_range().unwrap_or_default()).context("the table is not in the file")?;
    let places = bytes.chunks_exact(4).zip((table.sh_addr..).step_by(4)).map(|(offset, place)| {
        let offset = i32::from_le_bytes(offset.try_into().unwrap_or_default());
        place.wrapping_add_signed(i64::from(offset))
    });
    let places: Vec<_> = places.collect();
    // At least two loops of a copy, a load, a compare-and-exchange, and the return address of a call.
    let entries = places.len() / 2;
    ensure!(entries >= 5 && places.len() % 2 == 0, "{} offsets", places.len());
    ensure!(places.iter().all(|place| text.vm_range().contains(&(*place as usize))), "{places:x?} are not all code");
    ensure!(
        places.iter().step_by(2).collect::<BTreeSet<_>>().len() == entries,
        "an instruction has two entries: {places:x?}"
    );
    Ok(Tally::pass(format!("{entries} entries")))
}
