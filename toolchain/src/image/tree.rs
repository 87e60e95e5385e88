//! A tree of files that becomes a cpio archive: sorted, so that the same tree gives the same bytes.

use anyhow::{Context, Result, bail, ensure};
use libos_abi::constants::mode::{S_IFDIR, S_IFREG};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use unibody_proto::cpio_writer::{Meta, Writer};

/// What a folder is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `--rootfs`: all of it, with times. Parameters are left out (they come from options; a folder unpacked from an
    /// image must not change them), and so are sockets.
    Overlay,
    /// An image's own root: files, folders and symbolic links. No times: the same folder gives the same image.
    Image,
}

/// Files by their path from the root.
#[derive(Default)]
pub struct Tree(BTreeMap<Vec<u8>, (Meta, Content)>);

enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
    /// One of several names of a host file, with its device and inode number there.
    Linked(PathBuf, (u64, u64)),
}

impl Tree {
    /// Adds a file with its missing parent folders.
    pub fn file(&mut self, path: &str, mode: u32, bytes: Vec<u8>) {
        for (at, _) in path.match_indices('/') {
            let folder = Meta { mode: S_IFDIR | 0o755, ..Meta::default() };
            self.0.entry(path.as_bytes()[..at].to_vec()).or_insert((folder, Content::Bytes(Vec::new())));
        }
        let meta = Meta { mode: S_IFREG | mode, ..Meta::default() };
        self.0.insert(path.into(), (meta, Content::Bytes(bytes)));
    }

    /// Adds what is in a folder; all of it belongs to root.
    pub fn folder(&mut self, dir: &Path, purpose: Purpose) -> Result<()> {
        ensure!(dir.is_dir(), "{}: there is no such folder", dir.display());
        self.walk(dir, b"", purpose)
    }

    fn walk(&mut self, dir: &Path, prefix: &[u8], purpose: Purpose) -> Result<()> {
        let cannot = || format!("cannot read {}", dir.display());
        for item in std::fs::read_dir(dir).with_context(cannot)? {
            let path = item.with_context(cannot)?.path();
            let metadata = path.symlink_metadata().with_context(|| path.display().to_string())?;
            let name = path.file_name().unwrap_or_default().as_bytes();
            let inner = if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() };
            let kind = metadata.file_type();
            let plain = kind.is_file() || kind.is_dir() || kind.is_symlink();
            if purpose == Purpose::Image && !plain {
                let shown = path.display();
                bail!("{shown}: only files, folders and symbolic links go into an image, no sockets, pipes or devices");
            }
            if purpose == Purpose::Overlay && (inner == b".unibody" || kind.is_socket()) {
                continue;
            }
            let content = if kind.is_file() && metadata.nlink() > 1 {
                Content::Linked(path.clone(), (metadata.dev(), metadata.ino()))
            } else if kind.is_file() {
                Content::File(path.clone())
            } else if kind.is_symlink() {
                Content::Bytes(std::fs::read_link(&path)?.as_os_str().as_bytes().to_vec())
            } else {
                Content::Bytes(Vec::new())
            };
            let meta = match purpose {
                Purpose::Overlay => meta(&metadata),
                Purpose::Image => Meta { mode: metadata.mode(), ..Meta::default() },
            };
            self.0.insert(inner.clone(), (meta, content));
            if kind.is_dir() {
                self.walk(&path, &inner, purpose)?;
            }
        }
        Ok(())
    }

    /// Writes the archive.
    pub fn write(&self, out: impl Write) -> Result<()> {
        let mut writer = Writer::new(out);
        let read = |file: &Path| std::fs::read(file).with_context(|| format!("cannot read {}", file.display()));
        // For each file with several names: how many are in this tree, and how many of them were written.
        let mut names = BTreeMap::new();
        for (_, content) in self.0.values() {
            if let Content::Linked(_, file) = content {
                names.entry(*file).or_insert((0, 0)).0 += 1;
            }
        }
        let numbers: Vec<_> = names.keys().copied().collect();
        for (path, (meta, content)) in &self.0 {
            let name = || String::from_utf8_lossy(path).into_owned();
            let mut meta = *meta;
            let data = match content {
                Content::Bytes(bytes) => bytes,
                Content::File(file) => &read(file)?,
                Content::Linked(path, file) => {
                    let (all, done) = names.entry(*file).or_default();
                    *done += 1;
                    meta.nlink = *all;
                    meta.ino = numbers.binary_search(file).ok().map(|i| i as u32 + 1);
                    if done == all { &read(path)? } else { &Vec::new() }
                }
            };
            writer.entry(path, &meta, data).with_context(name)?;
        }
        writer.finish()?;
        Ok(())
    }
}

fn meta(metadata: &Metadata) -> Meta {
    let rdev = metadata.rdev();
    let mtime = u32::try_from(metadata.mtime()).unwrap_or(0);
    let rdev = (nix::sys::stat::major(rdev) as u32, nix::sys::stat::minor(rdev) as u32);
    Meta { mode: metadata.mode(), mtime, rdev, ..Meta::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libos_abi::constants::mode::S_IFLNK;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use unibody_proto::cpio::entries;

    #[test]
    fn a_folder_keeps_modes_and_links() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("b/c")).unwrap();
        std::fs::create_dir_all(dir.path().join(".unibody")).unwrap();
        std::fs::write(dir.path().join(".unibody/params"), "x").unwrap();
        std::fs::write(dir.path().join("b/c/run"), "#!/bin/sh").unwrap();
        std::fs::set_permissions(dir.path().join("b/c/run"), PermissionsExt::from_mode(0o4751)).unwrap();
        symlink("c/run", dir.path().join("b/link")).unwrap();
        let mut tree = Tree::default();
        tree.folder(dir.path(), Purpose::Overlay).unwrap();
        tree.file(".unibody/params", 0o600, b"p".to_vec());
        let archive = || {
            let mut out = Vec::new();
            tree.write(&mut out).unwrap();
            out
        };
        let bytes = archive();
        assert_eq!(bytes, archive());
        let all: Vec<_> = entries(&bytes).map(Result::unwrap).collect();
        let names: Vec<_> = all.iter().map(|e| std::str::from_utf8(e.name).unwrap()).collect();
        assert_eq!(names, [".unibody", ".unibody/params", "b", "b/c", "b/c/run", "b/link"]);
        assert_eq!((all[4].mode, all[4].data, all[4].uid), (S_IFREG | 0o4751, &b"#!/bin/sh"[..], 0));
        assert!(all[4].mtime > 1_600_000_000);
        assert_eq!((all[5].mode & 0o170000, all[5].data), (S_IFLNK, &b"c/run"[..]));
    }

    #[test]
    fn a_missing_folder() {
        let missing = Tree::default().folder(Path::new("/nonexistent"), Purpose::Overlay);
        assert!(missing.unwrap_err().to_string().contains("no such folder"));
    }
}
