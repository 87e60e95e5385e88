//! Bulk TCP both ways, and requests with their answers, over a TAP device.

use super::Bench;
use super::counters::{self, Counters};
use super::guest::{Guest, Live, Side, turns};
use super::linux::{self, LinuxGuest};
use super::machine::Machine;
use super::network::{Network, Server};
use super::program::{self, Program};
use super::report::{Report, What};
use super::setup::Setup;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::time::Duration;
use unibody::packages::Program as Tool;
use unibody::vmm::accel::Accel;
use unibody::{packages, progress, vmm};
use unibody_support::{netns, process, usage};

const ROUNDS: u32 = 5;
const MEMORY: u64 = 256 << 20;
/// How long a guest may take to be there, and a transfer to end.
const PATIENCE: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(300);
const TOOLS: [Tool; 3] = [("gcc", "gcc"), ("dpkg-deb", "dpkg"), ("xz", "xz-utils")];
/// What the program prints when it can be asked.
const READY: &str = "serving";

/// A kind of transfer.
struct Transfer {
    /// For people, and for the client.
    name: &'static str,
    word: &'static str,
    /// How much, for the client.
    amount: u32,
    /// Units in which it is counted, per amount, and what they are.
    units: f64,
    unit: &'static str,
    /// The unit of its rate, and how many of the former are in one of the latter.
    rate: &'static str,
    scale: f64,
}

const MBIT: f64 = 1e6 / 8.0 / 1024.0;

const TRANSFERS: [Transfer; 3] = [
    Transfer { name: "to the guest", word: "to", amount: 256, units: 1024.0, unit: "KiB", rate: "Mbit/s", scale: MBIT },
    Transfer {
        name: "from the guest",
        word: "from",
        amount: 256,
        units: 1024.0,
        unit: "KiB",
        rate: "Mbit/s",
        scale: MBIT,
    },
    Transfer {
        name: "128 B to 612 B",
        word: "ask",
        amount: 5000,
        units: 1.0,
        unit: "request",
        rate: "1/s",
        scale: 1.0,
    },
];

struct Runs {
    network: Network,
    machine: Machine,
    program: Program,
    linux: Option<LinuxGuest>,
    transfers: Vec<&'static Transfer>,
    report: Report,
}

pub fn run(options: &Bench, yes: bool) -> Result<(Value, String)> {
    packages::ensure(vmm::needs("qemu").as_slice(), yes)?;
    packages::ensure_these(&[&TOOLS[..], &netns::TOOLS].concat(), yes)?;
    let only = options.only.as_deref().unwrap_or_default();
    let transfers: Vec<_> = TRANSFERS.iter().filter(|transfer| transfer.name.contains(only)).collect();
    if transfers.is_empty() {
        bail!("--only {only} matches no transfer");
    }
    let network = Network::new().context("no network for the guests")?;
    let dir = tempfile::Builder::new().prefix("unibody-bench-").tempdir()?;
    let machine = Machine::new(&options.machine, MEMORY, dir.path())?;
    let program = program::build("net", &program::sysroot(yes)?, dir.path())?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut report = Report::new("net", Setup::new(&machine, rounds)?);
    let against = options.against.is_some();
    let linux = program::linux_guest(options, &program, linux::modules::NET, dir.path(), &mut report)?;
    let mut runs = Runs { network, machine, program, linux, transfers, report };
    for round in 1..=rounds {
        for side in turns(against, round) {
            let what = format!("round {round} of {rounds}: {}", side.name());
            progress::step(&what, || runs.round(side)).with_context(|| what.clone())?;
        }
    }
    for side in turns(against, 1) {
        let what = format!("counting instructions: {}", side.name());
        progress::step(&what, || runs.count(side)).with_context(|| what.clone())?;
    }
    runs.report.finish(options)
}

impl Runs {
    fn guest(&self, side: Side, machine: &Machine) -> Result<Guest> {
        let server = Server {
            image: &self.program.image,
            files: None,
            linux: self.linux.as_ref(),
            program: linux::PROGRAM,
            args: &["serve".to_owned()],
        };
        self.network.guest(machine, &server, side)
    }

    /// The seconds that a transfer takes.
    fn transfer(&self, transfer: &Transfer, live: &Live) -> Result<f64> {
        let words = [transfer.word, Network::address(), &transfer.amount.to_string()];
        let done = process::run(&mut self.network.command(&self.program.native, words), b"", LIMIT)?.expect(0);
        let done = done.with_context(|| live.said())?.out();
        let ns: f64 = done.trim().strip_prefix("ns=").and_then(|ns| ns.parse().ok()).context("a strange time")?;
        Ok(ns / 1e9)
    }

    fn round(&mut self, side: Side) -> Result<()> {
        let mut live = self.guest(side, &self.machine)?.start_until(READY, PATIENCE)?;
        for transfer in self.transfers.clone() {
            let before = usage::seconds(live.pid())?;
            let seconds = self.transfer(transfer, &live)?;
            let used = usage::seconds(live.pid())? - before;
            let rate = transfer.all() / transfer.scale / seconds;
            self.report.add(side, What::rate("rate", transfer.name, transfer.rate), rate);
            self.report.add(side, transfer.cost("processor time of the VMM, µs"), used * 1e6 / transfer.all());
        }
        live.alive()
    }

    fn count(&mut self, side: Side) -> Result<()> {
        let guest = self.guest(side, &Machine { accel: Accel::Tcg, ..self.machine.clone() })?;
        let counters = Counters::new(&self.report.setup.qemu, &self.machine.work)?;
        let mut live = counters.with(guest).start_until(READY, counters::PATIENCE)?;
        for transfer in self.transfers.clone() {
            let before = counters.read()?;
            self.transfer(transfer, &live)?;
            let each = counters.read()?.each(before, transfer.all());
            for (table, value) in each.named() {
                self.report.add(side, transfer.cost(table), value);
            }
        }
        live.alive()
    }
}

impl Transfer {
    /// All of its units.
    fn all(&self) -> f64 {
        f64::from(self.amount) * self.units
    }

    fn cost(&self, table: &'static str) -> What {
        What::cost(table, self.name, if self.unit == "KiB" { "for a KiB" } else { "for a request" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let [to, _, ask] = &TRANSFERS;
        // 256 MiB in one second.
        assert!((to.all() / to.scale - 2147.48).abs() < 0.01);
        assert_eq!(ask.all() / ask.scale, 5000.0);
    }
}
