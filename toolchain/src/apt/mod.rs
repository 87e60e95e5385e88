//! Packages of the distribution, through the machine's own apt configuration and without root.
//!
//! apt checks the chain: signed Release, Sources index, files. Fetched packages stay in the cache, so a second build
//! needs no network.

mod config;
mod fetch;

use crate::{command, files, paths, progress};
use anyhow::{Context, Result, bail, ensure};
use fetch::Kind;
pub use fetch::depends;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An unpacked source package. The tree is shared: build in a copy.
#[derive(Clone, Debug)]
pub struct Source {
    /// The unpacked tree, the distribution's patches applied.
    pub tree: PathBuf,
    /// The exact version, as the distribution writes it; `local` for `--source DIR`.
    pub version: String,
}

/// Programs needed for this.
const TOOLS: [&str; 3] = ["apt-get", "apt-config", "dpkg-source"];

/// The newest version that apt's mirrors serve, or the one in the cache.
pub fn source(package: &str) -> Result<Source> {
    let (tree, version) = cached("sources", package, "the source of", |new| {
        let missing: Vec<_> = TOOLS.into_iter().filter(|t| command::find(t).is_none()).collect();
        if !missing.is_empty() {
            bail!(
                "cannot fetch the source of {package}: {} not found here. On Debian and Ubuntu, install apt and \
                 dpkg-dev; elsewhere unpack the source yourself and give its folder with --source DIR",
                missing.join(", ")
            );
        }
        let download = new.join("files");
        std::fs::create_dir(&download)?;
        let version = fetch::download(package, Kind::Source, &download)?;
        let dsc = one_with_suffix(&download, ".dsc")?;
        // The files were checked against the signed index already; the maintainer's own key is rarely at hand.
        let mut unpack = Command::new("dpkg-source");
        command::run(unpack.args(["--no-check", "--no-copy", "-x"]).arg(&dsc).arg(new.join("tree")), None)?;
        Ok(version)
    })?;
    Ok(Source { tree, version })
}

/// A binary package, unpacked in the cache and never installed: its folder and version.
pub fn binary(package: &str) -> Result<(PathBuf, String)> {
    cached("packages", package, "the package", |new| {
        let version = fetch::download(package, Kind::Binary, new)?;
        let file = one_with_suffix(new, ".deb")?;
        command::run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(new.join("tree")), None)?;
        files::remove(&file)?;
        Ok(version)
    })
}

/// A package's unpacked tree in the cache, and its version. If it is not there, `fetch` puts `tree` into a folder.
fn cached(
    kind: &str,
    package: &str,
    what: &str,
    fetch: impl FnOnce(&Path) -> Result<String>,
) -> Result<(PathBuf, String)> {
    let dir = paths::cache()?.join(kind).join(package);
    let found = || {
        let version = std::fs::read_to_string(dir.join("version")).ok()?;
        Some((dir.join("tree"), version.trim().to_owned())).filter(|(tree, _)| tree.is_dir())
    };
    if let Some(found) = found() {
        return Ok(found);
    }
    progress::step(&format!("fetching {what} {package}"), || {
        files::build_dir(&dir, |new| Ok(std::fs::write(new.join("version"), fetch(new)?)?))
    })?;
    found().with_context(|| format!("{what} {package} vanished from {}", dir.display()))
}

/// A source tree given by the user.
pub fn local(dir: &Path) -> Result<Source> {
    ensure!(dir.is_dir(), "{} is not a folder", dir.display());
    Ok(Source { tree: dir.canonicalize()?, version: "local".into() })
}

/// The version in the cache, if any; does not ask apt.
pub fn cached_version(package: &str) -> Option<String> {
    let file = paths::cache().ok()?.join("sources").join(package).join("version");
    Some(std::fs::read_to_string(file).ok()?.trim().to_owned())
}

fn one_with_suffix(dir: &Path, suffix: &str) -> Result<PathBuf> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(suffix) {
            return Ok(path);
        }
    }
    bail!("apt fetched no {suffix} file to {}", dir.display())
}
