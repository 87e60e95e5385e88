//! The program's own file: what `/proc/self/exe` and `argv[0]` name. Memory holds the image as it was relocated and changed, so
//! the file's bytes come from whoever loaded it.

use crate::inode::New;
use crate::process::{AT_FDCWD, Process};
use crate::ramfs::populate::make_dirs;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::Result;
use libos_base::abi::mode::S_IFREG;
use libos_base::io::Sink;
use libos_base::layout::PAGE_SIZE;
use libos_base::page::Page;
use libos_base::sync::Once;

/// Where the bytes come from.
pub trait Source: Send + Sync {
    /// Length of the file.
    fn size(&self) -> u64;
    /// Fills `into` from `pos` on, which lies in the file with all of it.
    fn read(&self, pos: u64, into: &mut [u8]) -> Result<()>;
}

/// The bytes from `pos` on, as far as `dst` has room.
pub(crate) fn read(from: &dyn Source, mut pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
    let start = dst.done();
    let mut buf = [0; 1024];
    loop {
        let left = from.size().saturating_sub(pos).min(dst.left().min(buf.len()) as u64) as usize;
        let put = if left == 0 { Ok(0) } else { from.read(pos, &mut buf[..left]).and_then(|()| dst.put(&buf[..left])) };
        match put {
            Ok(n) => {
                pos += n as u64;
                if n == 0 || n < left {
                    return Ok(dst.done() - start);
                }
            }
            Err(e) if dst.done() == start => return Err(e),
            Err(_) => return Ok(dst.done() - start),
        }
    }
}

/// A page for a mapping.
pub(crate) fn page(from: &dyn Source, index: u64) -> Result<Option<Arc<Page>>> {
    let mut pos = index.saturating_mul(PAGE_SIZE as u64);
    if pos >= from.size() {
        return Ok(None);
    }
    let page = Page::new()?;
    for off in (0..PAGE_SIZE).step_by(1024) {
        let mut buf = [0; 1024];
        let n = from.size().saturating_sub(pos).min(1024);
        from.read(pos, &mut buf[..n as usize])?;
        page.write(off, &buf);
        pos += n;
    }
    Ok(Some(page))
}

static FILE: Once<(Vec<u8>, &'static dyn Source)> = Once::new();

/// There is such a file, at this path.
pub fn set(path: Vec<u8>, source: &'static dyn Source) {
    FILE.set(|| (path, source));
}

/// Its bytes.
pub(crate) fn source() -> Option<&'static dyn Source> {
    FILE.get().map(|f| f.1)
}

/// What marks it in [`New::target`].
const MARK: &[u8] = b"program";

/// Puts it into the name space, unless an archive brought something of that name.
pub(crate) fn make(p: &Process) -> Result<()> {
    let Some((path, _)) = FILE.get() else { return Ok(()) };
    if p.lookup(AT_FDCWD, path, false).is_ok() {
        return Ok(());
    }
    let end = path.iter().rposition(|&c| c == b'/').unwrap_or(0);
    make_dirs(p, &path[..end])?;
    p.make_node(AT_FDCWD, path, New { mode: S_IFREG | 0o755, rdev: 0, target: MARK }).map(|_| ())
}
