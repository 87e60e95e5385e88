//! One build at a time: an advisory lock on a file, released by the kernel however the process ends.

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::Path;

/// Holds the lock until dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] Flock<File>);

/// Takes the lock at `path`, waiting for another build to end and saying so.
pub fn exclusive(path: &Path) -> Result<Lock> {
    let fail = || format!("cannot lock {}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(fail)?;
    }
    let open = || File::options().create(true).truncate(false).write(true).open(path).with_context(fail);
    match Flock::lock(open()?, FlockArg::LockExclusiveNonblock) {
        Ok(held) => return Ok(Lock(held)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => eprintln!("waiting for another unibody build to end"),
        Err((_, error)) => return Err(error).with_context(fail),
    }
    let mut file = open()?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(held) => return Ok(Lock(held)),
            Err((again, nix::errno::Errno::EINTR)) => file = again,
            Err((_, error)) => return Err(error).with_context(fail),
        }
    }
}
