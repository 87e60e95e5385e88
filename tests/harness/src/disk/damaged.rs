//! Volumes with flipped bits: a clear error or a mount, never a panic, a hang or endless output.

use super::image;
use super::random::Random;
use super::resume::Resume;
use super::work::disk;
use crate::case::{Case, Need, Tally};
use crate::context::Context;
use crate::process;
use anyhow::{Result, bail, ensure};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// Bits of the FAT, megabytes, sectors per cluster.
const VOLUMES: [(u32, u64, u32); 3] = [(12, 2, 2), (16, 8, 1), (32, 40, 1)];
/// Volumes between two saves of the progress.
const PART: u64 = 20;

/// One case; its long form has a thousand seeds.
pub fn cases(all: &mut Vec<Case>, full: bool) {
    let seeds = if full { 1000 } else { 60 };
    let body = move |context: &Context| flipped(context, seeds);
    all.push(Case::new("disk/bit-flips", body).needs(&[Need::Toolchain, Need::Disk]).limit(if full {
        3600
    } else {
        240
    }));
}

fn flipped(context: &Context, seeds: u64) -> Result<Tally> {
    let folder = context.scratch("flips")?;
    let mut volumes = Vec::new();
    for (bits, megabytes, cluster) in VOLUMES {
        let file = folder.join(format!("fat{bits}.img"));
        fill(context, &file, bits, megabytes, cluster)?;
        let bytes = std::fs::read(&file)?;
        volumes.push((regions(&bytes), bytes));
    }
    let parts = seeds.div_ceil(PART) as usize;
    let mut resume = Resume::open("bit-flips", parts, context.full)?;
    let (mut refused, mut read_only, mut mounted) = (0, 0, 0);
    while resume.done < parts {
        let from = resume.done as u64 * PART;
        for seed in from..(from + PART).min(seeds) {
            if process::interrupted() {
                bail!("interrupted");
            }
            let (regions, bytes) = &volumes[seed as usize % volumes.len()];
            let file = folder.join("flipped.img");
            std::fs::write(&file, flip(bytes, regions, seed))?;
            match one(context, &file) {
                Ok(0) => refused += 1,
                Ok(1) => read_only += 1,
                Ok(_) => mounted += 1,
                Err(error) => {
                    let kept = std::env::temp_dir().join("unibody-failed");
                    let _ = std::fs::create_dir_all(&kept);
                    std::fs::write(kept.join(format!("flips-{seed}.img")), flip(bytes, regions, seed))?;
                    return Err(error.context(format!("seed {seed}")));
                }
            }
        }
        resume.part(parts)?;
    }
    let note =
        format!("seeds 0 to {}: {refused} refused, {read_only} read-only, {mounted} as if nothing were", seeds - 1);
    Ok(Tally { passed: seeds as usize, note, ..Tally::default() })
}

/// A volume with files of many sizes, long names and folders, created by the guest itself.
fn fill(context: &Context, file: &Path, bits: u32, megabytes: u64, cluster: u32) -> Result<()> {
    image::make(file, megabytes << 20, bits, cluster)?;
    let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "--disk", &disk(file, "/data")]);
    command.arg(context.disk_program("files")?).args(["--", "work", "/data", "60", "alone"]);
    process::run(&mut command, b"", Duration::from_secs(60))?.expect(0)?;
    image::clean(file)
}

/// Boot sector and FSInfo; both FATs; the root folder; the first clusters, where the other folders are.
fn regions(bytes: &[u8]) -> [Range<usize>; 4] {
    let word = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let reserved = word(14) * 512;
    let fat = match word(22) {
        0 => u32::from_le_bytes([bytes[36], bytes[37], bytes[38], bytes[39]]) as usize,
        sectors => sectors,
    };
    let root = reserved + 2 * fat * 512;
    let data = root + (word(17) * 32).max(512);
    [0..reserved.min(1024), reserved..root, root..data, data..(data + (256 << 10)).min(bytes.len())]
}

/// Flips a few bits. Most files of a volume are near its beginning, and so are their FAT entries.
fn flip(bytes: &[u8], regions: &[Range<usize>; 4], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut disk = bytes.to_vec();
    let count = [1, 1, 2, 4, 8, 32][random.below(6)];
    for _ in 0..count {
        let region = &regions[[0, 1, 1, 2, 2, 3][random.below(6)]];
        let length = if random.below(2) == 0 { region.len().min(512) } else { region.len() };
        let at = region.start + random.below(length);
        disk[at] ^= if random.below(4) == 0 { random.next() as u8 } else { 1 << random.below(8) };
    }
    disk
}

/// 0: refused with a reason; 1: read-only; 2: mounted for writing.
fn one(context: &Context, file: &Path) -> Result<u32> {
    let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "--disk", &disk(file, "/data")]);
    command.arg(context.disk_program("walk")?).args(["--", "/data", "writes"]);
    let done = process::run(&mut command, b"", Duration::from_secs(60))?;
    ensure!(!done.timed_out, "it hangs\n{}", done.report());
    ensure!(done.status < 100 || done.status == 127, "it crashed\n{}", done.report());
    ensure!(!done.err().contains("panic"), "it panicked\n{}", done.report());
    ensure!(done.stdout.len() < 1 << 20 && done.stderr.len() < 1 << 20, "endless output\n{}", done.report());
    if done.out().ends_with("end\n") {
        return Ok(if done.out().contains("create EROFS") { 1 } else { 2 });
    }
    let text = done.err();
    ensure!(done.status != 0 && text.contains("disk"), "it was refused without a reason\n{}", done.report());
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_flips_the_same_bits() {
        let bytes = vec![0; 4096];
        let regions = [0..512, 512..1024, 1024..2048, 2048..4096];
        for seed in 0..50 {
            let flipped = flip(&bytes, &regions, seed);
            assert_eq!(flipped, flip(&bytes, &regions, seed));
            assert!(flipped.iter().filter(|byte| **byte != 0).count() <= 32);
        }
        assert_ne!(flip(&bytes, &regions, 1), flip(&bytes, &regions, 2));
    }
}
