//! What is known about running and ended VMs: one folder each under the state folder, readable by the user alone.
//!
//! `NAME/lock` is held (flock) by the supervising process for as long as it lives, so a stale entry can be told from a
//! live one without trusting process numbers. `NAME/state.json` is the [`Record`], `NAME/control` the supervisor's
//! socket, `NAME/log` and `NAME/log.1` a detached VM's output. The lock `.claims` guards creating and removing entries;
//! it is always taken before an entry's own lock.

pub mod client;
pub mod entry;
pub mod record;

pub use entry::{Claim, claim, list, open, remove};
pub use record::{Ended, Record};

use anyhow::{Context, Result, bail};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The state folder, created if necessary.
pub fn folder() -> Result<PathBuf> {
    let uid = nix::unistd::getuid();
    let system = PathBuf::from(format!("/run/user/{uid}"));
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let path = match runtime.or(system.is_dir().then_some(system)) {
        Some(dir) => dir.join("unibody"),
        None => PathBuf::from(format!("/tmp/unibody-{uid}")),
    };
    make_private(&path)?;
    Ok(path)
}

/// Creates a folder with mode 0700, or checks that an existing one is ours alone: others may write to its parent.
pub fn make_private(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make the state folder {}", path.display()))?;
    let meta = path.symlink_metadata()?;
    if !meta.is_dir() || meta.uid() != nix::unistd::getuid().as_raw() || meta.mode() & 0o077 != 0 {
        bail!("{} has to be a folder of yours with mode 0700; move it away, or set XDG_RUNTIME_DIR", path.display());
    }
    Ok(())
}

/// Opens a file for locking or writing; a new one gets mode 0600.
pub fn private_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).read(true).write(true).truncate(false).mode(0o600).open(path)
}

/// Checks that a text can be a VM's name.
pub fn check_name(name: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if !first || name.len() > 60 || !name.bytes().all(good) {
        return Err(crate::failure::usage(format!(
            "'{name}' cannot name a VM: letters, digits, '_', '.' and '-', beginning with a letter or digit, at most 60"
        )));
    }
    Ok(())
}
