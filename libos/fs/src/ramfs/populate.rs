//! Unpacking a cpio archive into a ramfs. File content stays where it is.

use super::RamInode;
use crate::dentry::Path;
use crate::device::makedev;
use crate::files::Files;
use crate::inode::{New, SetAttr};
use crate::root::or_exists;
use alloc::vec::Vec;
use libos_base::abi::DirFd;
use libos_base::abi::mode::*;
use libos_base::{Errno, Result, warn};
use unibody_proto::cpio::{Entry, entries};

/// Where boot parameters travel; not part of the program's files.
const PRIVATE: &[u8] = b".unibody";

/// Puts every entry of `archive` under the root, replacing entries of the same name. A damaged archive ends it with a
/// warning: the program will say what it is missing.
pub fn unpack(files: &Files, archive: &'static [u8]) -> Result<()> {
    let mut links = Links::new();
    for e in entries(archive) {
        match e {
            Ok(e) if is_private(&e) => {}
            Ok(e) => match add(files, &e, &mut links) {
                Ok(()) => {}
                Err(err @ (Errno::ENOSPC | Errno::ENOMEM)) => return Err(err),
                Err(err) => warn!("root file system: {}: {err}", libos_base::user::lossy(e.name)),
            },
            Err(_) => warn!("root file system: the archive is damaged; what follows is missing"),
        }
    }
    // Last, since adding anything to a directory changes its time.
    for e in entries(archive).flatten().filter(|e| e.mode & S_IFMT == S_IFDIR && !is_private(e)) {
        if let Ok(at) = files.lookup(DirFd::CWD, &name_of(&e)?, true) {
            set_meta(&at, &e)?;
        }
    }
    Ok(())
}

fn is_private(e: &Entry) -> bool {
    e.name == PRIVATE || e.name.starts_with(b".unibody/")
}

/// The name as a path from the root.
fn name_of(e: &Entry) -> Result<Vec<u8>> {
    let mut name = Vec::new();
    name.try_reserve(e.name.len() + 1)?;
    name.push(b'/');
    name.extend_from_slice(e.name);
    Ok(name)
}

/// Files that may have more names, in order: archives mostly keep them together.
type Links = Vec<((u32, (u32, u32), u32), Vec<u8>)>;

fn add(files: &Files, e: &Entry<'static>, links: &mut Links) -> Result<()> {
    let name = name_of(e)?;
    let kind = e.mode & S_IFMT;
    if kind == S_IFDIR {
        return make_dirs(files, &name);
    }
    if let Some(end) = name.iter().rposition(|&c| c == b'/')
        && end > 0
        && files.lookup(DirFd::CWD, &name[..end], true).is_err()
    {
        make_dirs(files, &name[..end])?;
    }
    let linked = kind == S_IFREG && e.nlink > 1;
    let key = (e.archive, e.dev, e.ino);
    let known = links.binary_search_by(|(k, _)| k.cmp(&key));
    if linked && let Ok(at) = known {
        let first = files.lookup(DirFd::CWD, &links[at].1, false)?;
        let _ = files.unlink(DirFd::CWD, &name, false);
        files.link(first.clone(), DirFd::CWD, &name)?;
        return set_meta(&first, e);
    }
    let rdev = makedev(u64::from(e.rdev.0), u64::from(e.rdev.1));
    let target = if kind == S_IFLNK { e.data } else { &[] };
    let new = New { mode: e.mode, rdev, target };
    if files.make_node(DirFd::CWD, &name, new).is_err_and(|e| e == Errno::EEXIST) {
        files.unlink(DirFd::CWD, &name, false)?;
        files.make_node(DirFd::CWD, &name, new)?;
    }
    let at = files.lookup(DirFd::CWD, &name, false)?;
    if let (true, Err(place)) = (linked, known) {
        links.try_reserve(1)?;
        links.insert(place, (key, name));
    }
    set_meta(&at, e)
}

fn set_meta(at: &Path, e: &Entry<'static>) -> Result<()> {
    at.inode().set_attr(&SetAttr { mode: Some(e.mode & 0o7777), ..SetAttr::default() })?;
    if let Some(i) = at.inode().downcast::<RamInode>() {
        if e.mode & S_IFMT == S_IFREG && !e.data.is_empty() {
            i.set_base(e.data);
        }
        i.set_meta(e.uid, e.gid, i64::from(e.mtime));
    }
    Ok(())
}

/// `mkdir -p`.
pub fn make_dirs(files: &Files, path: &[u8]) -> Result<()> {
    let ends = path.iter().enumerate().skip(1).filter(|(_, c)| **c == b'/').map(|(i, _)| i);
    for end in ends.chain([path.len()]) {
        if end > 1 {
            or_exists(files.mkdir(DirFd::CWD, &path[..end], 0o755))?;
        }
    }
    Ok(())
}
