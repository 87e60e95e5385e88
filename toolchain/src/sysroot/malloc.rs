//! `libmimalloc.a`: mimalloc's C source, as the crate libmimalloc-sys bundles it, with our checks on free
//! (`libc-shim/malloc`). musl's malloc functions (in the overlay) call it; a program that allocates nothing does not
//! link it.

use super::{Part, compiler};
use crate::command;
use crate::fingerprint::Fingerprint;
use crate::wrapper::flags::{CODE_FLAGS, header_flags};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Reserve address space without memory and commit it page by page: an image may have only a few MiB.
/// `-O1` with these two is as fast as `-O2` in a malloc/free loop and 6 KiB smaller; `-Os` is half as fast.
/// `MI_SHOW_ERRORS` stays undefined: standard error is the program's.
const OPTIONS: [&str; 14] = [
    "-O1",
    "-finline-small-functions",
    "-foptimize-sibling-calls",
    "-ftls-model=local-exec",
    "-fno-stack-protector",
    "-DNDEBUG",
    "-DMI_BUILD_RELEASE",
    "-DMI_DEBUG=0",
    "-DMI_STAT=0",
    "-DMI_LIBC_MUSL=1",
    "-DMI_DEFAULT_EAGER_COMMIT=0",
    "-DMI_DEFAULT_ARENA_EAGER_COMMIT=0",
    "-DMI_DEFAULT_ARENA_RESERVE=0",
    "-DMI_DEFAULT_ALLOW_THP=1",
];

pub fn build(project: &Path, cache: &Path, musl: &Part) -> Result<Part> {
    let shim = project.join("libc-shim/malloc");
    let lock = fs::read_to_string(project.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let mut print = Fingerprint::default();
    print.text(&locked_version(&lock)).tree(&shim, true)?.text(&OPTIONS.join(" "));
    print.text(&musl.dir.to_string_lossy()).text(&compiler()?);
    Part::get(cache, "malloc", &print.hex(), "building malloc", |out| {
        let source = bundled_source(project)?;
        let lib = out.join("lib");
        fs::create_dir(&lib)?;
        let object = lib.join("mimalloc.o");
        let mut gcc = Command::new("gcc");
        gcc.args(header_flags(&musl.dir.join("include"))?).args(CODE_FLAGS).args(OPTIONS);
        gcc.arg("-I").arg(source.join("include")).arg("-I").arg(source.join("src"));
        gcc.arg("-c").arg(shim.join("malloc.c")).arg("-o").arg(&object);
        command::run(&mut gcc, None)?;
        command::run(Command::new("ar").arg("rcsD").arg(lib.join("libmimalloc.a")).arg(&object), None)?;
        fs::remove_file(object)?;
        fs::create_dir_all(out.join("share/unibody"))?;
        if let Some(licence) = [source.join("LICENSE")].iter().find(|p| p.is_file()) {
            fs::copy(licence, out.join("share/unibody/mimalloc-LICENSE"))?;
        }
        Ok(())
    })
}

/// The entry of libmimalloc-sys in Cargo.lock.
fn locked_version(lock: &str) -> String {
    let entry = lock.split("[[package]]").find(|p| p.contains("name = \"libmimalloc-sys\"\n"));
    entry.unwrap_or_default().trim().to_owned()
}

/// Where cargo keeps the crate's source; fetched if it is not there yet.
fn bundled_source(project: &Path) -> Result<PathBuf> {
    let mut cargo = super::kernel::cargo();
    cargo.args(["metadata", "--format-version", "1", "--manifest-path"]).arg(project.join("Cargo.toml"));
    let json: serde_json::Value = serde_json::from_slice(&command::run(&mut cargo, None)?)?;
    let packages = json["packages"].as_array().into_iter().flatten();
    let manifest = packages.filter(|p| p["name"] == "libmimalloc-sys").find_map(|p| p["manifest_path"].as_str());
    let manifest = Path::new(manifest.context("libmimalloc-sys is not among the project's crates")?);
    let source = manifest.with_file_name("c_src/mimalloc/v2");
    anyhow::ensure!(source.join("src/static.c").is_file(), "no mimalloc source in {}", source.display());
    Ok(source)
}

#[cfg(test)]
mod tests {
    #[test]
    fn version_of_the_lock_file() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1\"\n\n[[package]]\nname = \"libmimalloc-sys\"\nversion = \"0.1.49\"\n";
        assert!(super::locked_version(lock).contains("0.1.49"));
    }
}
