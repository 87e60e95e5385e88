//! musl from the distribution's source package, with our overlay copied over a build copy.

use super::{Options, Part, compiler};
use crate::fingerprint::Fingerprint;
use crate::wrapper::flags::CODE_FLAGS;
use crate::{apt, command, files};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// For speed as by default, and threads: their locks are what programs wait for.
const OPTIMIZE: &str = "--enable-optimize=internal,malloc,string,thread,thread/x86_64/";
const CONFIGURE: [&str; 5] = ["--disable-shared", "--disable-wrapper", "--prefix=/", "CC=gcc", OPTIMIZE];
/// `MALLOC_DIR` names no folder: the overlay's malloc is the only one. `AOBJS`: PIE objects rather than the PIC ones that
/// musl's configure chooses where gcc makes PIEs by default.
const MAKE: [&str; 4] = ["MALLOC_DIR=none", "AOBJS=$(LIBC_OBJS)", "install-libs", "install-headers"];

pub fn build(project: &Path, cache: &Path, options: &Options) -> Result<Part> {
    let source = match &options.musl_source {
        Some(dir) => apt::local(dir)?,
        None => apt::source("musl")?,
    };
    let overlay = project.join("libc-shim/musl");
    let mut print = Fingerprint::default();
    print
        .text(&source.version)
        .text(&compiler()?)
        .text(&[&CODE_FLAGS[..], &CONFIGURE, &MAKE].concat().join(" "))
        .text(&numbers())
        .tree(&overlay, true)?;
    if options.musl_source.is_some() {
        print.tree(&source.tree, true)?;
    }
    Part::get(cache, "musl", &print.hex(), &format!("building musl {}", source.version), |out| {
        let work = tempfile::Builder::new().prefix("musl-").tempdir_in(cache)?;
        let tree = work.path().join("musl");
        files::copy_tree(&source.tree, &tree)?;
        lay_over(&overlay, &tree)?;
        fs::write(tree.join("arch/x86_64/libos_numbers.h"), numbers())?;
        let log = cache.join("musl.log");
        files::remove(&log)?;
        let mut configure = Command::new("./configure");
        configure.current_dir(&tree).args(CONFIGURE);
        // musl chooses the optimisation itself: -Os, and -O3 where speed counts.
        configure.arg(format!("CFLAGS={}", CODE_FLAGS.join(" ")));
        command::run(quiet(&mut configure), Some(&log))?;
        let mut make = Command::new("make");
        make.current_dir(&tree).arg(command::jobs()).args(MAKE);
        make.arg(format!("DESTDIR={}", out.display()));
        command::run(quiet(&mut make), Some(&log))?;
        // We have our own startup code (crt.rs).
        for object in ["crt1.o", "Scrt1.o", "rcrt1.o"] {
            files::remove(&out.join("lib").join(object))?;
        }
        fs::create_dir_all(out.join("share/unibody"))?;
        let licence = out.join("share/unibody/musl-COPYRIGHT");
        fs::copy(tree.join("COPYRIGHT"), licence).context("musl's source has no COPYRIGHT")?;
        Ok(())
    })
}

/// The overlay's list of system calls: `K(n)` for each number of the kernel's table.
fn numbers() -> String {
    let numbers: Vec<String> = libos_abi::table::CALLS.iter().map(|call| format!("K({})", call.number)).collect();
    format!("#define __LIBOS_NUMBERS(K) {}\n", numbers.join(" "))
}

/// Removes variables that would affect musl's build.
fn quiet(command: &mut Command) -> &mut Command {
    for name in ["CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "CROSS_COMPILE", "MAKEFLAGS", "MAKELEVEL", "DESTDIR"] {
        command.env_remove(name);
    }
    command
}

/// Copies the overlay over the tree. A replaced header is kept as `NAME.musl.h`, so that ours can include it.
fn lay_over(overlay: &Path, tree: &Path) -> Result<()> {
    for entry in fs::read_dir(overlay).with_context(|| format!("cannot read {}", overlay.display()))? {
        let entry = entry?;
        let target = tree.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            lay_over(&entry.path(), &target)?;
        } else {
            if target.extension().is_some_and(|e| e == "h") && target.exists() {
                fs::rename(&target, target.with_extension("musl.h"))?;
            }
            fs::copy(entry.path(), &target).with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_header_stays_reachable() {
        let dir = tempfile::tempdir().unwrap();
        let (overlay, tree) = (dir.path().join("o"), dir.path().join("t"));
        for d in [&overlay, &tree] {
            fs::create_dir_all(d.join("arch")).unwrap();
        }
        fs::write(tree.join("arch/a.h"), "old").unwrap();
        fs::write(overlay.join("arch/a.h"), "new").unwrap();
        fs::write(overlay.join("arch/b.c"), "b").unwrap();
        lay_over(&overlay, &tree).unwrap();
        let read = |p: &str| fs::read_to_string(tree.join(p)).unwrap();
        assert_eq!(
            (read("arch/a.h"), read("arch/a.musl.h"), read("arch/b.c")),
            ("new".into(), "old".into(), "b".into())
        );
    }
}
