//! An open `/proc` file: its content as it was at `open`, so that several reads agree.

use crate::dentry::Path;
use crate::util::try_arc;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use libos_base::abi::{OpenFlags, Stat};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::sync::Mutex;
use libos_base::{Errno, Result};

struct Snapshot {
    path: Path,
    content: Vec<u8>,
    pos: Mutex<u64>,
    flags: AtomicU32,
}

/// Opens `content`.
pub fn open(path: &Path, flags: OpenFlags, content: Vec<u8>) -> Result<Arc<dyn FileLike>> {
    let flags = AtomicU32::new(flags.bits() & (OpenFlags::NONBLOCK.bits() | 3));
    Ok(try_arc(Snapshot { path: path.clone(), content, pos: Mutex::new(0), flags })?)
}

impl FileLike for Snapshot {
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        let mut pos = self.pos.lock();
        let n = self.read_at(*pos, dst)?;
        *pos += n as u64;
        Ok(n)
    }
    fn write(&self, _: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EIO)
    }
    fn read_at(&self, pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        let start = usize::try_from(pos).unwrap_or(usize::MAX).min(self.content.len());
        dst.put(&self.content[start..])
    }
    fn seek(&self, offset: i64, whence: u32) -> Result<u64> {
        let mut pos = self.pos.lock();
        let from = match whence {
            0 => 0,
            1 => *pos as i64,
            _ => return Err(Errno::EINVAL),
        };
        *pos = from.checked_add(offset).and_then(|p| u64::try_from(p).ok()).ok_or(Errno::EINVAL)?;
        Ok(*pos)
    }
    fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }
    fn set_flags(&self, flags: OpenFlags) -> Result<()> {
        crate::eventfd::set_anon_flags(&self.flags, flags)
    }
    fn stat(&self) -> Result<Stat> {
        self.path.inode().stat()
    }
    fn describe(&self) -> String {
        crate::openfile::describe(&self.path)
    }
}
