//! Carrying out a recipe.
//!
//! A build folder belongs to what decides its object code: recipe, source, libraries, musl. When only the kernel or the root
//! file system changes, the program is linked again and nothing is compiled.

use super::recipe::Recipe;
use crate::fingerprint::Fingerprint;
use crate::{apt, command, files, lock, paths, progress, sysroot, wrapper};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What all ports of one build share.
pub struct Build<'a> {
    pub project: &'a Path,
    pub sysroot: &'a Path,
    pub debug: bool,
}

/// A port whose object code is there.
struct Compiled {
    /// Its folder in the cache: `build` (the tree), `prefix` (a library's files), `log`.
    dir: PathBuf,
    source: apt::Source,
}

/// The image's path in the cache.
pub fn image(build: &Build, recipe: &Recipe, source: Option<&Path>) -> Result<PathBuf> {
    let _lock = lock::exclusive(&paths::cache()?.join("ports").join("lock"))?;
    let compiled = compile(build, recipe, source)?;
    let artefact = compiled.dir.join("build").join(recipe.build.image.as_deref().unwrap_or(Path::new("")));
    let root = compiled.dir.join("rootfs");
    files::remove(&root)?;
    fs::create_dir(&root)?;
    fill_root(recipe, &compiled.source.tree, &root)?;
    let image = compiled.dir.join(if build.debug { "image-debug" } else { "image" });
    let stamp = Fingerprint::default().text(&sysroot::stamp(build.sysroot)?).tree(&root, false)?.hex();
    let stamp_file = image.with_extension("stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|s| s == stamp) && image.is_file() {
        return Ok(image);
    }
    progress::step(&format!("linking {} {}", recipe.name, compiled.source.version), || {
        files::remove(&stamp_file)?;
        files::remove(&artefact)?;
        let mut make = step(build, recipe, &compiled, &recipe.build.make)?;
        make.env(wrapper::ROOTFS, &root).env(wrapper::DEBUG, if build.debug { "1" } else { "0" });
        make.env(wrapper::WITHOUT, recipe.build.without.join(","));
        command::run(&mut make, Some(&compiled.dir.join("log")))?;
        if !artefact.is_file() {
            bail!("{} did not make {}", command::line(&make), artefact.display());
        }
        fs::copy(&artefact, &image).with_context(|| format!("cannot write {}", image.display()))?;
        files::write(&stamp_file, &stamp)
    })?;
    Ok(image)
}

/// Compiles a port and, before it, the libraries that it needs.
fn compile(build: &Build, recipe: &Recipe, source: Option<&Path>) -> Result<Compiled> {
    let source = match source {
        Some(dir) => apt::local(dir)?,
        None => apt::source(&recipe.source.package)?,
    };
    let (mut cflags, mut ldflags) = (Vec::new(), Vec::new());
    let mut print = Fingerprint::default();
    for name in &recipe.depends {
        let library = compile(build, &Recipe::read(&build.project.join("ports").join(name))?, None)?;
        let prefix = library.dir.join("prefix");
        cflags.push(format!("-I{}", prefix.join("include").display()));
        ldflags.push(format!("-L{}", prefix.join("lib").display()));
        print.text(&library.dir.to_string_lossy());
    }
    print
        .text(&sysroot::code_stamp(build.sysroot)?)
        .text(&source.version)
        .tree(&recipe.dir.join(super::recipe::FILE), true)?;
    for input in &recipe.build.inputs {
        print.tree(&recipe.dir.join(input), true)?;
    }
    print.text(&build.sysroot.to_string_lossy());
    if source.version == "local" {
        print.tree(&source.tree, false)?;
    }
    let dir = paths::cache()?.join("ports").join(format!("{}-{}", recipe.name, print.hex()));
    let compiled = Compiled { dir: dir.clone(), source };
    if dir.join("compiled").is_file() {
        return Ok(compiled);
    }
    // The folder's name stays the same all along: libtool and configure write it into files.
    files::remove(&dir)?;
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::write(dir.join("cflags"), cflags.join(" "))?;
    fs::write(dir.join("ldflags"), ldflags.join(" "))?;
    let log = dir.join("log");
    let what = |doing: &str| format!("{doing} {} {}", recipe.name, compiled.source.version);
    // cp keeps the times of files: generated files must stay newer than what they are generated from.
    command::run(Command::new("cp").arg("-a").arg(&compiled.source.tree).arg(dir.join("build")), None)?;
    if !recipe.build.configure.is_empty() {
        progress::step(&what("configuring"), || {
            command::run(&mut step(build, recipe, &compiled, &recipe.build.configure)?, Some(&log)).map(drop)
        })?;
    }
    progress::step(&what("compiling"), || {
        let mut make = step(build, recipe, &compiled, &recipe.build.make)?;
        make.arg(command::jobs());
        command::run(&mut make, Some(&log))?;
        if !recipe.build.install.is_empty() {
            command::run(&mut step(build, recipe, &compiled, &recipe.build.install)?, Some(&log))?;
        }
        Ok(())
    })?;
    files::write(&dir.join("compiled"), "")?;
    discard_old(recipe, &dir);
    Ok(compiled)
}

/// One command of a recipe, in the build folder and with the wrappers in `PATH`.
fn step(build: &Build, recipe: &Recipe, compiled: &Compiled, words: &[String]) -> Result<Command> {
    let read = |name: &str| fs::read_to_string(compiled.dir.join(name)).unwrap_or_default();
    let (cflags, ldflags) = (read("cflags"), read("ldflags"));
    let prefix = compiled.dir.join("prefix").to_string_lossy().into_owned();
    let port = recipe.dir.to_string_lossy();
    let values = [("{prefix}", &*prefix), ("{cflags}", &*cflags), ("{ldflags}", &*ldflags), ("{port}", &*port)];
    let fill = |word: &String| values.iter().fold(word.clone(), |word, (name, value)| word.replace(name, value));
    let words: Vec<_> = words.iter().map(fill).collect();
    let Some((program, args)) = words.split_first() else { bail!("port {} has an empty command", recipe.name) };
    let mut path = build.sysroot.join("bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    command.args(args).current_dir(compiled.dir.join("build")).env("PATH", path).env("LC_ALL", "C");
    for name in [
        "CC",
        "CFLAGS",
        "CPPFLAGS",
        "CXXFLAGS",
        "LDFLAGS",
        "LIBS",
        "MAKEFLAGS",
        "MAKELEVEL",
        "DESTDIR",
        wrapper::ROOTFS,
        wrapper::DEBUG,
        wrapper::WITHOUT,
    ] {
        command.env_remove(name);
    }
    command.envs(recipe.build.environment.iter().map(|(k, v)| (k, fill(v))));
    Ok(command)
}

/// Puts the image's root file system together.
fn fill_root(recipe: &Recipe, source: &Path, root: &Path) -> Result<()> {
    if let Some(folder) = &recipe.rootfs.folder {
        files::copy_tree(&recipe.dir.join(folder), root)?;
    }
    for dir in &recipe.rootfs.directories {
        fs::create_dir_all(root.join(dir)).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    for (to, from) in &recipe.rootfs.copy {
        let (from, to) = (source.join(from), root.join(to));
        fs::create_dir_all(to.parent().unwrap_or(root))?;
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    crate::build::write_params(root, &recipe.params())
}

/// Builds of other versions of this port are of no use any more.
fn discard_old(recipe: &Recipe, keep: &Path) {
    let Some(all) = keep.parent() else { return };
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let id = name.strip_prefix(&format!("{}-", recipe.name)).unwrap_or_default();
        let ours = id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
        if ours && entry.path() != keep {
            let _ = files::remove(&entry.path());
        }
    }
}
