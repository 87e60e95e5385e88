//! Disk images on this machine: created, filled, read and checked with the usual tools (dosfstools, mtools).

use crate::process::{self, Finished};
use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A command with the sbin folders in its path.
fn tool<S: AsRef<OsStr>>(program: &str, words: impl IntoIterator<Item = S>) -> Command {
    let mut command = process::command(program, words);
    let path = std::env::var("PATH").unwrap_or_default();
    // mtools refuse volumes whose size is not a multiple of a track.
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("MTOOLS_SKIP_CHECK", "1").env("LC_ALL", "C.UTF-8");
    command
}

/// An empty volume over the whole file, `size` bytes long, with a FAT of `bits` (12, 16, 32) and clusters of `cluster`
/// sectors.
pub fn make(file: &Path, size: u64, bits: u32, cluster: u32) -> Result<()> {
    let image = std::fs::File::create(file).with_context(|| format!("cannot make {}", file.display()))?;
    image.set_len(size)?;
    let (bits, cluster) = (bits.to_string(), cluster.to_string());
    // The id must not depend on the time, so that a seed always gives the same volume.
    let mut mkfs = tool("mkfs.vfat", ["-F", &bits, "-s", &cluster, "-i", "11d15c00", "-n", "TEST"]);
    process::run(mkfs.arg(file), b"", LIMIT)?.expect(0).map(drop)
}

/// Copies a file from this machine into the root folder of an image.
pub fn put(image: &Path, file: &Path, name: &str) -> Result<()> {
    let mut mcopy = tool("mcopy", ["-i"]);
    mcopy.arg(image).arg(file).arg(format!("::{name}"));
    process::run(&mut mcopy, b"", LIMIT)?.expect(0).map(drop)
}

/// Copies a file out of the root folder of an image.
pub fn get(image: &Path, name: &str, file: &Path) -> Result<()> {
    let mut mcopy = tool("mcopy", ["-n", "-i"]);
    mcopy.arg(image).arg(format!("::{name}")).arg(file);
    process::run(&mut mcopy, b"", LIMIT)?.expect(0).map(drop)
}

/// Runs `fsck.vfat -n`.
fn check(image: &Path) -> Result<Finished> {
    process::run(tool("fsck.vfat", ["-n"]).arg(image), b"", LIMIT)
}

/// Checks that the image has no fault of any kind: fsck.vfat prints its name and the number of files, nothing else.
pub fn clean(image: &Path) -> Result<()> {
    let done = check(image)?.expect(0)?;
    match remarks(&done.out()).next() {
        Some(line) => bail!("fsck.vfat finds something: {line}\n{}", done.report()),
        None => Ok(()),
    }
}

/// Checks that the image is as docs/DISKS.md allows until the next mount: there may be lost clusters, the free count is
/// not current, and the second FAT may lag behind.
pub fn sound(image: &Path) -> Result<()> {
    let done = check(image)?;
    if done.timed_out || done.status > 1 {
        bail!("fsck.vfat failed\n{}", done.report());
    }
    match serious(&done.out()) {
        Some(line) => bail!("fsck.vfat finds more than lost clusters: {line}\n{}", done.report()),
        None => Ok(()),
    }
}

/// The lines that report a fault.
fn remarks(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("fsck.fat ") && !line.ends_with(" clusters"))
}

/// The first line that reports a fault that no power cut may leave.
fn serious(text: &str) -> Option<&str> {
    const ALLOWED: &[&str] = &[
        "Free cluster summary",
        "Reclaimed ",
        "Reclaiming ",
        "Dirty bit",
        "Fixing",
        "Automatically",
        "Leaving filesystem unchanged",
        "FATs differ but appear to be intact",
        "Using first FAT",
        "Auto-correcting",
        "There are differences between boot sector and its backup",
        "This is mostly harmless",
        "Not automatically fixing",
    ];
    remarks(text).find(|line| !ALLOWED.iter().any(|word| line.trim_start().starts_with(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_fsck() {
        let lost = "fsck.fat 4.2 (2021-01-31)\nReclaimed 3 unused clusters (1536 bytes).\nFree cluster summary wrong (3 vs. really 4)\n  \
                    Auto-correcting.\n\nx.img: 3 files, 5/9 clusters\n";
        assert_eq!(serious(lost), None);
        assert_eq!(remarks("fsck.fat 4.2 (2021-01-31)\nx.img: 3 files, 5/9 clusters\n").count(), 0);
        assert!(serious("/A.TXT\n  File size is 4096 bytes, cluster chain length is 0 bytes.").is_some());
        assert!(serious("/a and /b\n share clusters.").is_some());
    }
}
