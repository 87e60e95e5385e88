//! Folders: copying them, and replacing them so that one is there at every moment.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Copies a folder's contents into another, which may exist. Permissions and symbolic links stay.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        let fail = || format!("cannot copy {} to {}", entry.path().display(), target.display());
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
            fs::set_permissions(&target, entry.metadata()?.permissions()).with_context(fail)?;
        } else {
            remove(&target)?;
            if kind.is_symlink() {
                std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target).with_context(fail)?;
            } else {
                fs::copy(entry.path(), &target).with_context(fail)?;
            }
        }
    }
    Ok(())
}

/// Moves the files below `from` over those below `to`, one atomic rename each.
pub fn move_over(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            move_over(&entry.path(), &target)?;
        } else {
            fs::rename(entry.path(), &target).with_context(|| format!("cannot replace {}", target.display()))?;
        }
    }
    Ok(())
}

/// Removes a file or folder; absence is fine.
pub fn remove(path: &Path) -> Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(m) if m.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Ok(()),
    };
    match result {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Creates the folder `path` by filling a temporary one beside it: either all of it is there or nothing.
pub fn build_dir(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let unfinished = unfinished(path);
    remove(&unfinished)?;
    fs::create_dir_all(&unfinished).with_context(|| format!("cannot make {}", unfinished.display()))?;
    fill(&unfinished)?;
    remove(path)?;
    fs::rename(&unfinished, path).with_context(|| format!("cannot make {}", path.display()))
}

/// Writes a file atomically: readers see either the old or the new contents.
pub fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    let unfinished = unfinished(path);
    fs::write(&unfinished, contents).with_context(|| format!("cannot write {}", unfinished.display()))?;
    fs::rename(&unfinished, path).with_context(|| format!("cannot write {}", path.display()))
}

/// The name, beside `path`, of what is to take its place.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_folder_never_shows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert!(
            build_dir(&path, |d| {
                fs::write(d.join("half"), "")?;
                anyhow::bail!("stop")
            })
            .is_err()
        );
        assert!(!path.exists());
        build_dir(&path, |d| Ok(fs::write(d.join("whole"), "")?)).unwrap();
        assert!(path.join("whole").exists() && !path.join("half").exists());
    }
}
