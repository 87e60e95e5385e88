//! Kinds of file systems that can be mounted, by name.

use crate::inode::Inode;
use alloc::string::String;
use alloc::sync::Arc;
use core::ptr;
use libos_base::sync::Provider;
use libos_base::{Errno, Result};

/// A kind of file system.
pub struct FileSystem {
    /// Names by which it can be mounted.
    pub names: &'static [&'static str],
    /// Opens one.
    pub open: fn(&Request<'_>) -> Result<Opened>,
    next: Provider<FileSystem>,
}

/// What is to be mounted, and how.
pub struct Request<'a> {
    /// Where the file system is, in whatever form its kind understands.
    pub source: &'a [u8],
    pub read_only: bool,
    /// `NAME=VALUE` and the like; EINVAL if one is unknown.
    pub options: &'a [&'a [u8]],
}

/// An opened file system.
pub struct Opened {
    pub root: Arc<dyn Inode>,
    /// The source as shown in `/proc/mounts`.
    pub source: String,
    /// As requested, or because it is not writable.
    pub read_only: bool,
}

static FIRST: Provider<FileSystem> = Provider::new();

impl FileSystem {
    /// A kind, for use in a static.
    pub const fn new(names: &'static [&'static str], open: fn(&Request<'_>) -> Result<Opened>) -> Self {
        Self { names, open, next: Provider::new() }
    }
    /// Makes it available for mounting.
    pub fn register(&'static self) {
        let mut at = &FIRST;
        loop {
            at.provide(self);
            match at.get() {
                Some(other) if !ptr::eq(other, self) => at = &other.next,
                _ => return,
            }
        }
    }
}

/// Mounts a file system of this kind at `path`, where a directory is created if there is none. ENODEV: no such kind.
pub fn mount(kind: &[u8], path: &[u8], request: &Request<'_>) -> Result<()> {
    let all = core::iter::successors(FIRST.get(), |k| k.next.get());
    let kind = all.into_iter().find(|k| k.names.iter().any(|n| n.as_bytes() == kind)).ok_or(Errno::ENODEV)?;
    let opened = (kind.open)(request)?;
    crate::root::mount(path, opened.root, &opened.source, opened.read_only)
}

#[cfg(test)]
#[test]
fn kinds_are_found_by_name() {
    static ONE: FileSystem = FileSystem::new(&["one"], |_| Err(Errno::EROFS));
    static TWO: FileSystem =
        FileSystem::new(&["two", "zwei"], |r| Err(if r.read_only { Errno::EPERM } else { Errno::EIO }));
    let try_one = |kind: &[u8], read_only| mount(kind, b"/mnt", &Request { source: b"", read_only, options: &[] });
    assert_eq!(try_one(b"one", false), Err(Errno::ENODEV));
    for kind in [&ONE, &TWO, &ONE] {
        kind.register();
    }
    assert_eq!(try_one(b"one", false), Err(Errno::EROFS));
    assert_eq!(try_one(b"zwei", true), Err(Errno::EPERM));
    assert_eq!(try_one(b"two", false), Err(Errno::EIO));
    assert_eq!(try_one(b"three", false), Err(Errno::ENODEV));
}
