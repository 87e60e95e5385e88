//! The program's own file, as the tool hands it to the VMM beside the kernel that it loads: `-kernel` gives the guest the
//! segments only, and those are relocated by now.

use crate::boot::parameters;
use alloc::vec::Vec;
use drivers::fw_cfg::{self, File, MOST};
use libos_base::sync::Once;
use libos_base::{Errno, Result};
use libos_fs::program_file::{self, Source};
use unibody_proto::IMAGE_FILE;

/// What `/proc/self/exe` says.
pub fn path() -> Vec<u8> {
    let mut name = parameters().argv0();
    while let Some(rest) = name.strip_prefix(b"./").or(name.strip_prefix(b"/")) {
        name = rest;
    }
    [b"/", name].concat()
}

/// Tells the file system of it, if the tool said that there is one.
pub fn register() {
    if let Some(size) = parameters().image_size {
        static IMAGE: Once<Image> = Once::new();
        program_file::set(path(), IMAGE.set(|| Image { size, file: Once::new() }));
    }
}

struct Image {
    size: u64,
    /// Looked for when it is first read.
    file: Once<Result<File>>,
}

impl Source for Image {
    fn size(&self) -> u64 {
        self.size
    }
    fn read(&self, mut pos: u64, into: &mut [u8]) -> Result<()> {
        let file = self.file.set(|| fw_cfg::find(IMAGE_FILE.as_bytes())).as_ref().map_err(|e| *e)?;
        for part in into.chunks_mut(MOST) {
            file.read(u32::try_from(pos).map_err(|_| Errno::EIO)?, part)?;
            pos += part.len() as u64;
        }
        Ok(())
    }
}
