//! A folder becomes the image's root file system: a cpio archive in an object file.

use crate::command;
use anyhow::{Context, Result};
use libos_abi::constants::mode::{S_IFDIR, S_IFLNK, S_IFREG};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use unibody_proto::cpio_writer::{Meta, Writer};

/// Makes the object at `to` with the archive of `root` (an empty archive without it), from the assembler source `template`.
pub fn object(template: &Path, root: Option<&Path>, to: &Path) -> Result<()> {
    let work = tempfile::tempdir()?;
    fs::write(work.path().join("rootfs.cpio"), archive(root)?)?;
    let mut gcc = Command::new("gcc");
    gcc.current_dir(work.path()).args(["-DROOTFS=\"rootfs.cpio\"", "-c"]).arg(std::path::absolute(template)?);
    command::run(gcc.arg("-o").arg(std::path::absolute(to)?), None).map(drop)
}

/// The archive. The same folder gives the same bytes: sorted, no times, owned by root; modes stay.
pub fn archive(root: Option<&Path>) -> Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new());
    if let Some(root) = root {
        anyhow::ensure!(root.is_dir(), "the root file system {} is not a folder", root.display());
        add(&mut writer, root, b"")?;
    }
    Ok(writer.finish()?)
}

fn add(writer: &mut Writer<Vec<u8>>, dir: &Path, prefix: &[u8]) -> Result<()> {
    let fail = || format!("cannot read {}", dir.display());
    let mut entries = fs::read_dir(dir).with_context(fail)?.collect::<Result<Vec<_>, _>>().with_context(fail)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), [prefix, entry.file_name().as_bytes()].concat());
        let meta = entry.metadata()?;
        let kind = meta.file_type();
        let permissions = meta.mode() & 0o7777;
        let cannot = || format!("cannot put {} into the image", path.display());
        let mut write =
            |mode: u32, data: &[u8]| writer.entry(&name, &Meta { mode, ..Meta::default() }, data).with_context(cannot);
        if kind.is_dir() {
            write(S_IFDIR | permissions, b"")?;
            add(writer, &path, &[&name[..], b"/"].concat())?;
        } else if kind.is_symlink() {
            write(S_IFLNK | 0o777, fs::read_link(&path)?.as_os_str().as_bytes())?;
        } else if kind.is_file() {
            write(S_IFREG | permissions, &fs::read(&path).with_context(cannot)?)?;
        } else {
            let what = if kind.is_socket() {
                "a socket"
            } else if kind.is_fifo() {
                "a pipe"
            } else {
                "a device"
            };
            anyhow::bail!("{} is {what}: only files, folders and symbolic links go into an image", path.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use unibody_proto::cpio;

    #[test]
    fn sorted_and_without_times() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("b/file"), "x").unwrap();
        fs::write(dir.path().join("a"), "y").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("c")).unwrap();
        let first = archive(Some(dir.path())).unwrap();
        fs::write(dir.path().join("a"), "y").unwrap();
        assert_eq!(first, archive(Some(dir.path())).unwrap());
        assert_eq!(cpio::entries(&first).count(), 4);
        assert_eq!(cpio::entries(&archive(None).unwrap()).count(), 0);
    }
}
