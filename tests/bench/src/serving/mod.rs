//! A server in both guests, under load from this computer over a TAP device: what the benches of servers have in common.

mod guests;
mod memory;
mod size;

pub use guests::Guests;

use super::Bench;
use super::counters::{self, Counters};
use super::guest::{Live, Side, turns};
use super::linux::{self, Contents, LinuxGuest};
use super::machine::Machine;
use super::network::Network;
use super::program;
use super::report::{Report, What};
use super::setup::Setup;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;
use unibody::packages::Program as Tool;
use unibody::vmm::accel::Accel;
use unibody::{packages, paths, ports, progress, sysroot, vmm};
use unibody_support::{load, netns, usage};

const ROUNDS: u32 = 5;
const MEMORY: u64 = 256 << 20;
/// How long a guest may take to answer for the first time.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The table of what is measured once.
pub const ONCE: &str = "start and size";
const TOOLS: [Tool; 4] = [("gcc", "gcc"), ("dpkg-deb", "dpkg"), ("xz", "xz-utils"), ("gzip", "gzip")];

/// A server: what is the same for all that it is started for.
pub struct Server {
    /// The bench, and our port.
    pub name: &'static str,
    /// The distribution's packages that may hold the program, where it is in them, and where it is in the guest.
    pub packages: &'static [&'static str],
    pub packaged: &'static str,
    pub place: &'static str,
    pub arguments: &'static [&'static str],
    /// What a client asks it first, and how the answer begins.
    pub port: u16,
    pub request: &'static str,
    pub answer: &'static str,
    /// What that is called.
    pub first: &'static str,
    /// Programs that its clients need.
    pub tools: &'static [Tool<'static>],
}

/// How long a load is to last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Span {
    /// So that nothing that is done only once counts.
    WarmUp,
    Round,
    /// While instructions are counted, which makes the guest many times slower.
    Counted,
}

/// A way to measure something of one guest.
pub type Measure<S> = fn(&S, &Guests, Side) -> Result<f64>;

/// A server, with its clients.
pub trait Service: Sized {
    type Load: Display;

    const SERVER: Server;

    /// Makes its files and clients in a folder.
    fn new(work: &Path) -> Result<Self>;

    /// The folder that is laid over the guests' roots.
    fn files(&self) -> &Path;

    /// All kinds of load.
    fn loads() -> Vec<Self::Load>;

    /// Whether the answers are right; before and after the loads. The first time it may store what they ask for.
    fn check(&self, network: &Network) -> Result<()>;

    /// Fails if a single request does.
    fn load(&self, network: &Network, load: &Self::Load, span: Span) -> Result<load::Load>;

    /// Some hundred requests, half of them on connections of their own: what a guest must manage with the least memory.
    fn few(&self, network: &Network, live: &mut Live) -> Result<()>;

    /// What else is measured once, and how.
    fn once() -> Vec<(What, Measure<Self>)> {
        Vec::new()
    }
}

struct Runs<S: Service> {
    service: S,
    guests: Guests,
    loads: Vec<S::Load>,
    only: String,
    report: Report,
}

/// The whole bench.
pub fn run<S: Service>(options: &Bench, yes: bool) -> Result<(Value, String)> {
    let server = S::SERVER;
    packages::ensure(vmm::needs("qemu").as_slice(), yes)?;
    packages::ensure_these(&[&TOOLS[..], &netns::TOOLS, server.tools].concat(), yes)?;
    let network = Network::new().context("no network for the guests")?;
    let sysroot_options = sysroot::Options { yes, ..sysroot::Options::default() };
    let image = ports::cached_image(server.name, &ports::Options { sysroot: sysroot_options, ..Default::default() })?;
    let dir = tempfile::Builder::new().prefix("unibody-bench-").tempdir()?;
    let machine = Machine::new(&options.machine, MEMORY, dir.path())?;
    let service = S::new(dir.path())?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut report = Report::new(server.name, Setup::new(&machine, rounds)?);
    let version = unibody::apt::cached_version(server.name);
    report.versions.extend(version.map(|version| format!("{} {version}", server.name)));
    let against = options.against.is_some();
    let linux = if against { Some(distribution(&server, service.files(), dir.path(), &mut report)?) } else { None };
    let first = program::native("first", dir.path())?;
    let files = service.files().to_owned();
    let guests = Guests { network, machine, server, image, files, first, linux };
    let only = options.only.clone().unwrap_or_default();
    let loads = S::loads().into_iter().filter(|load| load.to_string().contains(&only)).collect();
    let mut runs = Runs { service, guests, loads, only, report };
    for round in 1..=rounds {
        for side in turns(against, round) {
            let what = format!("round {round} of {rounds}: {}", side.name());
            progress::step(&what, || runs.round(side)).with_context(|| what.clone())?;
        }
    }
    for side in turns(against, 1) {
        if !runs.loads.is_empty() {
            progress::step(&format!("counting instructions: {}", side.name()), || runs.count(side))
                .with_context(|| format!("counting: {}", side.name()))?;
        }
        runs.once(side)?;
    }
    runs.report.finish(options)
}

/// The Linux guest with the distribution's server.
fn distribution(server: &Server, files: &Path, work: &Path, report: &mut Report) -> Result<LinuxGuest> {
    let mut said = Vec::new();
    for package in server.packages {
        let found = linux::with_libraries(package);
        let (libraries, version) = match found {
            Ok(found) => found,
            Err(error) => {
                said.push(format!("{package}: {error:#}"));
                continue;
            }
        };
        let program: PathBuf = libraries[0].join(server.packaged.trim_start_matches('/'));
        if !program.is_file() {
            said.push(format!("{package} {version} has no {}", server.packaged));
            continue;
        }
        let guest = linux::guest(&Contents {
            project: &paths::project(None)?,
            program: &program,
            place: server.place,
            libraries: &libraries,
            files: Some(files),
            modules: linux::modules::NET,
            work,
        })?;
        report.versions.extend([guest.kernel.version.clone(), format!("{package} {version}")]);
        return Ok(guest);
    }
    bail!("the distribution's {} cannot be had:\n{}", server.name, said.join("\n"))
}

impl<S: Service> Runs<S> {
    fn wanted(&self, name: &str) -> bool {
        name.contains(&self.only)
    }

    /// One guest, from its start through all loads.
    fn round(&mut self, side: Side) -> Result<()> {
        if self.loads.is_empty() && !self.wanted("boot") {
            return Ok(());
        }
        let guest = self.guests.guest(side, &self.guests.machine)?;
        let (mut live, boot) = self.guests.boot(&guest, PATIENCE)?;
        if self.wanted("boot") {
            self.report.add(side, What::cost(ONCE, format!("boot to {}", self.guests.server.first), "s"), boot);
        }
        let network = &self.guests.network;
        self.service.check(network).with_context(|| live.said())?;
        for load in &self.loads {
            let before = usage::seconds(live.pid())?;
            let done = self.service.load(network, load, Span::Round);
            let done = done.with_context(|| load.to_string()).with_context(|| live.said())?;
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
        self.service.check(network).with_context(|| live.said())?;
        live.alive()
    }

    /// Instructions and would-be exits of all loads.
    fn count(&mut self, side: Side) -> Result<()> {
        let machine = Machine { accel: Accel::Tcg, ..self.guests.machine.clone() };
        let guest = self.guests.guest(side, &machine)?;
        let counters = Counters::new(&self.report.setup.qemu, &machine.work)?;
        let (mut live, _) = self.guests.boot(&counters.with(guest), counters::PATIENCE)?;
        self.service.check(&self.guests.network).with_context(|| live.said())?;
        for load in &self.loads {
            let make = |span| {
                let done = self.service.load(&self.guests.network, load, span);
                done.with_context(|| load.to_string()).with_context(|| live.said())
            };
            make(Span::WarmUp)?;
            let before = counters.read()?;
            let done = make(Span::Counted)?;
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
        if self.wanted("smallest memory") {
            let what = format!("smallest memory: {}", side.name());
            let least = progress::step(&what, || memory::least(&self.service, &self.guests, side))?;
            self.report.add(side, What::cost(ONCE, "smallest memory", "MiB"), least);
        }
        for (what, measure) in S::once() {
            if self.wanted(&what.name) {
                let name = format!("{}: {}", what.name, side.name());
                let value =
                    progress::step(&name, || measure(&self.service, &self.guests, side)).context(name.clone())?;
                self.report.add(side, what, value);
            }
        }
        if self.wanted("image size") {
            let bytes = match (side, &self.guests.linux) {
                (Side::Linux, Some(linux)) => size::of_linux(linux)?,
                _ => size::of_image(&self.guests.image, &self.guests.machine.work)?,
            };
            self.report.add(side, What::cost(ONCE, "image size", "bytes"), bytes as f64);
        }
        Ok(())
    }
}
