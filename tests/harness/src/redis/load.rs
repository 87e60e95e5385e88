//! redis-benchmark: every request is answered, and none with an error.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::process;
use super::server::{HOST, Server};
use anyhow::{Context as _, Result, ensure};
use std::time::Duration;
use unibody_support::redis::{BENCHMARK, Benchmark};

/// Commands as `-t` spells them, the last one with long answers.
const TESTS: [&str; 5] = ["set", "get", "lpush", "mset", "lrange_100"];
const LIMIT: Duration = Duration::from_secs(120);

/// One processor; two, and then with threads that read and write for the one that executes commands.
pub fn load(context: &Context) -> Result<Tally> {
    let requests = if context.full { 100_000 } else { 2_000 };
    let mut notes = Vec::new();
    for (smp, settings) in [("1", &[][..]), ("2", &["--io-threads", "2", "--io-threads-do-reads", "yes"][..])] {
        let server = Server::as_machine(context, &["--smp", smp, "-m", "256M"], settings)?;
        let mut rates = Vec::new();
        for test in TESTS {
            for pipeline in [1, 16] {
                let benchmark = Benchmark { test, requests, connections: 50, pipeline, keys: 1000 };
                let mut command = process::command(BENCHMARK.0, benchmark.words(HOST, server.port));
                let load = benchmark.run(&mut command, LIMIT);
                let load = load.with_context(|| format!("--smp {smp}, {test}, -P {pipeline}\n{}", server.logs()))?;
                if test == "get" {
                    rates.push(load.rate);
                }
            }
        }
        let errors = server.ask(&["INFO", "errorstats"])?;
        ensure!(errors == "# Errorstats", "--smp {smp}: commands failed\n{errors}");
        server.stop()?;
        notes.push(format!("--smp {smp}: {rates:.0?}"));
    }
    Ok(Tally::pass(format!("GET a second, {}", notes.join(", "))))
}
