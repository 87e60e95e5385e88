//! `cargo unibody bench`: it runs, it fails on a wrong answer, and it meets the goals that are counts, not times.

use super::case::{Case, Need, Tally};
use super::context::Context;
use super::process;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Instructions that a service of the operating system may take, as `bench os` counts them: with the library's part, and with
/// the loop that uses it. Whoever makes one cheaper lowers its limit; the margin is for what the compiler does differently
/// next time.
const MOST: [(&str, f64); 21] = [
    ("getppid", 38.0),
    ("gettid", 11.0),
    ("close of nothing", 119.0),
    ("clock_gettime", 48.0),
    ("clock_gettime wall", 51.0),
    ("sched_yield", 19.0),
    ("thread create join", 4_600.0),
    ("thread create malloc free join", 7_250.0),
    ("condvar round", 2_000.0),
    ("mutex lock unlock", 35.0),
    ("pipe 1 byte", 600.0),
    ("socketpair 1 byte", 900.0),
    ("pwrite 4 KiB", 865.0),
    ("pread 4 KiB", 795.0),
    ("open close", 1_270.0),
    ("mmap 1 MiB touch munmap", 105_000.0),
    ("epoll_wait nothing ready", 156.0),
    ("malloc free", 110.0),
    ("TCP 128 B 612 B", 7_950.0),
    ("TCP 128 B 64 KiB", 30_000.0),
    ("TCP connect exchange close", 53_000.0),
];

/// Always ours alone; in the long form compared with Linux, whose packages must be fetched.
pub fn cases(all: &mut Vec<Case>, full: bool) {
    all.push(Case::new("bench/durable-commit", durable_commit).limit(600).needs(&[
        Need::Toolchain,
        Need::Disk,
        Need::Sqlite,
    ]));
    all.push(Case::new("bench/os", os).limit(600));
    if full {
        let case = Case::new("bench/sqlite-against-linux", against_linux).limit(3600).alone();
        all.push(case.needs(&[Need::Toolchain, Need::Disk, Need::Sqlite]));
    }
}

/// The part of `--json`'s output that is used here.
#[derive(Deserialize)]
struct Report {
    results: Vec<Row>,
    goals: Vec<Goal>,
}

#[derive(Deserialize)]
struct Row {
    guest: String,
    work: String,
}

#[derive(Deserialize)]
struct Goal {
    goal: String,
    value: f64,
    met: bool,
}

/// A report of the benches that compare figures.
#[derive(Deserialize)]
struct Figures {
    figures: Vec<Figure>,
}

#[derive(Deserialize)]
struct Figure {
    table: String,
    name: String,
    unibody: Series,
}

#[derive(Deserialize)]
struct Series {
    median: f64,
}

fn bench<T: DeserializeOwned>(context: &Context, words: &[&str], limit: Duration) -> Result<T> {
    let mut command = context.unibody(["bench", "--yes", "--json", "--rounds", "1"]);
    let said = process::run(command.args(words), b"", limit)?.expect(0)?;
    serde_json::from_str(&said.out()).with_context(|| format!("strange JSON: {}", said.out()))
}

/// The goals that count instructions; times on a busy machine mean nothing.
fn counted(report: &Report) -> Result<String> {
    let counted: Vec<_> = report.goals.iter().filter(|goal| goal.goal.starts_with("instructions")).collect();
    ensure!(!counted.is_empty(), "the bench had no goal that counts instructions");
    for goal in &counted {
        ensure!(goal.met, "{}: {}", goal.goal, goal.value);
    }
    Ok(counted.iter().map(|goal| format!("{:.0}", goal.value)).collect::<Vec<_>>().join(" and "))
}

fn durable_commit(context: &Context) -> Result<Tally> {
    let report: Report = bench(context, &["sqlite", "--only", "commits, DELETE, FAT"], Duration::from_secs(550))?;
    ensure!(report.results.len() == 1, "{} results, one was expected", report.results.len());
    Ok(Tally::pass(format!("{} instructions", counted(&report)?)))
}

/// No service takes more instructions than it is allowed.
fn os(context: &Context) -> Result<Tally> {
    let report: Figures = bench(context, &["os"], Duration::from_secs(550))?;
    let mut over = Vec::new();
    for (name, most) in MOST {
        let counted = |figure: &&Figure| figure.table == "instructions" && figure.name == name;
        let figure = report.figures.iter().find(counted).with_context(|| format!("{name} was not counted"))?;
        if figure.unibody.median > most {
            over.push(format!("{name}: {:.0}, not at most {most}", figure.unibody.median));
        }
    }
    ensure!(over.is_empty(), "more instructions than allowed\n{}", over.join("\n"));
    Ok(Tally::pass(format!("{} services", MOST.len())))
}

fn against_linux(context: &Context) -> Result<Tally> {
    let report: Report = bench(context, &["sqlite", "--against", "linux"], Duration::from_secs(3500))?;
    for guest in ["unibody", "linux"] {
        let speedtest = |row: &&Row| row.guest == guest && row.work.starts_with("speedtest1");
        ensure!(report.results.iter().any(|row| speedtest(&row)), "no speedtest1 of {guest}");
    }
    let count = report.results.len();
    Ok(Tally::pass(format!("{count} kinds of run; a durable commit is {} instructions", counted(&report)?)))
}
