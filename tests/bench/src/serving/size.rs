//! How large what is booted is.

use crate::linux::LinuxGuest;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use unibody::command;

/// Our image without symbols.
pub fn of_image(image: &Path, work: &Path) -> Result<u64> {
    let stripped = work.join("stripped");
    command::run(Command::new("strip").arg("-o").arg(&stripped).arg(image), None)?;
    length(&stripped)
}

/// The kernel as it is packaged, and the compressed archive of the rest.
pub fn of_linux(guest: &LinuxGuest) -> Result<u64> {
    let packed = command::run(Command::new("gzip").arg("-9c").arg(&guest.initramfs), None)?;
    Ok(length(&guest.kernel.image)? + packed.len() as u64)
}

fn length(file: &Path) -> Result<u64> {
    Ok(file.metadata().with_context(|| format!("cannot read {}", file.display()))?.len())
}
