//! nginx: the same configuration in both guests, loaded over a TAP device.

mod load;
mod memory;
mod site;
mod size;

use super::Bench;
use super::client::Client;
use super::counters::{self, Counters};
use super::guest::{Guest, Live, Side, turns};
use super::linux::{self, Contents, LinuxGuest};
use super::machine::Machine;
use super::network::{Network, Server};
use super::program;
use super::report::{Report, What};
use super::setup::Setup;
use anyhow::{Context, Result, bail, ensure};
use load::Load;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use unibody::packages::Program as Tool;
use unibody::vmm::accel::Accel;
use unibody::{packages, paths, ports, progress, sysroot, vmm};
use unibody_support::{netns, process, usage, wrk};

const ROUNDS: u32 = 5;
const MEMORY: u64 = 256 << 20;
/// Seconds of each load in a round, and when instructions are counted.
const SECONDS: u32 = 3;
const COUNTED: u32 = 2;
/// How long a guest may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(60);
const TOOLS: [Tool; 4] = [("gcc", "gcc"), ("dpkg-deb", "dpkg"), ("xz", "xz-utils"), ("gzip", "gzip")];
/// Where the distribution's nginx is, in its package and in the guest.
const PROGRAM: &str = "/usr/sbin/nginx";
/// Packages that may hold it.
const PACKAGES: [&str; 2] = ["nginx", "nginx-core"];

struct Runs {
    network: Network,
    machine: Machine,
    image: PathBuf,
    site: PathBuf,
    /// The client for everything but load.
    http: PathBuf,
    linux: Option<LinuxGuest>,
    only: String,
    report: Report,
}

pub fn run(options: &Bench, yes: bool) -> Result<(Value, String)> {
    packages::ensure(vmm::needs("qemu").as_slice(), yes)?;
    packages::ensure_these(&[&TOOLS[..], &netns::TOOLS, &[wrk::TOOL]].concat(), yes)?;
    let network = Network::new().context("no network for the guests")?;
    let sysroot_options = sysroot::Options { yes, ..sysroot::Options::default() };
    let image = ports::cached_image("nginx", &ports::Options { sysroot: sysroot_options, ..Default::default() })?;
    let dir = tempfile::Builder::new().prefix("unibody-bench-").tempdir()?;
    let machine = Machine::new(&options.machine, MEMORY, dir.path())?;
    let site = site::write(dir.path())?;
    let http = program::native("http", dir.path())?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut report = Report::new("nginx", Setup::new(&machine, rounds)?);
    report.versions.extend(unibody::apt::cached_version("nginx").map(|version| format!("nginx {version}")));
    let against = options.against.is_some();
    let linux = if against { Some(distribution(&site, dir.path(), &mut report)?) } else { None };
    let only = options.only.clone().unwrap_or_default();
    let mut runs = Runs { network, machine, image, site, http, linux, only, report };
    let loads: Vec<_> = load::all().into_iter().filter(|load| runs.wanted(&load.to_string())).collect();
    for round in 1..=rounds {
        for side in turns(against, round) {
            let what = format!("round {round} of {rounds}: {}", side.name());
            progress::step(&what, || runs.round(side, &loads)).with_context(|| what.clone())?;
        }
    }
    for side in turns(against, 1) {
        if !loads.is_empty() {
            progress::step(&format!("counting instructions: {}", side.name()), || runs.count(side, &loads))
                .with_context(|| format!("counting: {}", side.name()))?;
        }
        runs.once(side)?;
    }
    runs.report.finish(options)
}

/// The Linux guest with the distribution's nginx.
fn distribution(site: &Path, work: &Path, report: &mut Report) -> Result<LinuxGuest> {
    let mut said = Vec::new();
    for package in PACKAGES {
        let found = linux::with_libraries(package);
        let (libraries, version) = match found {
            Ok(found) => found,
            Err(error) => {
                said.push(format!("{package}: {error:#}"));
                continue;
            }
        };
        let program = libraries[0].join(PROGRAM.trim_start_matches('/'));
        if !program.is_file() {
            said.push(format!("{package} {version} has no {PROGRAM}"));
            continue;
        }
        let guest = linux::guest(&Contents {
            project: &paths::project(None)?,
            program: &program,
            place: PROGRAM,
            libraries: &libraries,
            files: Some(site),
            modules: linux::modules::NET,
            work,
        })?;
        report.versions.extend([guest.kernel.version.clone(), format!("{package} {version}")]);
        return Ok(guest);
    }
    bail!("the distribution's nginx cannot be had:\n{}", said.join("\n"))
}

impl Runs {
    fn wanted(&self, name: &str) -> bool {
        name.contains(&self.only)
    }

    fn address(&self) -> &'static str {
        Network::address()
    }

    fn guest(&self, side: Side, machine: &Machine) -> Result<Guest> {
        let server = Server {
            image: &self.image,
            files: Some(&self.site),
            linux: self.linux.as_ref(),
            program: PROGRAM,
            args: &["-c".to_owned(), site::CONFIGURATION.to_owned()],
        };
        self.network.guest(machine, &server, side)
    }

    fn client(&self, words: &[&str]) -> Result<Client> {
        self.network.client(&self.http, words)
    }

    /// Starts a guest; returns it when the first page has come, and the seconds that this took.
    fn boot(&self, guest: &Guest, patience: Duration) -> Result<(Live, f64)> {
        let mut client = self.client(&["first", self.address(), site::PAGES[0].path])?;
        client.expect("ready", PATIENCE, || Ok(()))?;
        let start = Instant::now();
        let mut live = guest.start()?;
        let first = client.expect("first", patience, || live.alive());
        let seconds = start.elapsed().as_secs_f64();
        first.with_context(|| live.said())?;
        Ok((live, seconds))
    }

    /// Whether every page is the right one, byte by byte.
    fn check(&self) -> Result<()> {
        for page in site::PAGES {
            let mut get = self.network.command(&self.http, ["get", self.address(), page.path]);
            let got = process::run(&mut get, b"", PATIENCE)?.expect(0)?;
            ensure!(got.stdout == page.content(), "wrong answer: {} is not what was stored", page.path);
        }
        Ok(())
    }

    /// wrk for so many seconds.
    fn load(&self, load: Load, seconds: u32) -> Result<wrk::Load> {
        let url = format!("http://{}{}", self.address(), load.page.path);
        let words = wrk::words(load.connections, seconds, load.close, &["--latency"], &url);
        wrk::run(&mut self.network.command(wrk::TOOL.0, words)).with_context(|| load.to_string())
    }

    /// One guest, from its start through all loads.
    fn round(&mut self, side: Side, loads: &[Load]) -> Result<()> {
        if loads.is_empty() && !self.wanted("boot") {
            return Ok(());
        }
        let guest = self.guest(side, &self.machine)?;
        let (mut live, boot) = self.boot(&guest, PATIENCE)?;
        if self.wanted("boot") {
            self.report.add(side, What::cost("start and size", "boot to the first page", "s"), boot);
        }
        self.check().with_context(|| live.said())?;
        for load in loads {
            let before = usage::seconds(live.pid())?;
            let done = self.load(*load, SECONDS).with_context(|| live.said())?;
            let used = usage::seconds(live.pid())? - before;
            let name = load.to_string();
            self.report.add(side, What::rate("requests", &name, "1/s"), done.rate);
            for (share, seconds) in done.latency {
                if share == 50.0 || share == 99.0 {
                    let what = What::cost("answered within", format!("{name}: {share} %"), "ms");
                    self.report.add(side, what, seconds * 1e3);
                }
            }
            let what = What::cost("processor time of the VMM, µs", &name, "for a request");
            self.report.add(side, what, used * 1e6 / done.requests);
        }
        self.check().with_context(|| live.said())?;
        live.alive()
    }

    /// Instructions and would-be exits of all loads.
    fn count(&mut self, side: Side, loads: &[Load]) -> Result<()> {
        let guest = self.guest(side, &Machine { accel: Accel::Tcg, ..self.machine.clone() })?;
        let counters = Counters::new(&self.report.setup.qemu, &self.machine.work)?;
        let (mut live, _) = self.boot(&counters.with(guest), counters::PATIENCE)?;
        for load in loads {
            // What is done once is not counted.
            self.load(*load, 1).with_context(|| live.said())?;
            let before = counters.read()?;
            let done = self.load(*load, COUNTED).with_context(|| live.said())?;
            let each = counters.read()?.each(before, done.requests);
            let name = load.to_string();
            for (table, value) in each.named() {
                self.report.add(side, What::cost(table, &name, "for a request"), value);
            }
        }
        live.alive()
    }

    /// What does not vary from round to round.
    fn once(&mut self, side: Side) -> Result<()> {
        const TABLE: &str = "start and size";
        if self.wanted("smallest memory") {
            let least = progress::step(&format!("smallest memory: {}", side.name()), || memory::least(self, side))?;
            self.report.add(side, What::cost(TABLE, "smallest memory", "MiB"), least);
        }
        if self.wanted("idle connection") {
            let what = format!("an idle connection: {}", side.name());
            let kilobytes = progress::step(&what, || memory::connection(self, side)).context(what.clone())?;
            self.report.add(side, What::cost(TABLE, "memory of an idle connection", "KiB"), kilobytes);
        }
        if self.wanted("image size") {
            let bytes = match (side, &self.linux) {
                (Side::Linux, Some(linux)) => size::of_linux(linux)?,
                _ => size::of_image(&self.image, &self.machine.work)?,
            };
            self.report.add(side, What::cost(TABLE, "image size", "bytes"), bytes as f64);
        }
        Ok(())
    }
}
