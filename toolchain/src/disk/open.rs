//! Opening the disks of a VM; those that do not exist are created.

use super::create::create;
use super::hold::Hold;
use super::wanted::Wanted;
use crate::failure::usage;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

/// Size of a new disk without `--disk-size`.
const DEFAULT_SIZE: u64 = 64 << 20;

/// A disk that can be attached. It is locked for as long as this lives.
pub struct Disk {
    /// The file, absolute.
    pub file: PathBuf,
    /// The serial number with which the guest finds it.
    pub serial: String,
    /// Whether it is read-only.
    pub read_only: bool,
    /// The guest's boot parameter: `SERIAL:PATH:FS[:ro][:partition=N]`.
    pub parameter: String,
    _held: Hold,
}

/// Opens or creates all disks.
pub fn open_all(wanted: &[Wanted], size: Option<u64>, say: &mut dyn FnMut(&str)) -> Result<Vec<Disk>> {
    for (number, one) in wanted.iter().enumerate() {
        if let Some(other) = wanted[..number].iter().find(|other| other.path == one.path) {
            return Err(usage(format!("--disk: {other} and {one} are mounted at the same place")));
        }
        let file = |wanted: &Wanted| std::fs::canonicalize(&wanted.file).ok();
        let here = file(one);
        if let Some(other) = wanted[..number].iter().find(|other| here.is_some() && file(other) == here) {
            return Err(usage(format!("--disk: {other} and {one} are the same file; a disk is mounted once")));
        }
    }
    wanted.iter().enumerate().map(|(number, one)| open(one, number, size, say)).collect()
}

fn open(wanted: &Wanted, number: usize, size: Option<u64>, say: &mut dyn FnMut(&str)) -> Result<Disk> {
    let shown = wanted.file.display();
    if !wanted.file.exists() {
        if wanted.file.is_symlink() {
            bail!("--disk {shown}: the symbolic link leads to no file; remove it, or make the file it leads to");
        }
        create(&wanted.file, size.unwrap_or(DEFAULT_SIZE))?;
        say(&format!("made {shown}: {} MiB, FAT", size.unwrap_or(DEFAULT_SIZE) >> 20));
    }
    let (file, read_only) = match File::options().read(true).write(true).open(&wanted.file) {
        // Root may write to anything; a file marked read-only is respected all the same.
        Ok(file) if !file.metadata()?.permissions().readonly() => (file, false),
        Ok(_) => {
            say(&format!("{shown} is read-only: the guest can only read it"));
            (File::open(&wanted.file)?, true)
        }
        Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            let file = File::open(&wanted.file).with_context(|| format!("--disk {shown}"))?;
            say(&format!("{shown} may not be written: the guest can only read it"));
            (file, true)
        }
        Err(e) => return Err(e).with_context(|| format!("--disk {shown}")),
    };
    let meta = file.metadata()?;
    if !meta.is_file() && !meta.file_type().is_block_device() {
        bail!("--disk {shown}: this is neither a file nor a block device");
    }
    if meta.is_file() && meta.len() == 0 {
        bail!("--disk {shown}: the file is empty; remove it, and a disk is made in its place");
    }
    if let Some(size) = size.filter(|size| meta.is_file() && *size != meta.len()) {
        bail!(
            "--disk {shown} has {} bytes, not the {size} of --disk-size; `unibody disk grow {shown} SIZE` makes it larger",
            meta.len()
        );
    }
    let path = std::fs::canonicalize(&wanted.file)?;
    ensure!(path.to_str().is_some(), "--disk {shown}: the name of a disk's file has to be UTF-8");
    let held = Hold::take(file, &wanted.file)?;
    let ro = if read_only { ":ro" } else { "" };
    let partition = wanted.partition.map(|n| format!(":partition={n}")).unwrap_or_default();
    let serial = format!("disk{number}");
    let parameter = format!("{serial}:{}:fat{ro}{partition}", wanted.path);
    Ok(Disk { file: path, serial, read_only, parameter, _held: held })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fatfs::StdIoWrapper;
    use std::path::Path;

    #[test]
    fn made_once_with_a_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("d.img");
        let wanted = Wanted { file: file.clone(), path: "/data".into(), partition: None };
        let disks = open_all(std::slice::from_ref(&wanted), Some(8 << 20), &mut |_| {}).unwrap();
        assert_eq!(disks[0].parameter, "disk0:/data:fat");
        let fs =
            fatfs::FileSystem::new(StdIoWrapper::from(File::open(&file).unwrap()), fatfs::FsOptions::new()).unwrap();
        assert_eq!(fs.root_dir().iter().count(), 0);
        let error = open_all(std::slice::from_ref(&wanted), None, &mut |_| {}).err().unwrap().to_string();
        assert!(error.contains("in use by another process"), "{error}");
        drop(disks);
        let error = open_all(std::slice::from_ref(&wanted), Some(9 << 20), &mut |_| {}).err().unwrap().to_string();
        assert!(error.contains("disk grow"), "{error}");
        let why = |other: &Path| {
            let other = Wanted { file: other.to_owned(), path: "/other".into(), partition: None };
            open_all(&[wanted.clone(), other], None, &mut |_| panic!("nothing is made")).err().unwrap().to_string()
        };
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("d.img", &link).unwrap();
        assert!(why(&link).contains("are the same file"), "{}", why(&link));
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("nothing", &link).unwrap();
        assert!(why(&link).contains("leads to no file"), "{}", why(&link));
        assert!(why(&dir.path().join("no/x.img")).contains("there is no folder"));
    }
}
