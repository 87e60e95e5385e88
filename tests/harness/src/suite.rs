//! `cargo unibody test`: everything that proves the project, from host unit tests to nginx under load in a VM.

use crate::case::Case;
use crate::context::Context;
use crate::{
    accesses, bench, brought, checked, clock, crowd, disk, host, hostile, junit, linking, mappings, matrix, nginx,
    pool, process, programs, redis, report, scenarios, segmentation, shares, sizes, sockets, sqlite, supervision,
    support, terminal, weather,
};
use anyhow::Result;
use std::path::PathBuf;
use std::sync::Arc;

/// Run the tests: host unit tests, booted programs, the boot matrix, nginx under load
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo unibody test\n  \
    cargo unibody test program/threads --junit result.xml\n  \
    cargo unibody test --list boot/\n\n\
    A failing case prints its output and the command that repeats it. The last line counts what passed, failed and was skipped.")]
pub struct Test {
    /// Only cases whose name contains this
    filter: Option<String>,
    /// Print the names of the cases and stop
    #[arg(long)]
    list: bool,
    /// Write the result as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// The long cases, too
    #[arg(long)]
    full: bool,
}

impl Test {
    /// Runs it: exit status 0 if nothing failed.
    pub fn run(self, yes: bool) -> Result<u8> {
        let mut cases = all(self.full)?;
        if let Some(filter) = &self.filter {
            cases.retain(|case| case.name.contains(filter.as_str()));
            if cases.is_empty() {
                anyhow::bail!("no case has '{filter}' in its name; `cargo unibody test --list` prints the names");
            }
        }
        if self.list {
            for case in &cases {
                unibody::output::line(&case.name)?;
            }
            return Ok(0);
        }
        process::watch_for_interrupts()?;
        process::keep_descriptors_to_ourselves();
        let context = Arc::new(Context::new(yes, self.full)?);
        context.prepare(&cases)?;
        let results = pool::run(&context, cases);
        if let Some(file) = &self.junit {
            junit::write(file, &results)?;
        }
        context.remove();
        report::summary(&results)
    }
}

/// Every case, in the order in which they start.
fn all(full: bool) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    host::cases(&mut cases)?;
    programs::cases(&mut cases)?;
    support::cases(&mut cases);
    matrix::cases(&mut cases, full);
    accesses::cases(&mut cases);
    mappings::cases(&mut cases);
    scenarios::cases(&mut cases);
    clock::cases(&mut cases);
    supervision::cases(&mut cases);
    terminal::cases(&mut cases);
    shares::cases(&mut cases);
    brought::cases(&mut cases);
    sizes::cases(&mut cases);
    linking::cases(&mut cases);
    nginx::cases(&mut cases, full);
    hostile::cases(&mut cases);
    segmentation::cases(&mut cases);
    sockets::cases(&mut cases);
    weather::cases(&mut cases, full);
    crowd::cases(&mut cases, full);
    sqlite::cases(&mut cases, full);
    redis::cases(&mut cases, full);
    disk::cases(&mut cases, full);
    bench::cases(&mut cases, full);
    checked::cases(&mut cases, full)?;
    Ok(cases)
}
