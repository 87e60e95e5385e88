//! TCP over bad links: how long 4 MiB take with lost, reordered and duplicated frames and longer round trips, the same
//! ones for both guests. A round is a seed. Each transfer has a guest and a network of its own, so that nothing that
//! was learnt about the way remains; those with long round trips, which do nothing but wait, run at the same time.

use super::Bench;
use super::guest::{Guest, Side, turns};
use super::linux::{self, LinuxGuest};
use super::machine::Machine;
use super::network::{Network, Server};
use super::program::{self, Program};
use super::report::{Report, What};
use super::setup::Setup;
use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use unibody::packages::Program as Tool;
use unibody::{packages, paths, progress, vmm};
use unibody_support::weather::{Forwarder, Weather};
use unibody_support::{netns, process, weather};

const ROUNDS: u32 = 5;
const MEMORY: u64 = 128 << 20;
const MIB: &str = "4";
/// How long a guest may take to be there, and a transfer to end.
const PATIENCE: Duration = Duration::from_secs(120);
const LIMIT: Duration = Duration::from_secs(900);
const TOOLS: [Tool; 3] = [("gcc", "gcc"), ("dpkg-deb", "dpkg"), ("xz", "xz-utils")];
/// What the program prints when it can be asked.
const READY: &str = "serving";
/// From this round trip on, in ms, transfers do not disturb each other.
const LONG: u32 = 100;

const WEATHERS: [Weather; 8] = [
    Weather::losing(10, 20),
    Weather::losing(30, 20),
    Weather::losing(100, 20),
    Weather::disorderly(20),
    Weather::losing(10, 200),
    Weather::losing(30, 200),
    Weather::losing(100, 200),
    Weather::disorderly(200),
];

/// The direction: the client's word, and the table.
const WAYS: [(&str, &str); 2] = [("from", "4 MiB from the guest, seconds"), ("to", "4 MiB to the guest, seconds")];

struct Runs {
    machine: Machine,
    program: Program,
    forwarder: PathBuf,
    linux: Option<LinuxGuest>,
}

/// One transfer.
#[derive(Clone, Copy)]
struct Transfer {
    side: Side,
    weather: Weather,
    way: usize,
}

pub fn run(options: &Bench, yes: bool) -> Result<(Value, String)> {
    packages::ensure(vmm::needs("qemu").as_slice(), yes)?;
    packages::ensure_these(&[&TOOLS[..], &netns::TOOLS].concat(), yes)?;
    weather::possible()?;
    let only = options.only.as_deref().unwrap_or_default();
    let dir = tempfile::Builder::new().prefix("unibody-bench-").tempdir()?;
    let machine = Machine::new(&options.machine, MEMORY, dir.path())?;
    let program = program::build("net", &program::sysroot(yes)?, dir.path())?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut report = Report::new("weather", Setup::new(&machine, rounds)?);
    let against = options.against.is_some();
    let linux = program::linux_guest(options, &program, linux::modules::NET, dir.path(), &mut report)?;
    let forwarder = weather::build(&paths::project(None)?, dir.path())?;
    let runs = Runs { machine, program, forwarder, linux };
    for round in 1..=rounds {
        let mut transfers = Vec::new();
        for (way, (word, _)) in WAYS.iter().enumerate() {
            for weather in WEATHERS {
                if format!("{word} {}", weather.name()).contains(only) {
                    transfers.extend(turns(against, round).into_iter().map(|side| Transfer { side, weather, way }));
                }
            }
        }
        let (long, short): (Vec<_>, Vec<_>) = transfers.into_iter().partition(|t| t.weather.round_trip >= LONG);
        for together in short.chunks(1).chain((!long.is_empty()).then_some(&long[..])) {
            let what = match together {
                [one] => one.name(),
                many => format!("{} transfers with long round trips", many.len()),
            };
            let step = format!("round {round} of {rounds}: {what}");
            progress::step(&step, || runs.together(together, round, &mut report))?;
        }
    }
    report.finish(options)
}

impl Runs {
    /// Transfers at the same time.
    fn together(&self, transfers: &[Transfer], seed: u32, report: &mut Report) -> Result<()> {
        let times: Vec<_> = std::thread::scope(|scope| {
            let started: Vec<_> = transfers.iter().map(|one| scope.spawn(|| self.seconds(*one, seed))).collect();
            started
                .into_iter()
                .map(|one| one.join().unwrap_or_else(|_| Err(anyhow!("a thread has panicked"))))
                .collect()
        });
        for (one, seconds) in transfers.iter().zip(times) {
            let seconds = seconds.with_context(|| one.name())?;
            report.add(one.side, What::cost(WAYS[one.way].1, one.weather.name(), ""), seconds);
        }
        Ok(())
    }

    fn guest(&self, side: Side, network: &Network, forwarder: &Forwarder) -> Result<Guest> {
        let server = Server {
            image: &self.program.image,
            files: None,
            linux: self.linux.as_ref(),
            program: linux::PROGRAM,
            args: &["serve".to_owned()],
        };
        // The initrd of a guest.
        let machine = Machine { work: forwarder.folder.clone(), ..self.machine.clone() };
        let mut guest = network.guest(&machine, &server, side)?;
        // The forwarder has the TAP device.
        for word in &mut guest.args {
            if word.to_string_lossy().starts_with("tap,id=net,") {
                *word = forwarder.netdev().into();
            }
        }
        Ok(guest)
    }

    /// How long a transfer takes.
    fn seconds(&self, one: Transfer, seed: u32) -> Result<f64> {
        let network = Network::new().context("no network for the guest")?;
        let dir = tempfile::Builder::new().prefix("unibody-bench-").tempdir()?;
        let forwarder = Forwarder { program: self.forwarder.clone(), folder: dir.path().to_owned() };
        let mut live = self.guest(one.side, &network, &forwarder)?.start_until(READY, PATIENCE)?;
        let words = [WAYS[one.way].0, Network::address(), MIB];
        let mut client = forwarder.command(network.namespace(), one.weather, seed, &self.program.native, words)?;
        let done = process::run(&mut client, b"", LIMIT)?.expect(0).with_context(|| live.said())?.out();
        live.alive()?;
        let ns = done.lines().find_map(|line| line.strip_prefix("ns=")?.parse::<f64>().ok());
        Ok(ns.with_context(|| format!("a strange time: {done}"))? / 1e9)
    }
}

impl Transfer {
    fn name(&self) -> String {
        format!("{} {} {}", self.side.name(), WAYS[self.way].0, self.weather.name())
    }
}
