//! Flags for all C code of an image, the sysroot's and the user's.

use crate::command;
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// The red zone would be destroyed by signals and interrupts that run on the same stack in ring 0. A frame larger than a page
/// touches each of its pages in turn, so that none jumps over the guard below a stack.
pub const CODE_FLAGS: [&str; 8] = [
    "-fPIE",
    "-mno-red-zone",
    "-fstack-clash-protection",
    "-fno-omit-frame-pointer",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-asynchronous-unwind-tables",
    "-fcf-protection=none",
];

/// Options that make the host compiler see musl's headers and its own, and no others.
pub fn header_flags(include: &Path) -> Result<Vec<std::ffi::OsString>> {
    let own = command::run(Command::new("gcc").arg("-print-file-name=include"), None)?;
    let own = String::from_utf8_lossy(&own).trim().to_owned();
    Ok(vec!["-nostdinc".into(), "-isystem".into(), include.into(), "-isystem".into(), own.into()])
}
