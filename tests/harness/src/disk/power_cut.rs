//! Power is lost at any moment: unflushed data is lost or not, whole or in part. Whatever was promised is there
//! afterwards.
//!
//! A step counts as promised at a cut if the log (see `write_log`) had no entry beyond the cut when the program's
//! message about the step arrived here. The program waits for us before it continues, so the log's length at that time
//! is exact.

use super::resume::Resume;
use super::work::Work;
use super::write_log::Log;
use super::{drive, image, talk};
use crate::case::{Case, Need, Tally};
use crate::context::Context;
use crate::process;
use anyhow::{Context as _, Result, bail, ensure};
use std::path::{Path, PathBuf};

const SQLITE: &[Need] = &[Need::Toolchain, Need::Disk, Need::Sqlite];
const PLAIN: &[Need] = &[Need::Toolchain, Need::Disk];
/// Disks checked by one VM.
const TOGETHER: usize = 12;

/// Name, workload, bits of the FAT, megabytes, sectors per cluster.
pub type Row = (&'static str, Work, u32, u64, u32);

const fn sqlite(journal: &'static str, synchronous: &'static str) -> Work {
    Work::Sqlite { journal, synchronous }
}

// In mode DELETE the removal of the journal is the commit; it is durable only with EXTRA, which syncs the folder.
const ROWS: &[Row] = &[
    ("sqlite-delete-extra", sqlite("DELETE", "EXTRA"), 16, 16, 4),
    ("sqlite-truncate", sqlite("TRUNCATE", "FULL"), 12, 4, 4),
    ("sqlite-persist", sqlite("PERSIST", "FULL"), 32, 40, 1),
    ("sqlite-wal", sqlite("WAL", "FULL"), 16, 16, 8),
    ("files", Work::Files, 16, 16, 4),
    ("files-fat32", Work::Files, 32, 40, 1),
];

/// One case for each workload, and one that shows that a loss would be noticed.
pub fn cases(all: &mut Vec<Case>, full: bool) {
    for row in ROWS {
        let (rounds, cuts) = if full { (6, 60) } else { (1, 24) };
        let case = Case::new(format!("disk/power-cut-{}", row.0), move |context| power_cut(context, row, rounds, cuts));
        all.push(case.needs(if row.1.needs_sqlite() { SQLITE } else { PLAIN }).limit(3600));
    }
    all.push(Case::new("disk/power-cut-is-noticed", noticed).needs(SQLITE).limit(600));
}

/// A workload that ran on a logged disk.
pub struct Ran {
    base: Vec<u8>,
    /// All requests to the disk.
    pub log: Log,
    /// The log's number of entries when step 0 (ready), 1, 2, ... was promised.
    pub marks: Vec<usize>,
}

/// Runs this many steps.
pub fn run(context: &Context, row: &Row, folder: &Path, steps: usize) -> Result<Ran> {
    let (_, work, bits, megabytes, cluster) = *row;
    let (disk, log) = (folder.join("disk.img"), folder.join("log"));
    image::make(&disk, megabytes << 20, bits, cluster)?;
    let base = std::fs::read(&disk)?;
    std::fs::write(&log, "")?;
    let script = drive::script(folder, &disk, &drive::Special::Logged(&log))?;
    let mut talk = talk::Talk::start(work.command(context, &disk, steps)?.env("UNIBODY_QEMU", script))?;
    let length = || -> Result<u64> { Ok(std::fs::metadata(&log).context("there is no write log")?.len()) };
    work.begin(&mut talk)?;
    let mut lengths = vec![length()?];
    for n in 1..=steps {
        work.step(&mut talk, n)?;
        lengths.push(length()?);
        work.go_on(&mut talk)?;
    }
    work.end(talk)?;
    let log = Log::parse(std::fs::read(log)?)?;
    ensure!(log.flushes() > 0, "nothing was ever flushed");
    // The log is complete: replaying it gives the disk.
    let mut replayed = base.clone();
    log.replay(&mut replayed, 0..log.entries.len())?;
    ensure!(replayed == std::fs::read(&disk)?, "the write log does not lead to the disk's contents");
    image::clean(&disk).context("after a clean shutdown")?;
    let marks = lengths.into_iter().map(|length| log.entries_at(length)).collect();
    Ok(Ran { base, log, marks })
}

fn power_cut(context: &Context, row: &Row, rounds: usize, cuts: usize) -> Result<Tally> {
    let folder = context.scratch(row.0)?;
    let mut resume = Resume::open(&format!("power-cut-{}", row.0), rounds, context.full)?;
    let (mut faults, mut entries, mut flushes) = (Vec::new(), 0, 0);
    while resume.done < rounds {
        let seed = resume.done as u64 + 1;
        let ran = run(context, row, &folder, if context.full { 120 } else { 40 })?;
        let points = ran.log.cuts(ran.marks[0], cuts, &ran.marks[1..], seed);
        (entries, flushes) = (entries + ran.log.entries.len(), flushes + ran.log.flushes());
        look(context, row.1, &ran, &points, seed, &folder, &mut |number, image, fault| {
            let at = format!("entry {} of {}", points[number], ran.log.entries.len());
            faults.push(format!("cut {number} of seed {seed}, at {at}: {fault}"));
            keep(row.0, number, image);
            Ok(())
        })?;
        if let Some(first) = faults.first() {
            bail!("{} of {cuts} cuts lost something. The first: {first}", faults.len());
        }
        resume.part(rounds)?;
    }
    let note = format!("seeds 1 to {rounds}, {cuts} cuts each; {entries} entries, {flushes} flushes");
    Ok(Tally { passed: rounds * cuts, note, ..Tally::default() })
}

/// Keeps a faulty disk for inspection.
fn keep(name: &str, number: usize, image: &Path) {
    let folder = std::env::temp_dir().join("unibody-failed");
    let _ = std::fs::create_dir_all(&folder);
    let _ = std::fs::copy(image, folder.join(format!("{name}-{number}.img")));
}

/// Creates the disks of these cuts, boots with them, and reports faults to `found`: the number of the cut, its disk,
/// the fault.
fn look(
    context: &Context,
    work: Work,
    ran: &Ran,
    points: &[usize],
    seed: u64,
    folder: &Path,
    found: &mut dyn FnMut(usize, &Path, String) -> Result<()>,
) -> Result<()> {
    let (mut base, mut from) = (ran.base.clone(), 0);
    for (batch, some) in points.chunks(TOGETHER).enumerate() {
        if process::interrupted() {
            bail!("interrupted");
        }
        let mut disks = Vec::new();
        for (i, at) in some.iter().enumerate() {
            let number = batch * TOGETHER + i;
            let disk = ran.log.cut(&mut base, &mut from, *at, seed << 32 | number as u64)?;
            let acked = ran.marks.partition_point(|mark| mark <= at).saturating_sub(1);
            let file = folder.join(format!("cut{i}.img"));
            std::fs::write(&file, disk)?;
            std::fs::copy(&file, folder.join(format!("cut{i}.before")))?;
            disks.push((file, acked));
        }
        for (i, verdict) in verdicts(context, work, &disks)?.into_iter().enumerate() {
            // After the mount's repair and a clean shutdown, no fault may be left.
            let fault =
                verdict.or_else(|| image::clean(&disks[i].0).err().map(|error| format!("after the check: {error:#}")));
            if let Some(fault) = fault {
                let text = format!("{} steps acknowledged, {fault}", disks[i].1);
                found(batch * TOGETHER + i, &folder.join(format!("cut{i}.before")), text)?;
            }
        }
    }
    Ok(())
}

/// If the VM does not run with all of them, trying one at a time shows which is at fault.
fn verdicts(context: &Context, work: Work, disks: &[(PathBuf, usize)]) -> Result<Vec<Option<String>>> {
    match work.check(context, disks) {
        Ok(all) => Ok(all),
        Err(_) if process::interrupted() => bail!("interrupted"),
        Err(_) => disks
            .iter()
            .map(|disk| match work.check(context, std::slice::from_ref(disk)) {
                Ok(mut one) => Ok(one.pop().flatten()),
                Err(error) => Ok(Some(format!("{error:#}"))),
            })
            .collect(),
    }
}

/// Tests the checks themselves: a database that is not synced loses commits, and a disk that ignores flushes damages
/// files.
fn noticed(context: &Context) -> Result<Tally> {
    let mut note = Vec::new();
    for (name, work, ignored) in [
        ("synchronous=OFF", sqlite("TRUNCATE", "OFF"), false),
        ("flushes ignored, SQLite", sqlite("TRUNCATE", "FULL"), true),
        ("flushes ignored, files", Work::Files, true),
    ] {
        let folder = context.scratch("noticed")?;
        let mut ran = run(context, &("noticed", work, 16, 16, 4), &folder, 30)?;
        let points = ran.log.cuts(ran.marks[0], TOGETHER, &ran.marks[1..], 2);
        let points = if ignored {
            let moved = |at: &usize| at - ran.log.flushes_before(*at);
            let points = points.iter().map(moved).collect();
            let marks = ran.marks.iter().map(moved).collect();
            ran = Ran { log: ran.log.without_flushes(), marks, base: ran.base };
            points
        } else {
            points
        };
        let mut faults = 0;
        look(context, work, &ran, &points, 2, &folder, &mut |_, _, _| {
            faults += 1;
            Ok(())
        })?;
        note.push(format!("{name}: {faults}"));
        ensure!(faults > 0, "no loss was noticed: {}", note.join(", "));
    }
    Ok(Tally::pass(format!("of {TOGETHER} cuts, noticed: {}", note.join(", "))))
}
