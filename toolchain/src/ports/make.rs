//! Carrying out a recipe.
//!
//! A build folder is keyed by whatever determines its object code: recipe, source, libraries, musl. When only the
//! kernel or the root file system changes, the program is linked again and nothing is compiled.

use super::recipe::{Recipe, Rootfs, Run, Target};
use crate::fingerprint::Fingerprint;
use crate::{apt, command, files, image, lock, packages, paths, progress, sysroot, wrapper};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use unibody_proto::params::key;

/// What all ports of one build share.
pub struct Build<'a> {
    pub project: &'a Path,
    pub sysroot: &'a Path,
    /// Kernel components that are linked although the recipe leaves them out.
    pub with: &'a [String],
    pub debug: bool,
    pub yes: bool,
}

/// A library port built for another port: its name, and its folder in the cache.
type Library = (String, PathBuf);

/// A port's tree, configured.
struct Tree<'a> {
    recipe: &'a Recipe,
    /// Its folder in the cache: `build` (the tree), `prefix` (a library's files), `log`.
    dir: PathBuf,
    source: apt::Source,
    libraries: Vec<Library>,
}

/// The path in the cache of the image that `target` makes; `artefact` is the file that its command produces.
pub fn image(
    build: &Build,
    recipe: &Recipe,
    target: &Target,
    artefact: &Path,
    source: Option<&Path>,
) -> Result<PathBuf> {
    let _lock = lock::exclusive(&paths::cache()?.join("ports").join("lock"))?;
    let tree = compile(build, recipe, target, source)?;
    let artefact = tree.dir.join("build").join(artefact);
    let named = |what: &str| tree.dir.join([what, target.name].join(if target.name.is_empty() { "" } else { "-" }));
    let root = named("rootfs");
    files::remove(&root)?;
    fs::create_dir(&root)?;
    fill_root(&tree, target.rootfs, &root)?;
    let Run { args, publish, hosted_args } = target.run;
    image::make::write_params(
        &root,
        &[(key::ARG, args), (key::TOOL_PUBLISH, publish), (key::TOOL_HOSTED_ARG, hosted_args)],
    )?;
    let (with, without): (Vec<_>, Vec<_>) =
        target.without.iter().map(String::as_str).partition(|name| build.with.iter().any(|with| with == name));
    let known = wrapper::components::optional(build.sysroot)?;
    if let Some(other) = build.with.iter().find(|with| !known.contains(with)) {
        bail!("the kernel has no component '{other}' that can be left out; there are: {}", known.join(", "));
    }
    let mut name = vec![if build.debug { "image-debug" } else { "image" }];
    name.extend(with);
    let image = named(&name.join("-with-"));
    let without = without.join(",");
    let stamp = Fingerprint::default().text(&sysroot::stamp(build.sysroot)?).text(&without).tree(&root, false)?.hex();
    let stamp_file = image.with_extension("stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|s| s == stamp) && image.is_file() {
        return Ok(image);
    }
    progress::step(&tree.what("linking", target), || {
        files::remove(&stamp_file)?;
        files::remove(&artefact)?;
        let mut make = tree.step(build, target.make)?;
        make.env(wrapper::ROOTFS, &root).env(wrapper::DEBUG, if build.debug { "1" } else { "0" });
        make.env(wrapper::WITHOUT, &without);
        command::run(&mut make, Some(&tree.dir.join("log")))?;
        ensure!(artefact.is_file(), "{} did not make {}", command::line(&make), artefact.display());
        fs::copy(&artefact, &image).with_context(|| format!("cannot write {}", image.display()))?;
        files::write(&stamp_file, &stamp)
    })?;
    Ok(image)
}

/// Compiles a target and, before it, the libraries that it needs.
fn compile<'a>(build: &Build, recipe: &'a Recipe, target: &Target, source: Option<&Path>) -> Result<Tree<'a>> {
    let mut tree = configure(build, recipe, target, source)?;
    let libraries = if target.apart { Vec::new() } else { libraries(build, target.depends)? };
    let stamp = Fingerprint::default().text(&format!("{:?} {libraries:?}", target.make)).hex();
    tree.libraries.extend(libraries);
    let compiled = match target.name {
        "" => "compiled".to_owned(),
        name => format!("compiled-{name}"),
    };
    let compiled = tree.dir.join(compiled);
    if fs::read_to_string(&compiled).is_ok_and(|s| s == stamp) {
        return Ok(tree);
    }
    progress::step(&tree.what("compiling", target), || {
        let log = tree.dir.join("log");
        command::run(tree.step(build, target.make)?.arg(command::jobs()), Some(&log))?;
        if target.name.is_empty() && !recipe.build.install.is_empty() {
            command::run(&mut tree.step(build, &recipe.build.install)?, Some(&log))?;
        }
        Ok(())
    })?;
    files::write(&compiled, &stamp)?;
    Ok(tree)
}

/// Compiles library ports.
fn libraries(build: &Build, names: &[String]) -> Result<Vec<Library>> {
    let compiled = |name: &String| {
        let recipe = Recipe::read(&build.project.join("ports").join(name))?;
        Ok((name.clone(), compile(build, &recipe, &recipe.target(None)?, None)?.dir))
    };
    names.iter().map(compiled).collect()
}

/// A configured tree of the port, in a folder of its own: the one that its programs share, or that of `target` alone.
fn configure<'a>(build: &Build, recipe: &'a Recipe, target: &Target, source: Option<&Path>) -> Result<Tree<'a>> {
    let source = match source {
        Some(dir) => apt::local(dir)?,
        None => apt::source(&recipe.source.package)?,
    };
    let principal = if target.apart { *target } else { recipe.target(None)? };
    let super::recipe::Build { environment, inputs, tools, configure, install, .. } = &recipe.build;
    let words = [configure, principal.options].concat();
    let libraries = libraries(build, &[&recipe.depends, principal.depends].concat())?;
    let mut print = Fingerprint::default();
    for (_, dir) in &libraries {
        print.text(&dir.to_string_lossy());
    }
    // Not the whole file: descriptions and the contents of the root file system do not affect object code.
    print
        .text(&sysroot::code_stamp(build.sysroot)?)
        .text(&source.version)
        .text(&format!("{:?} {environment:?} {words:?} {:?} {install:?}", recipe.source, principal.make));
    for input in inputs {
        print.tree(&recipe.dir.join(input), true)?;
    }
    // What is configured then names files of the port where they are: a clone elsewhere, or a new one, has its own tree.
    if words.iter().any(|word| word.contains("{port}")) {
        print.text(&recipe.dir.to_string_lossy());
    }
    print.text(&build.sysroot.to_string_lossy());
    if source.version == "local" {
        print.tree(&source.tree, false)?;
    }
    let name = [&recipe.name, principal.name].join(if target.apart { "-" } else { "" });
    let dir = paths::cache()?.join("ports").join(format!("{name}-{}", print.hex()));
    let tree = Tree { recipe, dir, source, libraries };
    let done = tree.dir.join("configured");
    if done.is_file() {
        return Ok(tree);
    }
    packages::ensure(&tools.iter().map(String::as_str).collect::<Vec<_>>(), build.yes)?;
    // The folder keeps its name throughout: libtool and configure write it into files.
    files::remove(&tree.dir)?;
    fs::create_dir_all(&tree.dir).with_context(|| format!("cannot make {}", tree.dir.display()))?;
    // cp keeps the times of files: generated files must stay newer than what they are generated from.
    command::run(Command::new("cp").arg("-a").arg(&tree.source.tree).arg(tree.dir.join("build")), None)?;
    if !words.is_empty() {
        progress::step(&tree.what("configuring", &principal), || {
            command::run(&mut tree.step(build, &words)?, Some(&tree.dir.join("log"))).map(drop)
        })?;
    }
    files::write(&done, "")?;
    discard_old(&name, &tree.dir);
    Ok(tree)
}

impl Tree<'_> {
    /// A message for people: what is being done to which target.
    fn what(&self, doing: &str, target: &Target) -> String {
        let colon = if target.name.is_empty() { "" } else { ":" };
        format!("{doing} {}{colon}{} {}", self.recipe.name, target.name, self.source.version)
    }

    /// One command of the recipe, in the build folder and with the wrappers in `PATH`.
    fn step(&self, build: &Build, words: &[String]) -> Result<Command> {
        let flags = |option: &str, folder: &str| {
            let flag = |(_, dir): &Library| format!("{option}{}", dir.join("prefix").join(folder).display());
            self.libraries.iter().map(flag).collect::<Vec<_>>().join(" ")
        };
        let mut values = vec![
            ("{prefix}".to_owned(), self.dir.join("prefix").to_string_lossy().into_owned()),
            ("{cflags}".to_owned(), flags("-I", "include")),
            ("{ldflags}".to_owned(), flags("-L", "lib")),
            ("{port}".to_owned(), self.recipe.dir.to_string_lossy().into_owned()),
        ];
        for (name, dir) in &self.libraries {
            values.push((format!("{{{name}}}"), dir.join("prefix").to_string_lossy().into_owned()));
        }
        let fill = |word: &String| values.iter().fold(word.clone(), |word, (name, value)| word.replace(name, value));
        let words: Vec<_> = words.iter().map(fill).collect();
        let Some((program, args)) = words.split_first() else {
            bail!("port {} has an empty command", self.recipe.name)
        };
        let mut command = Command::new(program);
        let path = sysroot::search_path(build.sysroot);
        command.args(args).current_dir(self.dir.join("build")).env("PATH", path).env("LC_ALL", "C");
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
        command.envs(self.recipe.build.environment.iter().map(|(k, v)| (k, fill(v))));
        Ok(command)
    }
}

/// Assembles the image's root file system.
fn fill_root(tree: &Tree, rootfs: &Rootfs, root: &Path) -> Result<()> {
    if let Some(folder) = &rootfs.folder {
        files::copy_tree(&tree.recipe.dir.join(folder), root)?;
    }
    for dir in &rootfs.directories {
        fs::create_dir_all(root.join(dir)).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    for (to, from) in &rootfs.copy {
        let installed = tree.libraries.iter().find_map(|(name, dir)| {
            let rest = from.strip_prefix(format!("{{{name}}}")).ok()?;
            Some(dir.join("prefix").join(rest))
        });
        let (from, to) = (installed.unwrap_or_else(|| tree.source.tree.join(from)), root.join(to));
        if from.is_dir() {
            files::copy_tree(&from, &to)?;
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(root))?;
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

/// Removes trees of other versions, which are no longer of use.
fn discard_old(name: &str, keep: &Path) {
    let Some(all) = keep.parent() else { return };
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let id = file.strip_prefix(&format!("{name}-")).unwrap_or_default();
        let ours = id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
        if ours && entry.path() != keep {
            let _ = files::remove(&entry.path());
        }
    }
}
