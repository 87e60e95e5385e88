//! The services of an operating system: system calls, threads, files in memory, mappings, loopback.

mod services;

use super::Bench;
use super::guest::{Guest, Side, turns};
use super::linux::{self, LinuxGuest};
use super::machine::Machine;
use super::program::{self, Program};
use super::report::{Report, What};
use super::setup::Setup;
use super::transcript::{Transcript, clock_off};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use services::Service;
use std::ffi::OsStr;
use std::time::Duration;
use unibody::packages::Program as Tool;
use unibody::{packages, progress, vmm};

const ROUNDS: u32 = 3;
const MEMORY: u64 = 256 << 20;
/// The longest that one guest may take.
const LIMIT: Duration = Duration::from_secs(600);
const TOOLS: [Tool; 3] = [("gcc", "gcc"), ("dpkg-deb", "dpkg"), ("xz", "xz-utils")];

struct Runs {
    machine: Machine,
    program: Program,
    linux: Option<LinuxGuest>,
    report: Report,
}

pub fn run(options: &Bench, yes: bool) -> Result<(Value, String)> {
    packages::ensure(vmm::needs("qemu").as_slice(), yes)?;
    packages::ensure_these(&TOOLS, yes)?;
    let dir = tempfile::Builder::new().prefix("unibody-bench-").tempdir()?;
    let machine = Machine::new(&options.machine, MEMORY, dir.path())?;
    let program = program::build("os", &program::sysroot(yes)?, dir.path())?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut report = Report::new("os", Setup::new(&machine, rounds)?);
    let linux = program::linux_guest(options, &program, &[], dir.path(), &mut report)?;
    let mut runs = Runs { machine, program, linux, report };
    let only = options.only.as_deref().unwrap_or_default();
    for side in turns(options.against.is_some(), 1) {
        let what = format!("counting instructions: {}", side.name());
        let transcript = progress::step(&what, || runs.one(side, true))?;
        let seen = transcript.samples[1].instructions - transcript.samples[0].instructions;
        runs.add(side, "instructions", only, &transcript, |service| service.ticks, seen as f64)?;
    }
    for round in 1..=rounds {
        for side in turns(options.against.is_some(), round) {
            let what = format!("round {round} of {rounds}: {}", side.name());
            let transcript = progress::step(&what, || runs.one(side, false))?;
            let seconds = transcript.seconds();
            runs.add(side, "time", only, &transcript, |service| service.ns, seconds * 1e9)?;
            let guest = transcript.one("ns")?.parse::<f64>().context("strange time")? / 1e9;
            if let Some(off) = clock_off(guest, seconds) {
                runs.report.note(format!("{}: the guest's clock says {off}", side.name()));
            }
        }
    }
    runs.report.finish(options)
}

impl Runs {
    fn one(&self, side: Side, counts: bool) -> Result<Transcript> {
        let transcript = self.guest(side, counts)?.run(LIMIT).with_context(|| side.name())?;
        transcript.ended_well().with_context(|| side.name())?;
        Ok(transcript)
    }

    fn guest(&self, side: Side, counts: bool) -> Result<Guest> {
        let machine = match (side, &self.linux) {
            (Side::Unibody, _) => {
                let options = ["--net", "none"].map(OsStr::new);
                self.machine.ours(&self.program.image, &options, &["/tmp".to_owned()], counts)?
            }
            (Side::Linux, Some(linux)) => {
                let command = [linux::PROGRAM.to_owned(), "/data".to_owned()];
                self.machine.linux(linux, "", "tmpfs", &command, counts)?
            }
            (Side::Linux, None) => bail!("there is no Linux guest"),
        };
        self.machine.guest(machine, counts)
    }

    /// Adds the services of a run. All of them together cannot be more than what was seen from outside.
    fn add(
        &mut self,
        side: Side,
        table: &'static str,
        only: &str,
        transcript: &Transcript,
        of: impl Fn(&Service) -> f64,
        seen: f64,
    ) -> Result<()> {
        let services = services::read(transcript)?;
        let sum: f64 = services.iter().map(&of).sum();
        let unit = if table == "time" { "ns" } else { "" };
        // A guest may have measured its clock's rate wrongly, which is remarked upon elsewhere; a count is exact.
        ensure!(table == "time" || sum <= seen, "{}: {sum} instructions counted inside, {seen} outside", side.name());
        for service in services.iter().filter(|service| service.name.contains(only)) {
            self.report.add(side, What::cost(table, &service.name, unit), of(service) / service.count);
        }
        Ok(())
    }
}
