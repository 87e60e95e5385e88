//! `unibody bench`.

use crate::bench::{self, Options};
use anyhow::Result;
use clap::ValueEnum;
use std::path::PathBuf;

/// Measure, if wanted beside a Linux guest on the same virtual machine
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  unibody bench sqlite --against linux\n  unibody bench sqlite --rounds 1 --only ramfs\n  \
    unibody bench --json > figures.json\n\n\
    Benches: sqlite (speedtest1, and durable commits). The guests take turns, every answer is checked,\n\
    and a wrong one ends the bench with 1. The Linux guest is made of the distribution's own kernel and\n\
    library, fetched through apt and unpacked in the cache. docs/benchmarks.md tells what is measured\n\
    and how."
)]
pub struct Bench {
    /// Which bench; all of them by default
    name: Option<String>,
    /// Measure this beside ours
    #[arg(long, value_name = "linux", value_enum, hide_possible_values = true)]
    against: Option<Against>,
    /// How many times everything is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Only runs whose description contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Where the guests' disks lie: /dev/shm by default, because this machine's own flushes would be most of what is measured
    #[arg(long, value_name = "DIR")]
    disks: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    Linux,
}

impl Bench {
    /// Runs it.
    pub fn run(self, yes: bool) -> Result<u8> {
        let linux = self.against == Some(Against::Linux);
        let options = Options { linux, rounds: self.rounds, only: self.only, disks: self.disks, json: self.json, yes };
        bench::run(self.name.as_deref(), &options)?;
        Ok(0)
    }
}
