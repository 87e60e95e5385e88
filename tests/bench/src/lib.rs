//! `cargo unibody bench`: measurements that check every answer and print medians.

mod guest;
mod linux;
mod sqlite;
mod stats;

use anyhow::Result;
use clap::ValueEnum;
use std::path::PathBuf;
use unibody::failure::usage;
use unibody::output;

/// The available benches.
const BENCHES: [&str; 1] = ["sqlite"];

/// Measure, optionally compared with a Linux guest on the same virtual machine
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo unibody bench sqlite --against linux\n  cargo unibody bench sqlite --rounds 1 --only ramfs\n  \
    cargo unibody bench --json > figures.json\n\n\
    Benches: sqlite (speedtest1, and durable commits). The guests take turns, every answer is checked,\n\
    and a wrong one ends the bench with 1. The Linux guest is made of the distribution's own kernel and\n\
    library, fetched through apt and unpacked in the cache. docs/benchmarks.md tells what is measured\n\
    and how."
)]
pub struct Bench {
    /// Which bench; all of them by default
    name: Option<String>,
    /// Compare with this
    #[arg(long, value_name = "linux", value_enum, hide_possible_values = true)]
    pub(crate) against: Option<Against>,
    /// How many times everything is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) rounds: u32,
    /// Only runs whose description contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
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
        if let Some(name) = self.name.as_deref().filter(|name| !BENCHES.contains(name)) {
            return Err(usage(format!("there is no bench {name}; there is {}", BENCHES.join(", "))));
        }
        let report = sqlite::run(&self, yes)?;
        if self.json {
            output::json(&report)?
        } else {
            output::text(&report.text())?
        }
        Ok(0)
    }
}
