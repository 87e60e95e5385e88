//! The work that is measured, and the check of a guest's answers.

use crate::transcript::Transcript;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// What the program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// speedtest1 of this size.
    Speedtest(u32),
    /// This many one-row transactions with this journal.
    Commits(u32, &'static str),
}

/// Where its database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// ramfs, tmpfs.
    Memory,
    /// FAT on a virtio disk.
    Fat,
    /// ext4 on a virtio disk; only Linux has it.
    Ext4,
}

impl Work {
    /// The number of units by which its cost is divided.
    pub const fn units(self) -> u32 {
        match self {
            Self::Speedtest(_) => 1,
            Self::Commits(count, _) => count,
        }
    }

    /// The program's arguments for a database at `path`.
    pub fn args(self, path: &str) -> Vec<String> {
        match self {
            Self::Speedtest(size) => vec!["speedtest".into(), path.into(), size.to_string()],
            Self::Commits(count, journal) => {
                vec!["commits".into(), path.into(), count.to_string(), journal.to_owned()]
            }
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Speedtest(size) => write!(f, "speedtest1 --size {size}"),
            Self::Commits(count, journal) => write!(f, "{count} commits, {}", journal.to_uppercase()),
        }
    }
}

impl Storage {
    /// Linux's name for it: the type for mount(2).
    pub const fn linux(self) -> &'static str {
        match self {
            Self::Memory => "tmpfs",
            Self::Fat => "vfat",
            Self::Ext4 => "ext4",
        }
    }

    /// Our guest's name for it.
    pub const fn ours(self) -> &'static str {
        match self {
            Self::Memory => "ramfs",
            Self::Fat | Self::Ext4 => "FAT",
        }
    }
}

/// A checked answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// How long the work took by the guest's own clock.
    pub seconds: f64,
    /// SQLite's version.
    pub version: String,
    /// The compile-time options of SQLite that affect its behaviour.
    pub options: BTreeSet<String>,
    /// speedtest1's hash over all results; nothing for commits, whose answer is known beforehand.
    pub hash: Option<String>,
}

/// Options that only describe the compiler or that no measurement uses.
const IRRELEVANT: [&str; 5] =
    ["COMPILER=", "HAVE_ISNAN", "OMIT_LOAD_EXTENSION", "ENABLE_LOAD_EXTENSION", "ATOMIC_INTRINSICS"];

/// Checks everything that the program read back and reported about itself.
pub fn check(work: Work, transcript: &Transcript) -> Result<Answer> {
    transcript.ended_well()?;
    let expect = |key: &str, wanted: &str| {
        let value = transcript.one(key)?;
        if value == wanted { Ok(()) } else { bail!("wrong answer: {key} is {value}, not {wanted}") }
    };
    expect("integrity", "ok")?;
    let mut hash = None;
    match work {
        Work::Speedtest(_) => {
            expect("status", "0")?;
            let said = transcript.lines.iter().find_map(|line| line.strip_prefix("Verification Hash: "));
            hash = Some(said.context("speedtest1 printed no verification hash")?.trim().to_owned());
        }
        Work::Commits(count, journal) => {
            expect("journal", journal)?;
            expect("synchronous", "2")?;
            expect("rows", &(u64::from(count) + 1).to_string())?;
            expect("sum", &(u64::from(count) * (u64::from(count) + 1) / 2 * 7919).to_string())?;
        }
    }
    let ns: u64 = transcript.one("ns")?.parse().context("strange time")?;
    let relevant = |option: &&str| !IRRELEVANT.iter().any(|prefix| option.starts_with(prefix));
    let options = transcript.values("option").into_iter().filter(relevant).map(str::to_owned).collect();
    Ok(Answer { seconds: ns as f64 / 1e9, version: transcript.one("version")?.to_owned(), options, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(text: &str) -> Transcript {
        Transcript { lines: text.lines().map(str::to_owned).collect(), samples: vec![] }
    }

    const COMMITS: &str = "bench: version=3.40.1\nbench: option=COMPILER=x\nbench: option=SECURE_DELETE\nbench: journal=delete\n\
        bench: synchronous=2\nbench: begin\nbench: end\nbench: ns=1500000000\nbench: rows=4\nbench: sum=47514\n\
        bench: integrity=ok\nbench: done";

    #[test]
    fn a_right_answer() {
        let answer = check(Work::Commits(3, "delete"), &transcript(COMMITS)).unwrap();
        assert_eq!((answer.seconds, answer.version.as_str(), answer.hash), (1.5, "3.40.1", None));
        assert_eq!(answer.options.into_iter().collect::<Vec<_>>(), ["SECURE_DELETE"]);
        let speed =
            "bench: version=3\nbench: ns=1\nVerification Hash: 5 ab\nbench: status=0\nbench: integrity=ok\nbench: done";
        assert_eq!(check(Work::Speedtest(5), &transcript(speed)).unwrap().hash.unwrap(), "5 ab");
        assert!(check(Work::Speedtest(5), &transcript(&speed.replace("Verif", "Verb"))).is_err());
    }

    #[test]
    fn every_wrong_answer_fails() {
        for (right, wrong) in [
            ("rows=4", "rows=3"),
            ("sum=47514", "sum=47515"),
            ("journal=delete", "journal=memory"),
            ("synchronous=2", "synchronous=1"),
            ("integrity=ok", "integrity=row 3 missing"),
            ("bench: done", "bench: error=disk I/O error\nbench: done"),
            ("bench: done", ""),
            ("rows=4", "rows=4\nbench: rows=4"),
        ] {
            let text = COMMITS.replace(right, wrong);
            assert!(check(Work::Commits(3, "delete"), &transcript(&text)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words() {
        assert_eq!(Work::Commits(300, "wal").to_string(), "300 commits, WAL");
        assert_eq!(Work::Commits(300, "wal").args("/x"), ["commits", "/x", "300", "wal"]);
    }
}
