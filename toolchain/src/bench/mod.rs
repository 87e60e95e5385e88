//! `unibody bench`: measurements that check every answer and print medians.

pub mod guest;
mod linux;
mod sqlite;
mod stats;

use crate::cli::output;
use crate::failure::usage;
use anyhow::Result;
use std::path::PathBuf;

/// What there is to measure, and what it is.
pub const BENCHES: [(&str, &str); 1] = [("sqlite", "speedtest1, and durable commits")];

/// How to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Beside a Linux guest.
    pub linux: bool,
    /// How many times everything is measured.
    pub rounds: u32,
    /// Only runs whose description contains this.
    pub only: Option<String>,
    /// Where the disks' files lie; in memory by default.
    pub disks: Option<PathBuf>,
    /// JSON instead of tables.
    pub json: bool,
    /// Install missing packages without asking.
    pub yes: bool,
}

/// Runs a bench, or all.
pub fn run(name: Option<&str>, options: &Options) -> Result<()> {
    if let Some(name) = name.filter(|name| !BENCHES.iter().any(|(known, _)| known == name)) {
        let known: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
        return Err(usage(format!("there is no bench {name}; there is {}", known.join(", "))));
    }
    let report = sqlite::run(options)?;
    if options.json { output::json(&report) } else { output::text(&report.text()) }
}
