//! redis's own clients. An answer that is an error is a failure of the whole.

use super::load::Load;
use super::process;
use anyhow::{Context as _, Result, ensure};
use std::process::Command;
use std::time::Duration;
use unibody::packages::Program;

/// The programs, and their package.
pub const CLI: Program = ("redis-cli", "redis-tools");
pub const BENCHMARK: Program = ("redis-benchmark", "redis-tools");

/// Requests by redis-benchmark.
#[derive(Clone, Copy, Debug)]
pub struct Benchmark<'a> {
    /// The command, as `-t` spells it.
    pub test: &'a str,
    pub requests: u32,
    pub connections: u32,
    /// Requests that a connection sends at once.
    pub pipeline: u32,
    /// Keys among which each request takes one at random.
    pub keys: u32,
}

impl Benchmark<'_> {
    /// Its arguments.
    pub fn words(&self, host: &str, port: u16) -> Vec<String> {
        let options = [
            ("-h", host),
            ("-p", &port.to_string()),
            ("-t", self.test),
            ("-n", &self.requests.to_string()),
            ("-c", &self.connections.to_string()),
            ("-P", &self.pipeline.to_string()),
            ("-r", &self.keys.to_string()),
        ];
        let words = options.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]);
        words.chain(["--csv".to_owned()]).collect()
    }

    /// Runs `command`, which has these arguments.
    pub fn run(&self, command: &mut Command, limit: Duration) -> Result<Load> {
        let done = process::run(command, b"", limit)?.expect(0)?;
        // Warnings about what it could not ask the server come on standard error, too, and then its answer is worth
        // nothing.
        ensure!(done.stderr.is_empty(), "redis-benchmark complains\n{}", done.report());
        self.parse(&done.out()).with_context(|| done.report())
    }

    /// A heading, and a line of numbers; what a test has to store first has a line before its own.
    fn parse(&self, text: &str) -> Result<Load> {
        let mut rows = text.lines().map(|line| line.split(',').map(|word| word.trim_matches('"')));
        let heading: Vec<_> = rows.next().context("it printed nothing")?.collect();
        let values: Vec<_> = rows.next_back().context("it printed no values")?.collect();
        let number = |name: &str| -> Result<f64> {
            let at = heading.iter().position(|word| *word == name).with_context(|| format!("no column {name}"))?;
            let word = values.get(at).with_context(|| format!("no value of {name}"))?;
            word.parse().with_context(|| format!("{word:?} is no number"))
        };
        let latency = [(50.0, "p50_latency_ms"), (99.0, "p99_latency_ms")]
            .map(|(share, name)| Ok((share, number(name)? / 1e3)))
            .into_iter()
            .collect::<Result<_>>()?;
        Ok(Load { rate: number("rps")?, requests: f64::from(self.requests), latency })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Benchmark = Benchmark { test: "get", requests: 2000, connections: 50, pipeline: 16, keys: 100 };
    const TEXT: &str = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
        \"p99_latency_ms\",\"max_latency_ms\"\n\"GET\",\"4016.06\",\"0.245\",\"0.184\",\"0.207\",\"0.399\",\"0.831\",\"1.103\"\n";

    #[test]
    fn a_report() {
        let load = GET.parse(TEXT).unwrap();
        assert_eq!((load.rate, load.requests), (4016.06, 2000.0));
        let latency: Vec<_> = load.latency.iter().map(|(share, seconds)| (*share, (seconds * 1e6).round())).collect();
        assert_eq!(latency, [(50.0, 207.0), (99.0, 831.0)]);
        assert!(GET.parse("").is_err());
        assert!(GET.parse(&TEXT.replace("rps", "x")).is_err());
        let two = TEXT.replace("\n\"GET\"", "\n\"LPUSH (needed)\",\"1\"\n\"GET\"");
        assert_eq!(GET.parse(&two).unwrap(), load);
    }

    #[test]
    fn arguments() {
        let words = GET.words("10.0.0.2", 6379).join(" ");
        assert_eq!(words, "-h 10.0.0.2 -p 6379 -t get -n 2000 -c 50 -P 16 -r 100 --csv");
    }
}
