//! Disks with a partition table, as installers create them and SD cards have them.

use super::image;
use super::work::{self, Work};
use crate::case::{Case, Need, Tally};
use crate::context::Context;
use crate::process;
use anyhow::{Result, ensure};
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(90);
const SECTOR: usize = 512;
/// Where the two partitions begin, and their length, in sectors.
const PLACES: [usize; 2] = [2048, 40_000];
const LENGTH: usize = 32_768;

pub fn cases(all: &mut Vec<Case>) {
    all.push(Case::new("disk/partitions", partitions).needs(&[Need::Toolchain, Need::Disk]).limit(300));
}

/// A disk with an MBR and partitions of these `types`, each with a small FAT32 volume.
fn make(folder: &Path, types: &[u8]) -> Result<Vec<u8>> {
    let volume = folder.join("volume.img");
    image::make(&volume, (LENGTH * SECTOR) as u64, 32, 1)?;
    let volume = std::fs::read(volume)?;
    let mut disk = vec![0; 80_000 * SECTOR];
    for (slot, (kind, start)) in types.iter().zip(PLACES).enumerate() {
        let entry = &mut disk[446 + 16 * slot..][..16];
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&u32::try_from(start)?.to_le_bytes());
        entry[12..].copy_from_slice(&u32::try_from(LENGTH)?.to_le_bytes());
        disk[start * SECTOR..][..volume.len()].copy_from_slice(&volume);
    }
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    Ok(disk)
}

fn partitions(context: &Context) -> Result<Tally> {
    const STEPS: usize = 20;
    let folder = context.scratch("partitions")?;
    let disk = folder.join("disk.img");
    let one = make(&folder, &[0x83, 0x0c])?;
    let two = make(&folder, &[0x0c, 0x0b])?;
    let mut outside = one.clone();
    outside[446 + 12..446 + 16].fill(0xff);
    for (bytes, option, works, said) in [
        (&one, "", Some(1), "vda2"),
        (&two, "", None, "partitions 1 and 2 have FAT volumes"),
        (&two, ":partition=1", Some(0), "vda1"),
        (&two, ":partition=3", None, "no FAT partition"),
        (&outside, "", None, "a partition lies outside of its disk"),
    ] {
        std::fs::write(&disk, bytes)?;
        let program = context.disk_program("files")?;
        let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "--disk"]);
        command.arg(format!("{}{option}", work::disk(&disk, "/data"))).arg(program);
        command.args(["--", "work", "/data", &STEPS.to_string(), "alone"]);
        let done = process::run(&mut command, b"", LIMIT)?;
        let after = std::fs::read(&disk)?;
        let Some(place) = works.map(|n: usize| PLACES[n] * SECTOR) else {
            let done = done.expect(127)?;
            ensure!(done.err().contains(said) && done.out().is_empty(), "nobody said '{said}'\n{}", done.report());
            ensure!(after == *bytes, "a refused disk was changed");
            continue;
        };
        let done = done.expect(0)?;
        ensure!(work::acked(&done.out()) == STEPS, "{}", done.report());
        let end = place + LENGTH * SECTOR;
        ensure!(after[..place] == bytes[..place] && after[end..] == bytes[end..], "{said}: written outside");
        ensure!(after[place..end] != bytes[place..end], "{said}: nothing was written");
        let part = folder.join("part.img");
        std::fs::write(&part, &after[place..end])?;
        image::clean(&part)?;
        // Read as a disk without a table, the partition holds what was written.
        for verdict in Work::Files.check(context, &[(part.clone(), STEPS)])? {
            ensure!(verdict.is_none(), "{said}: {}", verdict.unwrap_or_default());
        }
    }
    Ok(Tally::pass("5 disks"))
}
