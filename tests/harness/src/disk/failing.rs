//! The nth read, write or flush fails: the program gets the error, nothing hangs, nothing that was promised is lost,
//! and the disk is usable again once the fault is gone.

use super::drive::{self, Io, Special};
use super::image;
use super::resume::Resume;
use super::work::{self, Work};
use crate::case::{Case, Need, Tally};
use crate::context::Context;
use crate::process;
use anyhow::{Context as _, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;

const WORKS: [Work; 4] = [
    Work::Sqlite { journal: "WAL", synchronous: "FULL" },
    Work::Files,
    Work::Sqlite { journal: "DELETE", synchronous: "EXTRA" },
    Work::Sqlite { journal: "PERSIST", synchronous: "FULL" },
];
/// Images checked by one VM.
const TOGETHER: usize = 10;

/// One case for each kind of request.
pub fn cases(all: &mut Vec<Case>, full: bool) {
    for (name, io) in [("reads", Io::Read), ("writes", Io::Write), ("flushes", Io::Flush)] {
        let body = move |context: &Context| nth(context, name, io, full);
        all.push(
            Case::new(format!("disk/failing-{name}"), body)
                .needs(&[Need::Toolchain, Need::Disk, Need::Sqlite])
                .limit(if full { 3600 } else { 300 }),
        );
    }
}

fn nth(context: &Context, name: &str, io: Io, full: bool) -> Result<Tally> {
    let folder = context.scratch(name)?;
    let all: Vec<u32> = if full { (1..=200).collect() } else { vec![1, 4, 17, 40, 90] };
    let batches: Vec<&[u32]> = all.chunks(TOGETHER).collect();
    let mut resume = Resume::open(&format!("failing-{name}"), batches.len(), full)?;
    let (mut told, mut unnoticed) = (0, 0);
    let bases: Vec<PathBuf> = (0..WORKS.len()).map(|i| folder.join(format!("base{i}.img"))).collect();
    for (work, base) in WORKS.iter().zip(&bases) {
        prepare(context, *work, base)?;
    }
    while let Some(batch) = batches.get(resume.done) {
        let mut disks: Vec<Vec<(PathBuf, usize)>> = vec![Vec::new(); WORKS.len()];
        for n in *batch {
            let which = *n as usize % WORKS.len();
            let disk = folder.join(format!("disk{n}.img"));
            std::fs::copy(&bases[which], &disk)?;
            let special = Special::Failing { io, n: *n, forever: n % 5 == 4 };
            let (acked, heard) =
                one(context, &folder, &disk, WORKS[which], &special).with_context(|| format!("{io:?} {n} fails"))?;
            told += usize::from(heard);
            unnoticed += usize::from(!heard);
            disks[which].push((disk, acked));
        }
        for (work, disks) in WORKS.iter().zip(&disks).filter(|(_, disks)| !disks.is_empty()) {
            for (verdict, (disk, acked)) in work.check_failed(context, disks)?.into_iter().zip(disks) {
                if let Some(fault) = verdict {
                    bail!("{io:?}, {work:?}, {}, {acked} acknowledged: {fault}", disk.display());
                }
                image::clean(disk).with_context(|| format!("{io:?}, {work:?}, {}", disk.display()))?;
                std::fs::remove_file(disk)?;
            }
        }
        resume.part(batches.len())?;
    }
    ensure!(told > 0 || resume.done == 0, "no fault was ever noticed");
    Ok(Tally {
        passed: all.len(),
        note: format!("{told} programs were told, {unnoticed} were not concerned"),
        ..Tally::default()
    })
}

/// A volume on which the workload is set up, so that there is something to read at the start.
fn prepare(context: &Context, work: Work, base: &Path) -> Result<()> {
    image::make(base, 16 << 20, 16, 4)?;
    let (mut command, stdin) = work.alone(context, base, 0)?;
    process::run(&mut command, stdin.as_bytes(), Duration::from_secs(60))?.expect(0).map(drop)
}

/// Runs the workload by itself; returns how many steps it finished, and whether it saw the fault.
fn one(context: &Context, folder: &Path, disk: &Path, work: Work, special: &Special) -> Result<(usize, bool)> {
    let script = drive::script(folder, disk, special)?;
    let (mut command, stdin) = work.alone(context, disk, 25)?;
    let done = process::run(command.env("UNIBODY_QEMU", script), stdin.as_bytes(), Duration::from_secs(60))?;
    ensure!(!done.timed_out, "it hangs\n{}", done.report());
    // 127: the disk could not even be mounted.
    let ended = done.status < 100 || done.status == 127;
    ensure!(ended && !done.err().contains("panic"), "it crashed\n{}", done.report());
    let acked = work::acked(&done.out());
    ensure!(acked == 25 || done.status != 0, "it stopped at step {acked} as if all were well\n{}", done.report());
    let said = format!("{}{}", done.out(), done.err());
    ensure!(
        done.status == 0 || ["I/O error", "EIO", "rror"].iter().any(|word| said.contains(word)),
        "it failed without a word about the disk\n{}",
        done.report()
    );
    Ok((acked, done.status != 0))
}
