//! redis's own test suite, run on this machine against a server that it did not start: a VM, and the same image as a
//! Linux process. Every test must end in the same way in both.
//!
//! It leaves out by itself what restarts the server or reads its files, and is told to leave out what needs a background
//! save: tests that say so (`needs:repl`, since copying to another server begins with one) and those that begin one.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::process;
use super::server::{HOST, Server};
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use unibody::{apt, command, files};
use unibody_support::redis::{BENCHMARK, CLI};

/// Files that `cargo unibody test` runs: what the other cases lack.
const SHORT: [&str; 7] =
    ["unit/protocol", "unit/multi", "unit/bitfield", "unit/pubsub", "unit/geo", "unit/functions", "unit/tracking"];
/// The file with the names of tests that are left out.
const LEFT_OUT: &str = "left-out";
/// Some tests compare how long commands take; what is counted in seconds stays.
const OPTIONS: &[&str] = &["--no-latency", "--tags", "-needs:repl -needs:latency"];

/// One file may take this long.
const UNIT: Duration = Duration::from_secs(600);
/// The outcome of a test that passed.
const OK: &str = "ok";

/// The names of tests, and how they ended.
type Outcomes = BTreeMap<String, String>;

/// What begins a background save, or waits for one: words of Tcl.
const BACKGROUND: &[&str] = &[
    "attach_to_replication_stream",
    "waitForBgsave",
    "waitForBgrewriteaof",
    "r bgsave",
    "r bgrewriteaof",
    "set appendonly yes",
];

/// A few files.
pub fn short(context: &Context) -> Result<Tally> {
    let suite = Suite::new(context)?;
    suite.compare(&SHORT.map(str::to_owned))
}

/// All of them.
pub fn full(context: &Context) -> Result<Tally> {
    let suite = Suite::new(context)?;
    let listed = process::run(&mut suite.command(&["--list-tests"]), b"", UNIT)?.expect(0)?.out();
    suite.compare(&listed.lines().map(str::to_owned).collect::<Vec<_>>())
}

struct Suite<'a> {
    context: &'a Context,
    /// The suite as it is in the source, beside the clients that it uses.
    folder: PathBuf,
}

impl<'a> Suite<'a> {
    fn new(context: &'a Context) -> Result<Self> {
        let folder = context.scratch("redis-suite")?;
        files::copy_tree(&apt::source("redis")?.tree.join("tests"), &folder.join("tests"))?;
        std::fs::create_dir(folder.join("src"))?;
        for (program, _) in [CLI, BENCHMARK] {
            let installed = command::find(program).with_context(|| format!("no {program}"))?;
            symlink(installed, folder.join("src").join(program))?;
        }
        let mut left_out = Vec::new();
        with_background(&folder.join("tests/unit"), &mut left_out)?;
        ensure!(!left_out.is_empty(), "no test begins a background save");
        std::fs::write(folder.join(LEFT_OUT), left_out.join("\n"))?;
        Ok(Self { context, folder })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut tclsh = process::command("tclsh", ["tests/test_helper.tcl"]);
        tclsh.args(words).current_dir(&self.folder);
        tclsh
    }

    /// Runs files in both lives.
    fn compare(&self, units: &[String]) -> Result<Tally> {
        const SETTINGS: &[&str] = &["--enable-debug-command", "yes"];
        let linux = Server::as_process(self.context, SETTINGS)?;
        let vm = Server::as_machine(self.context, &["-m", "512M", "--smp", "2"], SETTINGS)?;
        let (mut passed, mut failed, mut differences) = (0, 0, Vec::new());
        for unit in units {
            let wanted = self.run(&linux, unit).with_context(|| format!("{unit}: Linux"))?;
            let found = self.run(&vm, unit).with_context(|| format!("{unit}: VM\n{}", vm.logs()))?;
            passed += wanted.values().filter(|outcome| *outcome == OK).count();
            failed += wanted.values().filter(|outcome| *outcome != OK).count();
            let of = |all: &Outcomes, name: &str| all.get(name).map_or_else(|| "was not run".to_owned(), Clone::clone);
            let names = wanted.keys().chain(found.keys().filter(|name| !wanted.contains_key(*name)));
            differences.extend(
                names.filter(|name| wanted.get(*name) != found.get(*name)).map(|name| {
                    format!("{unit}: {name}\n  Linux: {}\n  VM:    {}", of(&wanted, name), of(&found, name))
                }),
            );
        }
        if !differences.is_empty() {
            bail!("{} tests differ\n{}", differences.len(), differences.join("\n"));
        }
        Ok(Tally { passed, note: format!("{passed} tests, {failed} fail in both"), ..Tally::default() })
    }

    /// Runs one file.
    fn run(&self, server: &Server, unit: &str) -> Result<Outcomes> {
        let port = server.port.to_string();
        let words = ["--host", HOST, "--port", &port, "--skipfile", LEFT_OUT, "--single", unit];
        let done = process::run(self.command(&words).args(OPTIONS), b"", UNIT)?;
        ensure!(!done.timed_out && matches!(done.status, 0 | 1), "{}", done.report());
        Ok(outcomes(&done.out()))
    }
}

/// Adds the names of the tests in a folder that need a background save.
fn with_background(folder: &Path, names: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            with_background(&path, names)?;
        } else if path.extension().is_some_and(|extension| extension == "tcl") {
            // Some hold bytes that are no text.
            names.extend(begins_background(&String::from_utf8_lossy(&std::fs::read(&path)?)));
        }
    }
    Ok(())
}

fn begins_background(text: &str) -> Vec<String> {
    let (mut names, mut current) = (Vec::new(), None);
    for line in text.lines() {
        if let Some(rest) = line.trim_start().strip_prefix("test ") {
            let name = match rest.as_bytes().first() {
                Some(b'{') => rest[1..].split_once('}'),
                Some(b'"') => rest[1..].split_once('"'),
                _ => None,
            };
            current = name.map(|(name, _)| name.to_owned());
        }
        if BACKGROUND.iter().any(|word| line.contains(word)) {
            names.extend(current.take());
        }
    }
    names
}

/// Of lines such as `[ok]: NAME (12 ms)`, `[err]: NAME in tests/unit/FILE.tcl` and `[exception]: MESSAGE`, which ends the
/// file. A name that several tests have stands for all of them.
fn outcomes(text: &str) -> Outcomes {
    let mut all = Outcomes::new();
    for line in text.lines() {
        let plain = without_colours(line);
        if let Some(rest) = plain.strip_prefix("[ok]: ") {
            let name = rest.rsplit_once(" (").map_or(rest, |(name, _)| name);
            all.entry(name.to_owned()).or_insert_with(|| OK.to_owned());
        } else if let Some(rest) = plain.strip_prefix("[err]: ") {
            let name = rest.rsplit_once(" in tests/").map_or(rest, |(name, _)| name);
            all.insert(name.to_owned(), "failed".to_owned());
        } else if let Some(rest) = plain.strip_prefix("[exception]: ") {
            all.insert("the whole file".to_owned(), rest.to_owned());
        }
    }
    all
}

/// Without the sequences that colour a terminal's text.
fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background() {
        let text =
            "  test {BGSAVE} {\n    r save\n    waitForBgsave r\n    r bgsave\n  }\n test \"SAVE\" {\n  r save\n }\n";
        assert_eq!(begins_background(text), ["BGSAVE"]);
    }

    #[test]
    fn lines() {
        let all = outcomes(
            "[\u{1b}[0;32;49mok\u{1b}[0m]: SET (and GET) (12 ms)\n[\u{1b}[0;31;49merr\u{1b}[0m]: DUMP in tests/unit/dump.tcl\n\
             Expected 1\n[ok]: DUMP (1 ms)\n[ignore]: SYNC: Tag: needs:repl denied\n\
             [\u{1b}[0;31;49mexception\u{1b}[0m]: it broke\n",
        );
        let all: Vec<_> = all.iter().map(|(name, outcome)| (name.as_str(), outcome.as_str())).collect();
        assert_eq!(all, [("DUMP", "failed"), ("SET (and GET)", "ok"), ("the whole file", "it broke")]);
    }
}
