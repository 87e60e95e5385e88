//! SQLite: speedtest1 and durable commits, compared with a Linux guest on the same machine and the same kind of disk.

mod program;
mod report;
mod work;

use super::Bench;
use super::guest::{Guest, Side};
use super::linux::{self, Contents, LinuxGuest};
use super::machine::Machine;
use super::monitor::Disk;
use super::setup::Setup;
use super::stats::Series;
use super::transcript::clock_off;
use anyhow::{Context, Result, bail};
use program::Programs;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use unibody::{command, disk, packages, paths, progress, sysroot, vmm};
use work::{Answer, Storage, Work};

use report::Report;

/// How many times everything is measured by default.
const ROUNDS: u32 = 3;
/// Size of speedtest1's work, in per cent.
const SIZE: u32 = 50;
/// Transactions in one run.
const COMMITS: u32 = 300;
/// Size of the disks.
const DISK: u64 = 128 << 20;
/// Memory of both guests.
const MEMORY: u64 = 512 << 20;
/// The longest that one guest may take.
const LIMIT: Duration = Duration::from_secs(900);

const WORKS: [Work; 3] = [Work::Speedtest(SIZE), Work::Commits(COMMITS, "delete"), Work::Commits(COMMITS, "wal")];

/// The results of one kind of run.
#[derive(Clone, Debug)]
struct Measured {
    side: Side,
    work: Work,
    storage: Storage,
    /// Seconds for speedtest1, microseconds per commit.
    time: Series,
    /// The cost of one commit, or of all of speedtest1.
    cost: Cost,
}

/// The cost of a unit of work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Cost {
    /// Instructions that the guest executed.
    instructions: f64,
    /// Requests to the disk.
    writes: f64,
    /// KiB in them.
    written_kib: f64,
    /// Flushes of the disk.
    flushes: f64,
    /// Reads from the disk.
    reads: f64,
}

/// State shared by all runs.
struct Runs {
    machine: Machine,
    programs: Programs,
    linux: Option<LinuxGuest>,
    dir: PathBuf,
    /// The first speedtest1's hash, which all others must equal.
    hash: Option<String>,
    /// Options of the two builds.
    options: Vec<(Side, BTreeSet<String>)>,
    /// Oddities that are not errors.
    notes: Vec<String>,
}

/// Where disks are by default: in memory, if there is such a folder with enough room. On a real disk a flush takes the
/// host longer than all of the guest's work, and the time varies from moment to moment.
fn memory(otherwise: &Path) -> PathBuf {
    let shm = Path::new("/dev/shm");
    let room = nix::sys::statvfs::statvfs(shm).is_ok_and(|s| s.blocks_available() * s.fragment_size() > 4 * DISK);
    let ours = nix::unistd::access(shm, nix::unistd::AccessFlags::W_OK).is_ok();
    if room && ours { shm.to_owned() } else { otherwise.to_owned() }
}

pub fn run(options: &Bench, yes: bool) -> Result<(Value, String)> {
    packages::ensure(vmm::needs("qemu").as_slice(), yes)?;
    packages::ensure_these(&program::TOOLS, yes)?;
    let sysroot_options = sysroot::Options { yes, ..sysroot::Options::default() };
    let sysroot = sysroot::ensure(&sysroot_options)?;
    let project = paths::project(None)?;
    let programs = program::ours(&project, &sysroot)?;
    let place = options.disks.clone().unwrap_or_else(|| memory(&programs.dir));
    let dir = tempfile::Builder::new()
        .prefix("unibody-bench-")
        .tempdir_in(&place)
        .with_context(|| format!("cannot put disks in {}", place.display()))?;
    let machine = Machine::new(&options.machine, MEMORY, dir.path())?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut report = Report::new(Setup::new(&machine, rounds)?, &programs.version);
    let linux = if options.against.is_some() {
        let program = program::linux(&programs)?;
        let guest = linux::guest(&Contents {
            project: &project,
            program: &program.program,
            place: linux::PROGRAM,
            libraries: &program.libraries,
            files: None,
            modules: linux::modules::DISK,
            work: dir.path(),
        })?;
        report.linux(&guest.kernel.version, &program.version);
        Some(guest)
    } else {
        None
    };
    let mut runs = Runs {
        machine,
        programs,
        linux,
        dir: dir.path().to_owned(),
        hash: None,
        options: Vec::new(),
        notes: Vec::new(),
    };
    for measured in runs.all(options, rounds)? {
        report.add(measured);
    }
    report.remark(&runs.difference(), &runs.notes);
    Ok((serde_json::to_value(&report)?, report.text()))
}

impl Runs {
    /// Every kind of run: rounds in which the guests take turns, then the runs that count instructions.
    fn all(&mut self, options: &Bench, rounds: u32) -> Result<Vec<Measured>> {
        let mut kinds: Vec<(Side, Work, Storage)> = Vec::new();
        for work in WORKS {
            for (side, storage) in [
                (Side::Unibody, Storage::Memory),
                (Side::Linux, Storage::Memory),
                (Side::Unibody, Storage::Fat),
                (Side::Linux, Storage::Fat),
                (Side::Linux, Storage::Ext4),
            ] {
                let name = said(side, work, storage);
                let wanted = options.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
                if wanted && (side == Side::Unibody || self.linux.is_some()) {
                    kinds.push((side, work, storage));
                }
            }
        }
        if kinds.is_empty() {
            bail!("--only {} matches no run", options.only.as_deref().unwrap_or_default());
        }
        let mut times = vec![Vec::new(); kinds.len()];
        let mut disks = vec![Disk::default(); kinds.len()];
        for round in 1..=rounds {
            // In alternating order, so that neither guest always has the colder or the warmer machine.
            let order: Vec<usize> =
                if round % 2 == 1 { (0..kinds.len()).collect() } else { (0..kinds.len()).rev().collect() };
            for at in order {
                let (side, work, storage) = kinds[at];
                let what = format!("round {round} of {rounds}: {}", said(side, work, storage));
                let (seconds, disk, _) = progress::step(&what, || self.one(side, work, storage, false))?;
                times[at].push(match work {
                    Work::Speedtest(_) => seconds,
                    Work::Commits(count, _) => seconds * 1e6 / f64::from(count),
                });
                disks[at] = disk;
            }
        }
        let mut all = Vec::new();
        for (at, &(side, work, storage)) in kinds.iter().enumerate() {
            let time = Series::new(std::mem::take(&mut times[at])).context("no rounds")?;
            let what = format!("counting instructions: {}", said(side, work, storage));
            let (_, _, instructions) = progress::step(&what, || self.one(side, work, storage, true))?;
            let cost = Cost::new(work.units(), instructions, disks[at]);
            all.push(Measured { side, work, storage, time, cost });
        }
        Ok(all)
    }

    /// Runs one guest and checks its answer.
    fn one(&mut self, side: Side, work: Work, storage: Storage, counts: bool) -> Result<(f64, Disk, u64)> {
        let disk = self.disk(storage)?;
        let guest = self.guest(side, work, storage, disk.as_deref(), counts)?;
        let fail = || format!("{}: {}", guest.qemu.program.display(), said(side, work, storage));
        let transcript = guest.run(LIMIT).with_context(fail)?;
        let answer = work::check(work, &transcript).with_context(|| said(side, work, storage))?;
        self.compare(&answer).with_context(|| said(side, work, storage))?;
        if !self.options.iter().any(|(s, _)| *s == side) {
            self.options.push((side, answer.options.clone()));
        }
        let (begin, end) = (transcript.samples[0], transcript.samples[1]);
        let seconds = transcript.seconds();
        if !counts && let Some(off) = clock_off(answer.seconds, seconds) {
            let note = format!("{}: the guest's clock says {off}", said(side, work, storage));
            eprintln!("unibody: {note}");
            self.notes.push(note);
        }
        Ok((seconds, end.disk.since(begin.disk), end.instructions - begin.instructions))
    }

    fn guest(&self, side: Side, work: Work, storage: Storage, disk: Option<&Path>, counts: bool) -> Result<Guest> {
        let machine = match (side, &self.linux) {
            (Side::Unibody, _) => {
                let mut volume = disk.unwrap_or(Path::new("")).as_os_str().to_owned();
                volume.push(":/data");
                let (more, path) = if disk.is_some() { (2, "/data/bench.db") } else { (0, "/bench.db") };
                let options = [OsStr::new("--net"), OsStr::new("none"), OsStr::new("--disk"), &volume];
                self.machine.ours(&self.programs.image, &options[..2 + more], &work.args(path), counts)?
            }
            (Side::Linux, Some(linux)) => {
                let command = [&[linux::PROGRAM.to_owned()], &work.args("/data/bench.db")[..]].concat();
                let machine = self.machine.linux(linux, "", storage.linux(), &command, counts)?;
                // The same as `--disk` makes of a file.
                let attached =
                    |file: &Path| vmm::Disk { file: file.to_owned(), serial: "disk0".to_owned(), read_only: false };
                vmm::Machine { disks: disk.map(attached).into_iter().collect(), ..machine }
            }
            (Side::Linux, None) => bail!("there is no Linux guest"),
        };
        self.machine.guest(machine, counts)
    }

    /// Where the answer is not known beforehand, all guests must give the same one.
    fn compare(&mut self, answer: &Answer) -> Result<()> {
        if let Some(hash) = &answer.hash {
            let first = self.hash.get_or_insert_with(|| hash.clone());
            if first != hash {
                bail!("wrong answer: speedtest1's hash is {hash}, another guest's {first}");
            }
        }
        if answer.version != self.programs.version.split('-').next().unwrap_or_default() {
            bail!("SQLite {} is running, {} was expected", answer.version, self.programs.version);
        }
        Ok(())
    }

    /// A fresh disk, the same for both guests.
    fn disk(&self, storage: Storage) -> Result<Option<PathBuf>> {
        if storage == Storage::Memory {
            return Ok(None);
        }
        let clean = self.dir.join(format!("{}.clean", storage.linux()));
        if !clean.exists() && storage == Storage::Fat {
            // Both guests get a disk as `--disk` creates it.
            disk::create(&clean, DISK)?;
        } else if !clean.exists() {
            let file = std::fs::File::create(&clean).with_context(|| format!("cannot make {}", clean.display()))?;
            file.set_len(DISK)?;
            command::run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&clean), None)?;
        }
        let disk = self.dir.join("disk.img");
        command::run(Command::new("cp").arg("--sparse=always").arg(&clean).arg(&disk), None)?;
        Ok(Some(disk))
    }

    /// Options that only one of the two builds has.
    fn difference(&self) -> Vec<String> {
        let of = |side| self.options.iter().find(|(s, _)| *s == side).map(|(_, options)| options);
        match (of(Side::Unibody), of(Side::Linux)) {
            (Some(ours), Some(theirs)) => ours.symmetric_difference(theirs).cloned().collect(),
            _ => Vec::new(),
        }
    }
}

impl Cost {
    fn new(units: u32, instructions: u64, disk: Disk) -> Self {
        let each = |total: u64| total as f64 / f64::from(units);
        Self {
            instructions: each(instructions).round(),
            writes: each(disk.writes),
            written_kib: each(disk.written) / 1024.0,
            flushes: each(disk.flushes),
            reads: each(disk.reads),
        }
    }
}

fn said(side: Side, work: Work, storage: Storage) -> String {
    match side {
        Side::Unibody => format!("unibody, {work}, {}", storage.ours()),
        Side::Linux => format!("Linux, {work}, {}", storage.linux()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit() {
        let cost = Cost::new(300, 60_000_000, Disk { writes: 1200, written: 4_915_200, flushes: 900, reads: 0 });
        assert_eq!((cost.instructions, cost.writes, cost.written_kib, cost.flushes), (200_000.0, 4.0, 16.0, 3.0));
    }
}
