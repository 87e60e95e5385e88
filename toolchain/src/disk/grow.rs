//! `unibody disk grow`: a larger disk with the same files.
//!
//! A larger volume may need another kind of FAT, so the files are copied to a new one, which takes the old one's place at
//! the end: whatever happens before leaves the old disk as it was.

use super::create::{check_size, format, unnamed};
use super::hold::Hold;
use super::volume::{self, Entry};
use anyhow::{Context, Result, ensure};
use fatfs::{Dir, FileSystem, FsOptions, StdIoWrapper};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

type Reader = FileSystem<StdIoWrapper<OnlyRead>>;
type Writer<'a> = FileSystem<StdIoWrapper<&'a File>>;

/// The result of growing a disk.
pub struct Grown {
    /// Files and folders on it.
    pub entries: usize,
    /// Bytes before.
    pub before: u64,
}

/// Grows the disk `path` to this size. Its files, their times and attributes stay.
pub fn grow(path: &Path, size: u64) -> Result<Grown> {
    check_size(size)?;
    let shown = path.display();
    let file = File::options().read(true).write(true).open(path).with_context(|| format!("cannot open {shown}"))?;
    let meta = file.metadata()?;
    ensure!(meta.is_file(), "{shown} is not a file: only disks in files can grow");
    let before = meta.len();
    ensure!(size >= before, "{shown} has {before} bytes already: a disk cannot shrink to {size}");
    let held = Hold::take(file, path)?;
    let file = held.file();
    volume::check_kind(file).with_context(|| format!("{shown} stays as it is"))?;
    let damaged = || format!("{shown} is damaged, and stays as it is (`fsck.vfat -n` tells more)");
    let old = volume::walk(file).with_context(damaged)?;
    if size == before {
        return Ok(Grown { entries: old.len(), before });
    }
    let real = path.canonicalize()?;
    let folder = real.parent().context("a file is in a folder")?;
    let fail = || format!("cannot make the larger {shown}");
    let new = unnamed(folder).with_context(fail)?;
    new.file().set_len(size).with_context(fail)?;
    format(new.file()).with_context(fail)?;
    copy(file, new.file()).with_context(fail)?;
    restore(&old, new.file()).with_context(fail)?;
    volume::count_free(new.file()).with_context(fail)?;
    new.file().set_permissions(Permissions::from_mode(meta.mode() & 0o7777)).with_context(fail)?;
    // Only root can give a file away; for other users the new file has the right owner already.
    let _ = std::os::unix::fs::fchown(new.file(), Some(meta.uid()), Some(meta.gid()));
    new.file().sync_all().with_context(fail)?;
    new.replace(&real).with_context(fail)?;
    File::open(folder)?.sync_all().with_context(fail)?;
    Ok(Grown { entries: old.len(), before })
}

/// Copies everything from one volume to an empty one.
fn copy(from: &File, to: &File) -> Result<()> {
    let from = OnlyRead(BufReader::with_capacity(64 << 10, reopen(from)?));
    let from: Reader = FileSystem::new(StdIoWrapper::from(from), FsOptions::new()).map_err(said)?;
    let to: Writer = FileSystem::new(StdIoWrapper::from(to), FsOptions::new()).map_err(said)?;
    copy_folder(&from.root_dir(), &to.root_dir())?;
    to.unmount().map_err(said)
}

fn copy_folder(
    from: &Dir<'_, StdIoWrapper<OnlyRead>, fatfs::DefaultTimeProvider, fatfs::LossyOemCpConverter>,
    to: &Dir<'_, StdIoWrapper<&File>, fatfs::DefaultTimeProvider, fatfs::LossyOemCpConverter>,
) -> Result<()> {
    for entry in from.iter() {
        let entry = entry.map_err(said)?;
        let name = entry.file_name();
        if name == "." || name == ".." {
            continue;
        }
        let fail = || format!("cannot copy {name}");
        if entry.is_dir() {
            copy_folder(&entry.to_dir(), &to.create_dir(&name).map_err(said).with_context(fail)?)?;
            continue;
        }
        let (mut source, mut target) = (entry.to_file(), to.create_file(&name).map_err(said).with_context(fail)?);
        std::io::copy(&mut source, &mut target).with_context(fail)?;
    }
    Ok(())
}

/// Gives the copies the times and attributes of the originals: the crate sets neither attributes nor all times.
fn restore(old: &[Entry], new: &File) -> Result<()> {
    let copies = volume::walk(new)?;
    let same = |(a, b): (&Entry, &Entry)| (a.is_dir(), a.size()) == (b.is_dir(), b.size());
    ensure!(copies.len() == old.len() && old.iter().zip(&copies).all(same), "the copy is not like the original");
    for (from, to) in old.iter().zip(&copies) {
        let mut raw = to.raw;
        // Attributes; created, read; written. Between them is the case of the short name, which is the copy's own, and
        // the upper half of the cluster number.
        for part in [11..12, 13..20, 22..26] {
            raw[part.clone()].copy_from_slice(&from.raw[part]);
        }
        new.write_all_at(&raw, to.offset)?;
    }
    Ok(())
}

fn said<E: std::fmt::Display>(error: fatfs::Error<E>) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

/// The same file with a position of its own.
fn reopen(file: &File) -> Result<File> {
    use std::os::fd::AsRawFd;
    Ok(OpenOptions::new().read(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()))?)
}

/// A volume that is only read: the crate would record on it that it was mounted and when files were read.
struct OnlyRead(BufReader<File>);

impl Read for OnlyRead {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}
impl Seek for OnlyRead {
    fn seek(&mut self, pos: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(pos)
    }
}
impl Write for OnlyRead {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        // Discarded: whatever the crate reads back of it does not matter here.
        self.0.seek_relative(buf.len() as i64)?;
        Ok(buf.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::create;

    const MIB: u64 = 1 << 20;

    fn fill(path: &Path, files: usize) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let fs: Writer = FileSystem::new(StdIoWrapper::from(&file), FsOptions::new()).unwrap();
        let dir = fs.root_dir().create_dir("Ordner mit Umlauten äöü").unwrap();
        dir.create_dir("leer").unwrap();
        for n in 0..files {
            let mut f = dir.create_file(&format!("file number {n}.data")).unwrap();
            f.write_all(&vec![n as u8; n * 7919 % 50_000]).unwrap();
        }
        fs.root_dir().create_file("empty").unwrap();
        drop(dir);
        fs.unmount().unwrap();
    }

    fn check(path: &Path, files: usize) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let fs: Writer = FileSystem::new(StdIoWrapper::from(&file), FsOptions::new()).unwrap();
        let dir = fs.root_dir().open_dir("Ordner mit Umlauten äöü").unwrap();
        for n in 0..files {
            let mut bytes = Vec::new();
            dir.open_file(&format!("file number {n}.data")).unwrap().read_to_end(&mut bytes).unwrap();
            assert!(bytes == vec![n as u8; n * 7919 % 50_000], "{n}");
        }
        assert!(dir.open_dir("leer").is_ok() && fs.root_dir().open_file("empty").is_ok());
        crate::disk::tests::check(path);
    }

    #[test]
    fn grows_from_kind_to_kind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d, e:f.img");
        create(&path, 4 * MIB).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        fill(&path, 60);
        // An old, read-only file.
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let old = volume::walk(&file).unwrap();
        let mut raw = old[5].raw;
        raw[11] = 0x21;
        raw[22..26].copy_from_slice(&[1, 2, 3, 4]);
        file.write_all_at(&raw, old[5].offset).unwrap();
        drop(file);
        for size in [64 * MIB, 600 * MIB, 601 * MIB] {
            let grown = grow(&path, size).unwrap();
            assert_eq!(grown.entries, 63);
            assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
            check(&path, 60);
        }
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!(meta.mode() & 0o777, 0o640);
        assert!(meta.blocks() * 512 < 16 * MIB, "sparse");
        let new = volume::walk(&File::open(&path).unwrap()).unwrap();
        assert_eq!((new[5].raw[11], &new[5].raw[22..26]), (0x21, &[1, 2, 3, 4][..]));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn refuses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.img");
        let why = |size| format!("{:#}", grow(&path, size).err().unwrap());
        assert!(why(8 * MIB).contains("cannot open"));
        create(&path, 4 * MIB).unwrap();
        fill(&path, 5);
        assert!(why(2 * MIB).contains("cannot shrink"));
        assert!(why(4 * MIB + 1).contains("multiples of 512"));
        let held = Hold::take(File::options().read(true).write(true).open(&path).unwrap(), &path).unwrap();
        assert!(why(8 * MIB).contains("in use"));
        drop(held);
        let before = std::fs::read(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        // Only the first copy of the table.
        file.write_all_at(&[0x77], 512 + 9).unwrap();
        assert!(why(8 * MIB).contains("the copies of the allocation table differ"), "{}", why(8 * MIB));
        file.write_all_at(&before, 0).unwrap();
        file.write_all_at(&[0; 512], 0).unwrap();
        assert!(why(8 * MIB).contains("no FAT file system"));
        file.write_all_at(&[0x55, 0xaa], 510).unwrap();
        file.write_all_at(&[0x0c], 450).unwrap();
        assert!(why(8 * MIB).contains("it has partitions"), "{}", why(8 * MIB));
        file.write_all_at(&before, 0).unwrap();
        // As in FAT32: the 16-bit table length is zero, the 32-bit one is set.
        file.write_all_at(&[0, 0], 22).unwrap();
        file.write_all_at(&[9, 0, 0, 0], 36).unwrap();
        assert!(why(8 * MIB).contains("it is FAT32 with only"), "{}", why(8 * MIB));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4 * MIB);
    }
}
