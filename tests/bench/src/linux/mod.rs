//! The Linux guest: the distribution's kernel for virtual machines and its own build of what is under test, with our own
//! init. Packages are unpacked in the cache and never installed.

pub mod modules;

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use unibody::image::tree::{Purpose, Tree};
use unibody::{apt, command, files, progress};

/// Metapackages for the newest kernel, the leanest first.
const KERNELS: [&str; 3] = ["linux-image-cloud-amd64", "linux-image-virtual", "linux-image-amd64"];

/// Kernel parameters that leave out whatever costs time without being of use here: everything in the guest's favour.
pub const PARAMETERS: &str = "console=ttyS0 panic=-1 quiet loglevel=0 tsc=reliable no_timer_check noreplace-smp mitigations=off \
    nokaslr random.trust_cpu=on cryptomgr.notests lpj=4000000 pci=lastbus=1 ipv6.disable=1 audit=0";

/// The guest's files.
pub struct LinuxGuest {
    pub kernel: Kernel,
    /// Its root.
    pub initramfs: PathBuf,
}

/// A kernel and its modules.
pub struct Kernel {
    /// The file to boot.
    pub image: PathBuf,
    /// The package and its version.
    pub version: String,
    modules: PathBuf,
}

/// Gets the distribution's kernel.
fn kernel() -> Result<Kernel> {
    let mut said = Vec::new();
    for meta in KERNELS {
        match kernel_of(meta) {
            Ok(kernel) => return Ok(kernel),
            Err(error) => said.push(format!("{meta}: {error:#}")),
        }
    }
    bail!("no Linux kernel can be had through apt:\n{}", said.join("\n"))
}

fn kernel_of(meta: &str) -> Result<Kernel> {
    let names = kept(meta, || {
        let image = real(&apt::depends(meta)?, "linux-image-").context("it names no kernel")?;
        let modules = real(&apt::depends(&image)?, "linux-modules-");
        Ok(std::iter::once(image).chain(modules).collect())
    })?;
    let mut trees = Vec::new();
    let mut version = String::new();
    for name in &names {
        let (tree, exact) = apt::binary(name)?;
        if version.is_empty() {
            version = format!("{name} {exact}");
        }
        trees.push(tree);
    }
    let boot = trees.first().context("no package")?.join("boot");
    let image = entry(&boot, "vmlinuz-")?;
    let modules = trees.iter().flat_map(|t| [t.join("lib/modules"), t.join("usr/lib/modules")]).find(|d| d.is_dir());
    Ok(Kernel { image, version, modules: modules.context("the packages hold no modules")? })
}

/// Names of packages, kept in the cache: two runs of a bench compare with the same ones.
fn kept(meta: &str, find: impl FnOnce() -> Result<Vec<String>>) -> Result<Vec<String>> {
    let packages = unibody::paths::cache()?.join("packages");
    let note = packages.join(format!("{meta}.names"));
    if let Ok(text) = std::fs::read_to_string(&note) {
        return Ok(text.lines().map(str::to_owned).collect());
    }
    let names = find()?;
    std::fs::create_dir_all(&packages).with_context(|| format!("cannot make {}", packages.display()))?;
    files::write(&note, names.join("\n"))?;
    Ok(names)
}

/// A package with the libraries that it names, and those that these name, unpacked, and its version.
pub fn with_libraries(package: &str) -> Result<(Vec<PathBuf>, String)> {
    let names = kept(package, || libraries_of(package))?;
    let (tree, version) = apt::binary(package)?;
    let mut trees = vec![tree];
    for name in names {
        trees.push(apt::binary(&name)?.0);
    }
    Ok((trees, version))
}

fn libraries_of(package: &str) -> Result<Vec<String>> {
    let library = |name: &String| name.starts_with("lib") || name.starts_with("zlib");
    let mut names: Vec<String> = apt::depends(package)?.into_iter().filter(library).collect();
    let mut next = 0;
    while let Some(name) = names.get(next) {
        for further in apt::depends(name)?.into_iter().filter(library) {
            if !names.contains(&further) {
                names.push(further);
            }
        }
        next += 1;
    }
    Ok(names)
}

/// The dependency that is a kernel, not another metapackage: its version follows the prefix.
fn real(depends: &[String], prefix: &str) -> Option<String> {
    let versioned =
        |name: &&String| name.strip_prefix(prefix).is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
    depends.iter().find(versioned).cloned()
}

fn entry(dir: &Path, prefix: &str) -> Result<PathBuf> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(entry.path());
        }
    }
    bail!("there is no {prefix} in {}", dir.display())
}

/// What the guest's memory holds besides the kernel.
pub struct Contents<'a> {
    /// The clone, which has the init's source.
    pub project: &'a Path,
    /// The program, a dynamic executable.
    pub program: &'a Path,
    /// Its path in the guest.
    pub place: &'a str,
    /// Unpacked packages with its libraries.
    pub libraries: &'a [PathBuf],
    /// A folder that is laid over the root.
    pub files: Option<&'a Path>,
    /// Kernel modules besides those that every guest needs.
    pub modules: &'a [&'a str],
    /// A folder to work in.
    pub work: &'a Path,
}

/// Usual path of a program in the guest.
pub const PROGRAM: &str = "/bench";

/// Makes the guest: the kernel, and the archive that it unpacks as its root.
pub fn guest(contents: &Contents) -> Result<LinuxGuest> {
    let kernel = kernel()?;
    let initramfs = contents.work.join("initramfs");
    progress::step("making the Linux guest", || archive(&kernel, contents, &initramfs))?;
    Ok(LinuxGuest { kernel, initramfs })
}

fn archive(kernel: &Kernel, contents: &Contents, to: &Path) -> Result<()> {
    let init = contents.work.join("init");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-static", "-o"]).arg(&init).arg(contents.project.join("tests/bench/init.c"));
    command::run(&mut gcc, None)?;
    let mut tree = Tree::default();
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    tree.file("init", 0o755, read(&init)?);
    if let Some(files) = contents.files {
        tree.folder(files, Purpose::Overlay)?;
    }
    tree.file(contents.place.trim_start_matches('/'), 0o755, read(contents.program)?);
    for (number, (name, bytes)) in modules::collect(&kernel.modules, contents.modules)?.into_iter().enumerate() {
        tree.file(&format!("modules/{number:02}-{name}.ko"), 0o644, bytes);
    }
    let mut done = Vec::new();
    libraries(&read(contents.program)?, contents.libraries, &mut tree, &mut done)?;
    let mut archive = Vec::new();
    tree.write(&mut archive)?;
    files::write(to, archive)
}

/// Adds the libraries of an ELF file, and theirs; the dynamic loader goes to the path that the file names.
fn libraries(elf: &[u8], from: &[PathBuf], tree: &mut Tree, done: &mut Vec<String>) -> Result<()> {
    let parsed = goblin::elf::Elf::parse(elf)?;
    let loader = parsed.interpreter.map(|path| path.trim_start_matches('/').to_owned());
    let needed = parsed.libraries.iter().map(|name| (format!("lib/{name}"), (*name).to_owned()));
    let loader = loader.map(|path| (path.clone(), path.rsplit('/').next().unwrap_or(&path).to_owned()));
    for (place, name) in needed.chain(loader) {
        if done.contains(&place) {
            continue;
        }
        let bytes = library(&name, from)?;
        done.push(place.clone());
        libraries(&bytes, from, tree, done)?;
        tree.file(&place, 0o755, bytes);
    }
    Ok(())
}

fn library(name: &str, from: &[PathBuf]) -> Result<Vec<u8>> {
    const PLACES: [&str; 6] =
        ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64", "lib", "usr/lib"];
    let places = from.iter().flat_map(|tree| PLACES.iter().map(move |place| tree.join(place).join(name)));
    match places.into_iter().find(|path| path.is_file()) {
        Some(path) => std::fs::read(&path).with_context(|| format!("cannot read {}", path.display())),
        None => bail!("the unpacked packages have no {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_behind_a_name() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            real(&names(&["linux-image-6.1.0-1-cloud-amd64"]), "linux-image-").unwrap(),
            "linux-image-6.1.0-1-cloud-amd64"
        );
        assert_eq!(
            real(&names(&["linux-image-generic", "linux-image-6.8-x"]), "linux-image-").unwrap(),
            "linux-image-6.8-x"
        );
        assert_eq!(real(&names(&["kmod"]), "linux-image-"), None);
    }
}
