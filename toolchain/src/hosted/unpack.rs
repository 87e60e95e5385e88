//! Unpacking an archive into a folder, without privileges and without leaving the folder.

use anyhow::{Context, Result, anyhow, bail};
use libos_abi::constants::mode::{S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use unibody_proto::cpio;

/// Unpacks files, folders and symbolic links; device nodes need privileges and are provided by other means.
pub fn unpack(archive: &[u8], root: &Path) -> Result<()> {
    // Modes and times of folders come last: a read-only one could not be filled, and filling one changes its time.
    let mut folders = Vec::new();
    let mut links: HashMap<_, PathBuf> = HashMap::new();
    for entry in cpio::entries(archive) {
        let entry = entry.map_err(|error| anyhow!("the archive is damaged ({error:?})"))?;
        let relative = Path::new(OsStr::from_bytes(entry.name));
        if entry.name.is_empty() || relative.starts_with(".unibody") {
            continue;
        }
        let path = parent_within(root, relative)?;
        let shown = || format!("/{}", relative.display());
        let mode = Permissions::from_mode(entry.mode & 0o7777);
        let old = path.symlink_metadata().ok();
        match entry.mode & S_IFMT {
            S_IFDIR => {
                if !old.is_some_and(|old| old.is_dir()) {
                    fs::create_dir(&path).with_context(shown)?;
                }
                folders.push((path, mode, modified(&entry)));
            }
            S_IFREG => {
                remove_file(&path, old.as_ref());
                let key = (entry.archive, entry.dev, entry.ino);
                if entry.nlink > 1
                    && let Some(first) = links.get(&key)
                {
                    fs::hard_link(first, &path).with_context(shown)?;
                    // An entry without data keeps the contents written under the first name.
                    if entry.data.is_empty() {
                        continue;
                    }
                } else if entry.nlink > 1 {
                    links.insert(key, path.clone());
                }
                fs::write(&path, entry.data).with_context(shown)?;
                let file = File::open(&path).with_context(shown)?;
                file.set_times(modified(&entry)).with_context(shown)?;
                file.set_permissions(mode).with_context(shown)?;
            }
            S_IFLNK => {
                remove_file(&path, old.as_ref());
                symlink(OsStr::from_bytes(entry.data), &path).with_context(shown)?;
            }
            _ => {}
        }
    }
    for (path, mode, times) in folders {
        // The unpacked folder must stay writable so that it can be removed at the end.
        fs::set_permissions(&path, Permissions::from_mode(mode.mode() | 0o700))?;
        File::open(&path)?.set_times(times)?;
    }
    Ok(())
}

fn modified(entry: &cpio::Entry) -> FileTimes {
    FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(entry.mtime.into()))
}

fn remove_file(path: &Path, old: Option<&fs::Metadata>) {
    if old.is_some_and(|old| !old.is_dir()) {
        // If this fails, so does what follows, with a better message.
        let _ = fs::remove_file(path);
    }
}

/// Where a path lies inside the root; creates missing folders on the way and never follows a symbolic link.
fn parent_within(root: &Path, relative: &Path) -> Result<PathBuf> {
    let mut path = root.to_owned();
    for part in relative.parent().into_iter().flat_map(Path::components) {
        path.push(part);
        match path.symlink_metadata() {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => bail!("/{}: a part of the way is no folder", relative.display()),
            Err(_) => fs::create_dir(&path)?,
        }
    }
    path.push(relative.file_name().unwrap_or_default());
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use unibody_proto::cpio_writer::{Meta, Writer};

    fn archive(files: &[(&str, u32, &str)]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for (name, mode, data) in files {
            let linked = name.starts_with("link");
            let meta = Meta {
                mode: *mode,
                nlink: if linked { 2 } else { 1 },
                ino: linked.then_some(5),
                mtime: 1_000_000_000,
                ..Meta::default()
            };
            writer.entry(name.as_bytes(), &meta, data.as_bytes()).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn files_links_and_replacement() {
        let root = tempfile::tempdir().unwrap();
        let first = archive(&[
            ("etc", S_IFDIR | 0o500, ""),
            ("etc/conf", S_IFREG | 0o640, "one"),
            ("deep/er/file", S_IFREG | 0o644, "x"),
            ("linkA", S_IFREG | 0o644, ""),
            ("linkB", S_IFREG | 0o644, "both"),
            ("s", S_IFLNK | 0o777, "etc/conf"),
            (".unibody/params", S_IFREG | 0o600, "x=y"),
        ]);
        unpack(&first, root.path()).unwrap();
        unpack(&archive(&[("etc/conf", S_IFREG | 0o600, "two"), ("s", S_IFREG | 0o600, "plain")]), root.path())
            .unwrap();
        let read = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
        assert_eq!((read("etc/conf"), read("s")), ("two".into(), "plain".into()));
        assert_eq!((read("linkA"), read("linkB"), read("deep/er/file")), ("both".into(), "both".into(), "x".into()));
        let meta = root.path().join("etc/conf").metadata().unwrap();
        assert_eq!(meta.permissions().mode() & 0o7777, 0o600);
        assert_eq!(meta.modified().unwrap(), UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        assert!(!root.path().join(".unibody").exists());
    }

    #[test]
    fn no_way_out() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let link = outside.path().to_str().unwrap();
        let error = unpack(&archive(&[("l", S_IFLNK | 0o777, link), ("l/x", S_IFREG | 0o644, "x")]), root.path());
        assert!(format!("{:#}", error.unwrap_err()).contains("no folder"));
        assert!(!outside.path().join("x").exists());
        assert!(unpack(b"07070junk", root.path()).unwrap_err().to_string().contains("is damaged"));
    }
}
