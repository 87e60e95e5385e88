//! `libunibody.a`: the kernel, built by cargo for a bare machine and stripped of names that a program could clash with.

use super::{Part, split};
use crate::fingerprint::Fingerprint;
use crate::wrapper::components;
use crate::{command, files};
use anyhow::{Context, Result, bail};
use goblin::elf::{Elf, sym::STB_LOCAL};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// A static PIE needs position-independent code; signals and traps share stacks, so no red zone; backtraces walk frame
/// pointers. A kernel has hardly a loop that gains from being vectorised. Inlining: LLVM's own limits are 225 at level 2,
/// and 50 and 5 at the small ones; one in between, for all crates, gives most of the speed for a third of the growth
/// (docs/ARCHITECTURE.md, "Fast and small").
const FLAGS: [&str; 7] = [
    "--cfg=unibody_kernel",
    "-Crelocation-model=pie",
    "-Cno-redzone=yes",
    "-Cforce-frame-pointers=yes",
    "-Cno-vectorize-loops",
    "-Cno-vectorize-slp",
    "-Cllvm-args=--inline-threshold=85",
];
/// The kernel's sources.
const SOURCES: [&str; 6] = ["Cargo.toml", "Cargo.lock", "libos", "drivers", "libc-shim/Cargo.toml", "libc-shim/src"];

pub fn build(project: &Path, cache: &Path, debug: bool) -> Result<Part> {
    let mut print = Fingerprint::default();
    for source in SOURCES {
        print.tree(&project.join(source), true)?;
    }
    let rustc = command::run(Command::new("rustc").arg("-V"), None)?;
    print.bytes(&rustc).text(&FLAGS.join(" "));
    // How the object is processed afterwards.
    print.text(include_str!("kernel.rs")).text(include_str!("split.rs"));
    let (name, what) =
        if debug { ("kernel-debug", "building the kernel with checks") } else { ("kernel", "building the kernel") };
    Part::get(cache, name, &print.hex(), what, |out| {
        let target_dir = cache.join("target").join(name);
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        if debug {
            flags.extend(["-Cdebug-assertions=yes", "-Coverflow-checks=yes"].map(str::to_owned));
        }
        // The path of the sources must not appear in the image.
        flags.push(format!("--remap-path-prefix={}=unibody", project.display()));
        // Nor the user's: panic messages of libraries contain file names.
        flags.extend(registries().iter().map(|r| format!("--remap-path-prefix={}/=", r.display())));
        let mut cargo = cargo();
        cargo.args([
            "build",
            "--quiet",
            "--package",
            "libunibody",
            "--profile",
            "kernel",
            "--target",
            TARGET,
            "--manifest-path",
        ]);
        cargo.arg(project.join("Cargo.toml")).env("CARGO_TARGET_DIR", &target_dir);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        command::run(&mut cargo, None)?;
        let built = target_dir.join(TARGET).join("kernel/liblibunibody.a");
        let built = if built.is_file() { built } else { built.with_file_name("libunibody.a") };
        // The linker script identifies the kernel by its archive's name, so the debug one is in a separate folder.
        let lib = out.join(if debug { "lib/debug" } else { "lib" });
        fs::create_dir_all(&lib)?;
        let optional = keep_only_exports(&built, &lib.join("libunibody.a"), cache)?;
        if !debug {
            let list = out.join(components::LIST);
            fs::create_dir_all(list.parent().unwrap_or(out))?;
            fs::write(list, optional.join("\n"))?;
        }
        Ok(())
    })
}

/// Kernel symbols that an image refers to besides system calls: entry points, and what the C library calls or reads
/// directly.
const ENTRIES: [&str; 10] = [
    "unibody_pvh_start",
    "unibody_mb2_start",
    "unibody_linux64_start",
    "libos_hosted",
    "libos_avx",
    "libos_die",
    "libos_rt_sigreturn",
    "libos_sys_unmapself",
    "libos_syscall_dispatch",
    "libos_no_component",
];

/// The names that stay global: the entries, the system calls of the kernel's table, and the components that can be left
/// out, whose names form the second list.
fn exports(object: &[u8]) -> Result<(Vec<String>, Vec<String>)> {
    let elf = Elf::parse(object).context("cannot read the kernel's object")?;
    let global = elf.syms.iter().filter(|s| s.st_bind() != STB_LOCAL && s.st_shndx != 0);
    let there: BTreeSet<_> = global.filter_map(|s| elf.strtab.get_at(s.st_name)).collect();
    let calls = libos_abi::table::CALLS.iter().map(|call| format!("libos_sys_{}", call.number));
    let mut names: Vec<_> = ENTRIES.map(str::to_owned).into_iter().chain(calls).collect();
    if let Some(missing) = names.iter().find(|name| !there.contains(name.as_str())) {
        bail!("the kernel has no symbol {missing}");
    }
    let optional: Vec<_> = there.iter().filter_map(|s| s.strip_prefix(components::SYMBOL)).map(str::to_owned).collect();
    names.extend(optional.iter().map(|name| format!("{}{name}", components::SYMBOL)));
    Ok((names, optional))
}

/// Only [`exports`] stay global. Everything else (the kernel's own memcpy, for one) becomes local, so that it neither
/// clashes with a program's function of that name nor is used in its place. Fat LTO left the whole kernel in one
/// object, so nothing that it refers to is lost with the archive's other members, the prebuilt objects. The remaining
/// object is split further, so that the linker can drop parts of it. Returns the names of the components that can be
/// left out.
fn keep_only_exports(built: &Path, to: &Path, cache: &Path) -> Result<Vec<String>> {
    let work = tempfile::Builder::new().prefix("kernel-").tempdir_in(cache)?;
    let members = command::run(Command::new("ar").arg("t").arg(built), None)?;
    let members = String::from_utf8_lossy(&members);
    let ours: Vec<_> =
        members.lines().filter(|m| m.starts_with("libunibody") || m.starts_with("liblibunibody")).collect();
    let [ours] = ours[..] else { bail!("the kernel should be one object in {}, not {ours:?}", built.display()) };
    let (object, list) = (work.path().join("kernel.o"), work.path().join("exports"));
    let whole = command::run(Command::new("ar").arg("p").arg(built).arg(ours), None)?;
    let (exports, optional) = exports(&whole)?;
    fs::write(&object, whole)?;
    fs::write(&list, exports.join("\n"))?;
    let mut objcopy = Command::new("objcopy");
    objcopy.arg("--keep-global-symbols").arg(&list);
    // Nothing unwinds in an image: the linker script has no place for the tables, and only they need section groups.
    objcopy.args(["--remove-section=.eh_frame", "--remove-section=.rela.eh_frame", "--remove-section=.group"]);
    objcopy.arg(&object);
    command::run(&mut objcopy, None)?;
    let (cut, warnings) = split::split(&fs::read(&object)?);
    for warning in warnings {
        eprintln!("warning: the kernel is larger than it need be: {warning}");
    }
    fs::write(&object, cut)?;
    files::remove(to)?;
    command::run(Command::new("ar").arg("rcsD").arg(to).arg(&object), None)?;
    Ok(optional)
}

/// The folders in which cargo unpacks the sources of libraries, one for each registry.
fn registries() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|h| h.join(".cargo")));
    let found = home.and_then(|h| fs::read_dir(h.join("registry/src")).ok());
    found.into_iter().flatten().flatten().map(|e| e.path()).collect()
}

/// cargo, without the variables that an outer cargo run put into the environment.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
        "RUSTC_WRAPPER",
    ] {
        cargo.env_remove(name);
    }
    cargo
}
