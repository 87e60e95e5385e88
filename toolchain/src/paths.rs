//! Where things are: the cache, the sysroot, the sources of this project.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// `$XDG_CACHE_HOME/unibody`, or `~/.cache/unibody`. Everything in it can be rebuilt.
pub fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|v| Path::new(v).is_absolute()) {
        Some(dir) => PathBuf::from(dir),
        None => std::env::home_dir()
            .filter(|h| h.is_absolute())
            .context("no home folder: set XDG_CACHE_HOME")?
            .join(".cache"),
    };
    Ok(base.join("unibody"))
}

/// The sysroot that commands use without `--prefix`.
pub fn default_sysroot() -> Result<PathBuf> {
    Ok(cache()?.join("sysroot"))
}

/// The clone that this tool was built from, or the folder given with `--kernel-source`.
pub fn project(given: Option<&Path>) -> Result<PathBuf> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"));
    let root = given.unwrap_or(built_from);
    if !root.join("libc-shim/unibody.ld").is_file() {
        anyhow::bail!(
            "the sources of unibody are not in {}: give their folder with --kernel-source DIR",
            root.display()
        );
    }
    root.canonicalize().with_context(|| format!("cannot open {}", root.display()))
}
