//! Turns what the user typed into an image file.

use crate::{image, ports, sysroot};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// A word with '/' is a file; a bare word is a file if there is an ELF file of that name, else a port, which is built
/// first unless it already is; `with`: the kernel components that are needed.
pub fn image(word: &Path, with: Vec<String>, yes: bool) -> Result<PathBuf> {
    let text = word.to_string_lossy();
    if text.contains('/') || image::looks_like_elf(word) {
        return Ok(word.to_owned());
    }
    if ports::exists(None, &text) {
        let sysroot = sysroot::Options { yes, ..sysroot::Options::default() };
        return ports::cached_image(&text, &ports::Options { sysroot, with, ..ports::Options::default() });
    }
    if word.is_file() {
        // Opening it will report what is wrong with it.
        return Ok(word.to_owned());
    }
    bail!("there is neither an image file nor a port named '{text}'; `unibody ports` lists the ports")
}
