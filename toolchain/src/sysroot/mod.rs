//! The sysroot: musl with our overlay, mimalloc, startup code, the kernel, and the compiler wrappers.
//!
//! Each part is built once per fingerprint of its inputs and kept in the cache; the sysroot is assembled from the
//! parts. A stamp file says which parts it holds. It is removed first and written last, so an interrupted build only
//! counts as stale.

mod crt;
mod install;
mod kernel;
mod malloc;
mod musl;
mod split;

use crate::{command, files, lock, packages, paths};
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use install::WRAPPERS;

/// What to build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where to; the cache's `sysroot` by default.
    pub prefix: Option<PathBuf>,
    /// This project's sources; by default those that the tool was built from.
    pub kernel_source: Option<PathBuf>,
    /// musl's unpacked source, instead of the distribution's.
    pub musl_source: Option<PathBuf>,
    /// Also build the kernel with lock-order and assertion checks.
    pub debug: bool,
    /// Install missing packages without asking.
    pub yes: bool,
}

/// One part: its name, and the folder in the cache that holds it once built.
struct Part {
    name: &'static str,
    dir: PathBuf,
}

/// Tools needed to build the sysroot.
const TOOLS: [&str; 5] = ["gcc", "ld", "ar", "objcopy", "make"];

/// Builds what is missing or stale and returns the sysroot's folder. Its wrappers are in `bin`.
pub fn ensure(options: &Options) -> Result<PathBuf> {
    let prefix = match &options.prefix {
        Some(dir) => std::path::absolute(dir)?,
        None => paths::default_sysroot()?,
    };
    let project = match paths::project(options.kernel_source.as_deref()) {
        Ok(project) => project,
        // The clone is gone but the sysroot is complete: good enough to build programs with.
        Err(_) if options.kernel_source.is_none() && !options.debug && stamp_path(&prefix).is_file() => {
            return Ok(prefix);
        }
        Err(e) => return Err(e),
    };
    refuse_foreign(&prefix)?;
    packages::ensure(&TOOLS, options.yes)?;
    // Without apt, the fetching step says what to do instead.
    if options.musl_source.is_none() && command::find("apt-get").is_some() {
        packages::ensure(&["dpkg-source"], options.yes)?;
    }
    let cache = paths::cache()?;
    let _lock = lock::exclusive(&cache.join("lock"))?;

    let musl = musl::build(&project, &cache, options)?;
    let crt = crt::build(&project, &cache, &musl)?;
    let malloc = malloc::build(&project, &cache, &musl)?;
    let kernel = kernel::build(&project, &cache, false)?;
    let mut parts = vec![musl, crt, malloc, kernel];
    if options.debug {
        parts.push(kernel::build(&project, &cache, true)?);
    }

    let stamp = stamp_text(&parts)?;
    let old = std::fs::read_to_string(stamp_path(&prefix)).unwrap_or_default();
    if covers(&old, &stamp) {
        return Ok(prefix);
    }
    if !old.is_empty() {
        eprintln!("the sysroot in {} is out of date ({}): renewing it", prefix.display(), changed(&old, &stamp));
    }
    install::install(&prefix, &parts, &stamp)?;
    discard_old_parts(&cache, &parts);
    Ok(prefix)
}

/// Identifies the parts of a sysroot that determine object code, without the kernel: what a library port depends on.
pub fn code_stamp(sysroot: &Path) -> Result<String> {
    Ok(stamp(sysroot)?.lines().filter(|l| l.starts_with("musl ")).collect())
}

/// Identifies everything that goes into an image.
pub fn stamp(sysroot: &Path) -> Result<String> {
    std::fs::read_to_string(stamp_path(sysroot)).context("the sysroot has no stamp")
}

/// `PATH` with the wrappers in front.
pub fn search_path(sysroot: &Path) -> OsString {
    let mut path = sysroot.join("bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

fn stamp_path(prefix: &Path) -> PathBuf {
    prefix.join("share/unibody/stamp")
}

/// Refuses to fill a folder that is not a sysroot.
fn refuse_foreign(prefix: &Path) -> Result<()> {
    let occupied = std::fs::read_dir(prefix).is_ok_and(|mut d| d.next().is_some());
    if occupied && !prefix.join("share/unibody").is_dir() {
        bail!("{} is not empty and holds no unibody sysroot: give another folder with --prefix", prefix.display());
    }
    ensure!(!prefix.exists() || prefix.is_dir(), "{} is not a folder", prefix.display());
    Ok(())
}

fn stamp_text(parts: &[Part]) -> Result<String> {
    let mut text = String::new();
    for part in parts {
        let id = part.dir.file_name().unwrap_or_default().to_string_lossy();
        text.push_str(&format!("{} {id}\n", part.name));
    }
    let exe = std::env::current_exe()?.metadata()?;
    let built = exe.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    text.push_str(&format!("tool {} {} {built}\n", env!("CARGO_PKG_VERSION"), exe.len()));
    Ok(text)
}

/// Whether a sysroot with stamp `have` holds all that `want` names.
fn covers(have: &str, want: &str) -> bool {
    want.lines().all(|w| have.lines().any(|h| h == w))
}

fn changed(old: &str, new: &str) -> String {
    let name = |l: &str| l.split(' ').next().unwrap_or_default().to_owned();
    new.lines().filter(|l| !old.lines().any(|o| o == *l)).map(name).collect::<Vec<_>>().join(", ")
}

/// Removes parts of earlier builds. Failing to remove one costs only space.
fn discard_old_parts(cache: &Path, parts: &[Part]) {
    for entry in std::fs::read_dir(cache.join("parts")).into_iter().flatten().flatten() {
        let same_kind = |p: &&Part| entry.file_name().to_string_lossy().starts_with(&format!("{}-", p.name));
        if !parts.iter().any(|p| p.dir == entry.path()) && parts.iter().any(|p| same_kind(&p)) {
            let _ = files::remove(&entry.path());
        }
    }
}

impl Part {
    /// The part of this name and fingerprint; built by `fill` (into the folder that it is passed) unless the cache has
    /// it.
    fn get(
        cache: &Path,
        name: &'static str,
        id: &str,
        what: &str,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let dir = cache.join("parts").join(format!("{name}-{id}"));
        if !dir.is_dir() {
            std::fs::create_dir_all(cache.join("parts"))
                .with_context(|| format!("cannot write to {}", cache.display()))?;
            crate::progress::step(what, || files::build_dir(&dir, fill))?;
        }
        Ok(Self { name, dir })
    }
}

/// The host compiler's version line: another compiler generates other code.
fn compiler() -> Result<String> {
    let said = command::run(std::process::Command::new("gcc").arg("--version"), None)?;
    Ok(String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staleness() {
        assert!(covers("musl a\nkernel b\nkernel-debug c\n", "musl a\nkernel b\n"));
        assert!(!covers("musl a\n", "musl a\nkernel b\n"));
        assert_eq!(changed("musl a\nkernel b\n", "musl a\nkernel c\n"), "kernel");
    }

    #[test]
    fn a_foreign_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        refuse_foreign(dir.path()).unwrap();
        std::fs::write(dir.path().join("x"), "").unwrap();
        assert!(refuse_foreign(dir.path()).is_err());
    }
}
