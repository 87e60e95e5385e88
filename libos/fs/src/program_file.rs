//! The program's own file: what `/proc/self/exe` and `argv[0]` name. In memory the image has been relocated and
//! modified, so the file's bytes come from whoever loaded it.

use crate::files::Files;
use crate::inode::New;
use crate::kernel_info::{exe, exe_size, read_exe};
use crate::ramfs::populate::make_dirs;
use alloc::sync::Arc;
use libos_base::Result;
use libos_base::abi::DirFd;
use libos_base::abi::mode::S_IFREG;
use libos_base::io::Sink;
use libos_base::layout::PAGE_SIZE;
use libos_base::page::Page;

/// The bytes from `pos` on, as far as `dst` has room.
pub(crate) fn read(mut pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
    let mut buf = [0; 1024];
    dst.pieces(|dst| {
        let n = size().saturating_sub(pos).min(dst.left().min(buf.len()) as u64) as usize;
        if n == 0 {
            return Ok(false);
        }
        read_exe(pos, &mut buf[..n])?;
        let put = dst.put(&buf[..n])?;
        pos += put as u64;
        Ok(put == n)
    })
}

/// A page for a mapping.
pub(crate) fn page(index: u64) -> Result<Option<Arc<Page>>> {
    let mut pos = index.saturating_mul(PAGE_SIZE as u64);
    if pos >= size() {
        return Ok(None);
    }
    let page = Page::new()?;
    for off in (0..PAGE_SIZE).step_by(1024) {
        let mut buf = [0; 1024];
        let n = size().saturating_sub(pos).min(1024);
        read_exe(pos, &mut buf[..n as usize])?;
        page.write(off, &buf);
        pos += n;
    }
    Ok(Some(page))
}

/// Length of the file.
pub(crate) fn size() -> u64 {
    exe_size().unwrap_or(0)
}

/// What marks it in [`New::target`].
const MARK: &[u8] = b"program";

/// Puts it into the namespace, unless an archive has something by that name.
pub(crate) fn make(files: &Files) -> Result<()> {
    let path = &exe()[..];
    if exe_size().is_none() || files.lookup(DirFd::CWD, path, false).is_ok() {
        return Ok(());
    }
    let end = path.iter().rposition(|&c| c == b'/').unwrap_or(0);
    make_dirs(files, &path[..end])?;
    files.make_node(DirFd::CWD, path, New { mode: S_IFREG | 0o755, rdev: 0, target: MARK }).map(|_| ())
}
