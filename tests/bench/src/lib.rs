//! `cargo unibody bench`: measurements that check every answer and print medians.

mod client;
pub mod counters;
mod guest;
mod linux;
mod machine;
mod monitor;
mod net;
mod network;
mod nginx;
mod os;
mod program;
mod redis;
mod report;
mod serving;
mod setup;
mod sqlite;
mod stats;
mod transcript;
mod weather;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::Value;
use std::path::PathBuf;
use unibody::failure::usage;
use unibody::output;

type Run = fn(&Bench, bool) -> Result<(Value, String)>;

/// The available benches.
const BENCHES: [(&str, Run); 6] = [
    ("sqlite", sqlite::run),
    ("os", os::run),
    ("nginx", nginx::run),
    ("redis", redis::run),
    ("net", net::run),
    ("weather", weather::run),
];

/// Measure, optionally compared with a Linux guest on the same virtual machine
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo unibody bench sqlite --against linux\n  cargo unibody bench sqlite --rounds 1 --only ramfs\n  \
    cargo unibody bench os --against linux --json > figures.json\n\n\
    Benches: sqlite (speedtest1, and durable commits), os (system calls, threads, memory, loopback),\n\
    nginx and redis (requests over TAP), net (TCP in bulk, requests and answers), weather (TCP over bad links).\n\
    The guests take turns, every answer is checked, and a wrong one ends the bench with 1. The Linux guest\n\
    is made of the distribution's own kernel and programs, fetched through apt and unpacked in the cache.\n\
    docs/benchmarks.md tells what is measured and how."
)]
pub struct Bench {
    /// Which bench; all of them by default
    name: Option<String>,
    /// Compare with this
    #[arg(long, value_name = "linux", value_enum, hide_possible_values = true)]
    pub(crate) against: Option<Against>,
    /// How many times everything is measured, if not as often as the bench does by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) rounds: Option<u32>,
    /// Only what has this in its description
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// The virtual machine of both guests: q35 or pc
    #[arg(long, value_name = "NAME", default_value = "q35", value_parser = ["q35", "pc"], hide_possible_values = true, hide_default_value = true)]
    pub(crate) machine: String,
    /// Folder for the guests' disks: /dev/shm by default, because this machine's own flushes would dominate the
    /// measurement
    #[arg(long, value_name = "DIR")]
    pub(crate) disks: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Against {
    Linux,
}

impl Bench {
    /// Runs it. `yes`: missing packages are installed without asking.
    pub fn run(self, yes: bool) -> Result<u8> {
        let chosen: Vec<_> =
            BENCHES.iter().filter(|(name, _)| self.name.as_deref().is_none_or(|wanted| wanted == *name)).collect();
        if chosen.is_empty() {
            let names = BENCHES.map(|(name, _)| name).join(", ");
            return Err(usage(format!("there is no bench {}; there is {names}", self.name.unwrap_or_default())));
        }
        let mut all = Vec::new();
        for (_, run) in chosen {
            let (value, text) = run(&self, yes)?;
            if !self.json {
                output::text(&text)?;
            }
            all.push(value);
        }
        if self.json {
            // One bench is its own report.
            output::json(&if all.len() == 1 { all.remove(0) } else { Value::Array(all) })?;
        }
        Ok(0)
    }
}
