//! The program's own file, which the tool hands to the VMM besides the kernel to load: `-kernel` gives the guest only
//! the segments, and those are relocated by now.

use crate::params::parameters;
use alloc::vec::Vec;
use drivers::fw_cfg::{self, File, MOST};
use libos_base::sync::Once;
use libos_base::{Errno, Result};
use unibody_proto::IMAGE_FILE;

/// The target of `/proc/self/exe`.
pub fn path() -> Vec<u8> {
    let mut name = parameters().argv0();
    while let Some(rest) = name.strip_prefix(b"./").or(name.strip_prefix(b"/")) {
        name = rest;
    }
    [b"/", name].concat()
}

/// Fills `into` from `pos` on.
pub fn read(mut pos: u64, into: &mut [u8]) -> Result<()> {
    /// Looked up when it is first read.
    static FILE: Once<Result<File>> = Once::new();
    let file = FILE.set(|| fw_cfg::find(IMAGE_FILE.as_bytes())).as_ref().map_err(|e| *e)?;
    for part in into.chunks_mut(MOST) {
        file.read(u32::try_from(pos).map_err(|_| Errno::EIO)?, part)?;
        pos += part.len() as u64;
    }
    Ok(())
}
