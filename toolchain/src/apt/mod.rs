//! Packages of the distribution, through the machine's own apt configuration and without root.
//!
//! apt checks the chain: signed Release, Sources index, files. Fetched packages stay in the cache, so a second build
//! needs no network.

mod config;
mod fetch;

use crate::{command, files, paths, progress};
use anyhow::{Context, Result, bail};
use fetch::Kind;
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
    let dir = paths::cache()?.join("sources").join(package);
    let source = |dir: &Path| -> Option<Source> {
        let version = std::fs::read_to_string(dir.join("version")).ok()?;
        dir.join("tree").is_dir().then(|| Source { tree: dir.join("tree"), version: version.trim().to_owned() })
    };
    if let Some(found) = source(&dir) {
        return Ok(found);
    }
    let missing: Vec<_> = TOOLS.into_iter().filter(|t| command::find(t).is_none()).collect();
    if !missing.is_empty() {
        bail!(
            "cannot fetch the source of {package}: {} not found here. On Debian and Ubuntu, install apt and dpkg-dev; \
             elsewhere unpack the source yourself and give its folder with --source DIR",
            missing.join(", ")
        );
    }
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    progress::step(&format!("fetching the source of {package}"), || {
        files::build_dir(&dir, |new| {
            let download = new.join("files");
            std::fs::create_dir(&download)?;
            let version = fetch::download(package, Kind::Source, &download)?;
            let dsc = one_with_suffix(&download, ".dsc")?;
            // The files were checked against the signed index already; the maintainer's own key is rarely at hand.
            command::run(
                Command::new("dpkg-source").args(["--no-check", "--no-copy", "-x"]).arg(&dsc).arg(new.join("tree")),
                None,
            )?;
            std::fs::write(new.join("version"), version)?;
            Ok(())
        })
    })?;
    source(&dir).with_context(|| format!("the source of {package} vanished from {}", dir.display()))
}

/// A binary package, unpacked in the cache and never installed: its folder and version.
pub fn binary(package: &str) -> Result<(PathBuf, String)> {
    let dir = paths::cache()?.join("packages").join(package);
    let found = |dir: &Path| {
        let version = std::fs::read_to_string(dir.join("version")).ok()?;
        Some((dir.join("tree"), version.trim().to_owned()))
    };
    if let Some(found) = found(&dir) {
        return Ok(found);
    }
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    progress::step(&format!("fetching the package {package}"), || {
        files::build_dir(&dir, |new| {
            let version = fetch::download(package, Kind::Binary, new)?;
            let file = one_with_suffix(new, ".deb")?;
            command::run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(new.join("tree")), None)?;
            files::remove(&file)?;
            std::fs::write(new.join("version"), version)?;
            Ok(())
        })
    })?;
    found(&dir).with_context(|| format!("the package {package} vanished from {}", dir.display()))
}

/// What a binary package depends on.
pub fn depends(package: &str) -> Result<Vec<String>> {
    fetch::depends(package)
}

/// A source tree given by the user.
pub fn local(dir: &Path) -> Result<Source> {
    if !dir.is_dir() {
        bail!("{} is not a folder", dir.display());
    }
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
