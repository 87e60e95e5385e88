//! `--disk`: files that are disks of the guest, made and formatted when they are not there.

use crate::failure::usage;
use crate::state::{self, record::Record};
use anyhow::{Context, Result, bail};
use fatfs::{FormatVolumeOptions, StdIoWrapper};
use nix::fcntl::{AT_FDCWD, AtFlags, FcntlArg, Flock, FlockArg, OFlag, fcntl};
use nix::libc;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, Permissions};
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tempfile::NamedTempFile;
use unibody_proto::number;

/// Size of a disk that is made when `--disk-size` says nothing.
const DEFAULT_SIZE: u64 = 64 << 20;
/// Below this there is no room for a FAT volume worth the name.
const LEAST_SIZE: u64 = 128 << 10;
/// FAT counts sectors of 512 bytes with 32 bits.
const MOST_SIZE: u64 = 512 * u32::MAX as u64;

/// One `--disk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The disk's file.
    pub file: PathBuf,
    /// Where the guest mounts it.
    pub path: String,
    /// What is on it.
    pub fs: Fs,
    /// Its partition with that on it, if that was said.
    pub partition: Option<u32>,
}

/// A file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fs {
    /// FAT12, FAT16 or FAT32, as the size asks for.
    Fat,
}

impl FromStr for Wanted {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "expected FILE:/path[:fat][:partition=N]";
        let (file, rest) = text.rsplit_once(":/").ok_or(FORM)?;
        let mut words = rest.split(':');
        let path = words.next().unwrap_or_default();
        let mut partition = None;
        for word in words {
            match word.strip_prefix("partition=").map(str::parse) {
                Some(Ok(number @ 1..)) => partition = Some(number),
                Some(_) => return Err(format!("'{word}': partitions are numbered from 1; {FORM}")),
                None if matches!(word, "fat" | "vfat") => {}
                None => return Err(format!("'{word}' is no file system that is known here; {FORM}")),
            }
        }
        if file.is_empty() {
            return Err(FORM.to_owned());
        }
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.is_empty() || parts.iter().any(|part| matches!(*part, "." | "..")) {
            return Err(format!("a disk is mounted on a folder below /, without . and ..; {FORM}"));
        }
        Ok(Self { file: file.into(), path: format!("/{}", parts.join("/")), fs: Fs::Fat, partition })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.path)
    }
}

/// A disk that can be attached. It is locked for as long as this lives.
pub struct Disk {
    /// The file, absolute.
    pub file: PathBuf,
    /// Only reading is possible.
    pub read_only: bool,
    /// What the guest is told: `SERIAL:PATH:FS[:ro][:partition=N]`.
    pub parameter: String,
    _held: Hold,
}

/// A disk's file that nobody else uses: other commands of ours see the lock, and QEMU's own was looked for.
pub struct Hold(Flock<File>);

impl Hold {
    /// Takes the file for this process alone (a file that was opened for reading: together with other readers).
    pub fn take(file: File, shown: &Path) -> Result<Self> {
        let path = std::fs::canonicalize(shown)?;
        let writes = fcntl(&file, FcntlArg::F_GETFL)? & OFlag::O_ACCMODE.bits() == OFlag::O_RDWR.bits();
        let how = if writes { FlockArg::LockExclusiveNonblock } else { FlockArg::LockSharedNonblock };
        let held = Flock::lock(file, how).map_err(|(_, _)| in_use(shown, &path))?;
        // A QEMU that was started by hand locks bytes of the file for as long as it has it open.
        let kind = if writes { libc::F_WRLCK } else { libc::F_RDLCK } as libc::c_short;
        let mut other = libc::flock { l_type: kind, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        let asked = fcntl(&*held, FcntlArg::F_OFD_GETLK(&mut other));
        if writes && asked.is_ok() && other.l_type != libc::F_UNLCK as libc::c_short {
            return Err(in_use(shown, &path));
        }
        Ok(Self(held))
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.0
    }
}

/// The serial number by which the guest finds disk `number`, and QEMU's name for it.
pub fn serial(number: usize) -> String {
    format!("disk{number}")
}

/// Opens, or makes, all disks.
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
    let mut disks = Vec::new();
    for (number, one) in wanted.iter().enumerate() {
        disks.push(open(one, number, size, say)?);
    }
    Ok(disks)
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
        // Root may write to everything; what says that it is not to be written is left alone all the same.
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
    if path.to_str().is_none() {
        bail!("--disk {shown}: the name of a disk's file has to be UTF-8");
    }
    let held = Hold::take(file, &wanted.file)?;
    let fs = match wanted.fs {
        Fs::Fat => "fat",
    };
    let ro = if read_only { ":ro" } else { "" };
    let partition = wanted.partition.map(|n| format!(":partition={n}")).unwrap_or_default();
    let parameter = format!("{}:{}:{fs}{ro}{partition}", serial(number), wanted.path);
    Ok(Disk { file: path, read_only, parameter, _held: held })
}

/// The failure for a disk that another process holds, with the VM's name where it is one of ours.
fn in_use(file: &Path, path: &Path) -> anyhow::Error {
    let holds = |record: &Record| record.disks.iter().any(|disk| Path::new(disk) == path);
    let others = state::list().unwrap_or_default();
    let holder = others.iter().find(|entry| entry.running && holds(&entry.record));
    match holder.map(|entry| &entry.record.name) {
        Some(name) => anyhow::anyhow!(
            "--disk {}: in use by the VM '{name}'; one VM at a time may have it (`unibody stop {name}`)",
            file.display()
        ),
        None => anyhow::anyhow!("--disk {}: in use by another process; one VM at a time may have it", file.display()),
    }
}

/// Makes a disk: sparse, formatted, and there only when it is whole.
pub fn create(path: &Path, size: u64) -> Result<()> {
    check_size(size)?;
    let fail = || format!("cannot make the disk {}", path.display());
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.exists() {
        bail!("cannot make the disk {}: there is no folder {} (it is not created)", path.display(), folder.display());
    }
    let new = unnamed(folder).with_context(fail)?;
    new.file().set_len(size).with_context(fail)?;
    format(new.file()).with_context(fail)?;
    new.file().sync_all().with_context(fail)?;
    match new.appear(path) {
        // Somebody else made it in between: theirs is taken.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.with_context(fail),
    }
}

/// A file without a name, where the file system has such; a process that is ended then leaves nothing behind.
pub enum Unnamed {
    /// Nowhere yet.
    Hidden(File, PathBuf),
    /// Removed when dropped.
    Temporary(NamedTempFile),
}

const PREFIX: &str = ".unibody-disk-";

/// A new file in this folder.
pub fn unnamed(folder: &Path) -> std::io::Result<Unnamed> {
    // As any new file: what umask leaves of rw-rw-rw-.
    const MODE: u32 = 0o666;
    let mut options = File::options();
    options.read(true).write(true).mode(MODE).custom_flags(OFlag::O_TMPFILE.bits());
    if let Ok(file) = options.open(folder) {
        return Ok(Unnamed::Hidden(file, folder.to_owned()));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).permissions(Permissions::from_mode(MODE)).tempfile_in(folder).map(Unnamed::Temporary)
}

impl Unnamed {
    /// The file.
    pub fn file(&self) -> &File {
        match self {
            Self::Hidden(file, _) => file,
            Self::Temporary(file) => file.as_file(),
        }
    }

    /// Gives it its name, which must be free.
    pub fn appear(self, path: &Path) -> std::io::Result<()> {
        match self {
            Self::Hidden(file, _) => link(&file, path),
            Self::Temporary(file) => file.persist_noclobber(path).map(drop).map_err(|e| e.error),
        }
    }

    /// Puts it in the place of another file.
    pub fn replace(self, path: &Path) -> std::io::Result<()> {
        match self {
            Self::Hidden(file, folder) => {
                let between = folder.join(format!("{PREFIX}{}", std::process::id()));
                link(&file, &between)?;
                std::fs::rename(&between, path)
            }
            Self::Temporary(file) => file.persist(path).map(drop).map_err(|e| e.error),
        }
    }
}

fn link(file: &File, path: &Path) -> std::io::Result<()> {
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(nix::unistd::linkat(AT_FDCWD, from.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?)
}

/// Refuses what FAT cannot be.
pub fn check_size(size: u64) -> Result<()> {
    if !size.is_multiple_of(512) || !(LEAST_SIZE..=MOST_SIZE).contains(&size) {
        return Err(usage(format!(
            "a disk has from 128K to 2047G, in multiples of 512 bytes; {size} is not such a size"
        )));
    }
    Ok(())
}

/// Writes an empty FAT volume to a file of zeros.
pub fn format(mut file: &File) -> Result<()> {
    let mut id = [0; 4];
    File::open("/dev/urandom")?.read_exact(&mut id)?;
    let mut options = FormatVolumeOptions::new().volume_label(*b"UNIBODY    ").volume_id(u32::from_le_bytes(id));
    // Clusters as long as a page where FAT16 allows it: half the allocations of the usual 2 KiB.
    if (16 << 20..256 << 20).contains(&file.metadata()?.len()) {
        options = options.bytes_per_cluster(4096);
    }
    fatfs::format_volume(&mut StdIoWrapper::from(&mut file), options).map_err(|e| anyhow::anyhow!("{e}"))?;
    super::disk_volume::count_free(file)
}

/// A size of memory or of a disk: a plain number means MiB.
pub fn size(text: &str) -> Result<u64, String> {
    let bytes = match number::decimal(text.as_bytes()) {
        Some(mebibytes) => mebibytes.checked_mul(1 << 20),
        None => number::size(text.as_bytes()),
    };
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "expected a size like 64M or 1G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let one = |text: &str| text.parse::<Wanted>().map(|w| (w.file.display().to_string(), w.path));
        assert_eq!(one("app.img:/data"), Ok(("app.img".into(), "/data".into())));
        assert_eq!(one("/a:b,c/x.img:/var//lib/:fat"), Ok(("/a:b,c/x.img".into(), "/var/lib".into())));
        let part = |text: &str| text.parse::<Wanted>().map(|w| w.partition);
        assert_eq!(part("a:/x:partition=2"), Ok(Some(2)));
        assert_eq!(part("a:/x:fat:partition=12"), Ok(Some(12)));
        assert_eq!(part("a:/x:fat"), Ok(None));
        for bad in [
            "app.img",
            ":/data",
            "a:/",
            "a:/x:ext4",
            "a:/x/../y",
            "a:data",
            "a:/x:",
            "a:/x:partition=",
            "a:/x:partition=0",
            "a:/x:partition=one",
        ] {
            assert!(one(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_size_makes_a_sound_volume() {
        let dir = tempfile::tempdir().unwrap();
        let mib = 1 << 20;
        let sizes =
            [LEAST_SIZE, 1 << 18, mib, 4 * mib, 4200 << 10, 8 * mib, (8 << 20) + 512, 12 * mib, 16 * mib, 17 * mib];
        let large =
            [64 * mib, 128 * mib, 255 * mib, 256 * mib, 511 * mib, 512 * mib, 513 * mib, 2048 * mib, 9000 * mib];
        for size in sizes.into_iter().chain(large) {
            let file = dir.path().join("d.img");
            create(&file, size).unwrap();
            assert!(super::super::disk_volume::walk(&File::open(&file).unwrap()).unwrap().is_empty(), "{size}");
            if let Ok(out) = std::process::Command::new("fsck.vfat").arg("-n").arg(&file).output() {
                let said = String::from_utf8_lossy(&out.stdout);
                assert!(out.status.success() && said.lines().count() == 2, "{size}: {said}");
            }
            std::fs::remove_file(&file).unwrap();
        }
    }

    #[test]
    fn made_once_with_a_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("d.img");
        let wanted = Wanted { file: file.clone(), path: "/data".into(), fs: Fs::Fat, partition: None };
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
            let other = Wanted { file: other.to_owned(), path: "/other".into(), fs: Fs::Fat, partition: None };
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
