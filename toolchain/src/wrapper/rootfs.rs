//! A folder becomes the image's root file system: a cpio archive in an object file.

use crate::command;
use crate::image::tree::{Purpose, Tree};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes the object at `to` with the archive of `root` (an empty archive without it), from the assembler source `template`.
pub fn object(template: &Path, root: Option<&Path>, to: &Path) -> Result<()> {
    let work = tempfile::tempdir()?;
    fs::write(work.path().join("rootfs.cpio"), archive(root)?)?;
    let mut gcc = Command::new("gcc");
    gcc.current_dir(work.path()).args(["-DROOTFS=\"rootfs.cpio\"", "-c"]).arg(std::path::absolute(template)?);
    command::run(gcc.arg("-o").arg(std::path::absolute(to)?), None).map(drop)
}

fn archive(root: Option<&Path>) -> Result<Vec<u8>> {
    let mut tree = Tree::default();
    if let Some(root) = root {
        tree.folder(root, Purpose::Image).context("the image's root file system")?;
    }
    let mut archive = Vec::new();
    tree.write(&mut archive)?;
    Ok(archive)
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
