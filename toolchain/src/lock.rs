//! One build at a time: an advisory lock on a file, released by the kernel however the process ends.

use anyhow::{Context, Result};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

/// Holds the lock until dropped.
pub type Lock = File;

/// Takes the lock at `path`, waiting for another build to end and saying so.
pub fn exclusive(path: &Path) -> Result<Lock> {
    let fail = || format!("cannot lock {}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(fail)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(path).with_context(fail)?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        eprintln!("waiting for another unibody build to end");
    }
    loop {
        match file.lock() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done.map(|()| file).with_context(fail),
        }
    }
}
