//! `tests/programs/fsx.c` on every file system: random operations against a model.

use super::work::disk;
use super::{drive, image};
use crate::case::{Case, Need, Tally};
use crate::context::Context;
use crate::process;
use anyhow::{Result, ensure};
use std::time::Duration;

/// Where the files are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The root, in memory.
    Memory,
    /// A disk: bits of its FAT, megabytes, sectors per cluster.
    Disk(u32, u64, u32),
    /// A folder of this machine.
    Share,
}

const PLACES: [(&str, Place); 4] = [
    ("ramfs", Place::Memory),
    ("fat16", Place::Disk(16, 16, 4)),
    ("fat32", Place::Disk(32, 40, 1)),
    ("9p", Place::Share),
];

/// One case for each file system and number of threads.
pub fn cases(all: &mut Vec<Case>, full: bool) {
    for (name, place) in PLACES {
        // Sending the host a message for every step takes time.
        let (seeds, operations) = match (full, place) {
            (true, _) => (10, 100_000),
            (false, Place::Share) => (2, 1500),
            (false, _) => (2, 5000),
        };
        for threads in [1, 2] {
            let name = format!("disk/fsx-{name}-{threads}");
            let body = move |context: &Context| fsx(context, place, threads, seeds, operations);
            all.push(Case::new(name, body).needs(&[Need::Toolchain, Need::Disk]).limit(3 * 3600));
        }
    }
}

/// The files at the end are the same as those that the image leaves as a Linux process.
fn fsx(context: &Context, place: Place, threads: u32, seeds: u32, operations: u32) -> Result<Tally> {
    let image = context.program("fsx")?;
    let folder = context.scratch("fsx")?;
    let file = folder.join("disk.img");
    let (first, seeds, operations, threads) =
        ((1000 * threads).to_string(), seeds.to_string(), operations.to_string(), threads.to_string());
    let words = ["-s", &first, "-r", &seeds, "-n", &operations, "-t", &threads];
    let limit = Duration::from_secs(3 * 3500);
    let mut vm = context.unibody(["run", "--accel", "tcg", "--net", "none", "-m", "64M", "--smp", &threads]);
    match place {
        Place::Memory => {}
        Place::Disk(bits, megabytes, cluster) => {
            image::make(&file, megabytes << 20, bits, cluster)?;
            let script = drive::script(&folder, &file, &drive::Special::Nothing)?;
            vm.arg("--disk").arg(disk(&file, "/data")).env("UNIBODY_QEMU", script);
        }
        Place::Share => {
            std::fs::create_dir(folder.join("share"))?;
            vm.arg("-v").arg(disk(&folder.join("share"), "/data"));
        }
    }
    vm.arg(&image).arg("--");
    if place != Place::Memory {
        vm.args(["-d", "/data"]);
    }
    let vm = process::run(vm.args(words), b"", limit)?.expect(0)?;
    let hosted = process::run(&mut process::command(&image, words), b"", limit)?.expect(0)?;
    ensure!(vm.stdout == hosted.stdout, "other files than on Linux\n{}\n{}", vm.report(), hosted.report());
    if matches!(place, Place::Disk(..)) {
        image::clean(&file)?;
    }
    Ok(Tally::pass(format!("seeds {first} and on, VM {:.1} s", vm.took.as_secs_f32())))
}
