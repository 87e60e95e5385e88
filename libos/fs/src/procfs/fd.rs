//! `/proc/self/fd/N`: where it leads, and reopening objects that have no path.

use crate::console::ConsoleFile;
use crate::dentry::{Dentry, Path};
use crate::files::files;
use crate::inode::{FileSystem, Inode, SetAttr};
use crate::openfile::path_of;
use crate::pipe::PipeEnd;
use crate::root;
use crate::util::try_arc;
use alloc::sync::Arc;
use libos_base::abi::{Fd, OpenFlags, Stat, mode::*};
use libos_base::file::FileLike;
use libos_base::{Errno, Result};

/// The object behind a descriptor.
pub fn follow(n: Fd) -> Result<Path> {
    let file = files().fds.get_any(n).map_err(|_| Errno::ENOENT)?;
    if let Some(path) = path_of(&*file) {
        return Ok(path.clone());
    }
    let kind = file.stat()?.mode & S_IFMT;
    let mount = root::anonymous()?;
    let dentry = Dentry::anonymous(file.describe().as_bytes(), try_arc(Reached { file, kind })?)?;
    Ok(Path { mount, dentry })
}

/// An open description, presented as an object that can be opened.
struct Reached {
    file: Arc<dyn FileLike>,
    kind: u32,
}

impl Inode for Reached {
    fn kind(&self) -> u32 {
        self.kind
    }
    fn stat(&self) -> Result<Stat> {
        self.file.stat()
    }
    fn fs(&self) -> Arc<dyn FileSystem> {
        super::fs().clone()
    }
    fn set_attr(&self, attr: &SetAttr) -> Result<()> {
        self.file.set_attr(attr)
    }
    fn open(&self, path: &Path, flags: OpenFlags) -> Result<Option<Arc<dyn FileLike>>> {
        if let Some(c) = self.file.downcast::<ConsoleFile>() {
            return c.reopen(flags).map(Some);
        }
        if let Some(p) = self.file.downcast::<PipeEnd>() {
            return p.reopen(path, flags).map(Some);
        }
        Err(Errno::ENXIO)
    }
}
