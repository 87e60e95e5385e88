//! The workloads that run when power is lost, and how to check that everything promised is there.

use super::talk::Talk;
use crate::context::Context;
use crate::process;
use anyhow::{Context as _, Result, bail, ensure};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A series of steps, each of which is durable once the program says so.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// SQLite with this journal mode and `synchronous`.
    Sqlite {
        /// `PRAGMA journal_mode`.
        journal: &'static str,
        /// `PRAGMA synchronous`.
        synchronous: &'static str,
    },
    /// Plain files: `tests/disk/files.c`.
    Files,
}

/// Where the disk is mounted.
const MOUNT: &str = "/data";
/// How long one answer of a guest may take.
const ANSWER: Duration = Duration::from_secs(60);
/// Rows kept in the database.
const ROWS: usize = 20;

impl Work {
    fn program(self, context: &Context) -> Result<PathBuf> {
        match self {
            Self::Sqlite { .. } => context.sqlite(),
            Self::Files => context.disk_program("files"),
        }
    }

    /// The command for a VM with this disk, ready for steps.
    pub fn command(self, context: &Context, image: &Path, steps: usize) -> Result<Command> {
        let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "--disk"]);
        command.arg(disk(image, MOUNT)).arg(self.program(context)?).arg("--");
        match self {
            Self::Sqlite { .. } => command.args(["-interactive", &format!("{MOUNT}/app.db")]),
            Self::Files => command.args(["work", MOUNT, &steps.to_string()]),
        };
        Ok(command)
    }

    /// The command and input of a run that does all steps by itself and stops at the first error.
    pub fn alone(self, context: &Context, image: &Path, steps: usize) -> Result<(Command, String)> {
        let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "--disk"]);
        command.arg(disk(image, MOUNT)).arg(self.program(context)?).arg("--");
        Ok(match self {
            Self::Sqlite { journal, synchronous } => {
                command.args(["-batch", "-bail", &format!("{MOUNT}/app.db")]);
                let text = (1..=steps).fold(opening(journal, synchronous), |text, n| text + &transaction(n));
                (command, text)
            }
            Self::Files => {
                command.args(["work", MOUNT, &steps.to_string(), "alone"]);
                (command, String::new())
            }
        })
    }

    /// The step that the database is at.
    pub fn value(self, context: &Context, image: &Path) -> Result<usize> {
        let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "--disk"]);
        command.arg(disk(image, MOUNT)).arg(self.program(context)?).args(["--", &format!("{MOUNT}/app.db")]);
        let done = process::run(&mut command, b"SELECT value FROM counter;\n", ANSWER)?.expect(0)?;
        done.out().trim().parse().with_context(|| format!("no number\n{}", done.report()))
    }

    /// Waits until the program is ready for its first step.
    pub fn begin(self, talk: &mut Talk) -> Result<()> {
        if let Self::Sqlite { journal, synchronous } = self {
            talk.say(&opening(journal, synchronous))?;
            talk.line_with("ready.", ANSWER)?;
        }
        Ok(())
    }

    /// One step; when this returns, it was promised to be durable.
    pub fn step(self, talk: &mut Talk, n: usize) -> Result<()> {
        match self {
            Self::Sqlite { .. } => {
                talk.say(&transaction(n))?;
                talk.line_with(&format!("acked {n}."), ANSWER)?;
                ensure!(!talk.errors().contains("rror"), "step {n} failed\n{}", talk.report());
            }
            Self::Files => {
                talk.line_with(&format!("acked {n}"), ANSWER)?;
            }
        }
        Ok(())
    }

    /// Lets the program continue after the step was recorded.
    pub fn go_on(self, talk: &mut Talk) -> Result<()> {
        match self {
            Self::Sqlite { .. } => Ok(()),
            Self::Files => talk.say("\n"),
        }
    }

    /// Lets the program end by itself and checks its status.
    pub fn end(self, mut talk: Talk) -> Result<()> {
        if let Self::Sqlite { .. } = self {
            talk.say(".quit\n")?;
        }
        let report = talk.report();
        let (status, _, errors) = talk.finish(ANSWER)?;
        ensure!(status == 0, "the workload ended with status {status}\n{report}\n{errors}");
        Ok(())
    }

    /// Boots once with all these disks, each cut after that many acknowledged steps; returns what is wrong with each.
    pub fn check(self, context: &Context, disks: &[(PathBuf, usize)]) -> Result<Vec<Option<String>>> {
        self.check_as(context, disks, "check")
    }

    /// The same for disks on which a request failed. As on Linux, data that could not be written counts as clean once
    /// the program got the error, so the data of the unfinished step may be missing.
    pub fn check_failed(self, context: &Context, disks: &[(PathBuf, usize)]) -> Result<Vec<Option<String>>> {
        self.check_as(context, disks, "check-failed")
    }

    fn check_as(self, context: &Context, disks: &[(PathBuf, usize)], how: &str) -> Result<Vec<Option<String>>> {
        let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "-m", "128M"]);
        for (i, (image, _)) in disks.iter().enumerate() {
            command.arg("--disk").arg(disk(image, &format!("/d{i}")));
        }
        command.arg(self.program(context)?).arg("--");
        let mut stdin = String::new();
        match self {
            Self::Sqlite { .. } => {
                command.args(["-batch", "-list"]);
                for i in 0..disks.len() {
                    stdin += &question(i);
                }
            }
            Self::Files => {
                command.arg(how);
                for (i, (_, acked)) in disks.iter().enumerate() {
                    command.args([format!("/d{i}"), acked.to_string()]);
                }
            }
        }
        let done = process::run(&mut command, stdin.as_bytes(), Duration::from_secs(180))?;
        if done.timed_out || !matches!(done.status, 0 | 1) {
            bail!("the VM that checks disks failed\n{}", done.report());
        }
        let out = done.out();
        let verdicts = disks.iter().enumerate().map(|(i, (_, acked))| match self {
            Self::Sqlite { .. } => judge(&out, i, *acked),
            Self::Files => out
                .lines()
                .find(|line| line.starts_with(&format!("/d{i} ")))
                .is_none_or(|line| !line.ends_with(" good"))
                .then(|| lines_about(&out, &format!("/d{i}"))),
        });
        Ok(verdicts.map(|verdict| verdict.map(|text| format!("{text}\n{}", done.report()))).collect())
    }

    /// Whether the sqlite image is needed.
    pub const fn needs_sqlite(self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }
}

/// The value of `--disk`.
pub fn disk(image: &Path, mount: &str) -> String {
    format!("{}:{mount}", image.display())
}

/// Statements that create the database and print when they are done.
pub fn opening(journal: &str, synchronous: &str) -> String {
    format!(
        "PRAGMA journal_mode={journal};\nPRAGMA synchronous={synchronous};\nPRAGMA wal_autocheckpoint=30;\n\
         CREATE TABLE IF NOT EXISTS counter(value INTEGER);\n\
         CREATE TABLE IF NOT EXISTS rows(n INTEGER PRIMARY KEY, size INTEGER, body TEXT);\n\
         CREATE INDEX IF NOT EXISTS bodies ON rows(body);\n\
         INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter);\n.print ready.\n"
    )
}

/// The contents of row `n`: 4 to 2800 characters.
const BODY: &str = "replace(hex(zeroblob(n*37%700+1)), '00', printf('%04d', n%10000))";

/// A transaction that inserts, updates and deletes, and prints when it is committed.
pub fn transaction(n: usize) -> String {
    let body = BODY.replace("n*37", &format!("{n}*37")).replace("n%10000", &format!("{n}%10000"));
    let mut text = format!("BEGIN;\nINSERT INTO rows VALUES({n}, length({body}), {body});\n");
    let _ = write!(
        text,
        "UPDATE counter SET value={n};\nDELETE FROM rows WHERE n={n}-{ROWS};\nCOMMIT;\n.print acked {n}.\n"
    );
    text
}

fn question(i: usize) -> String {
    format!(
        ".open /d{i}/app.db\n.print d{i} integrity\nPRAGMA integrity_check;\n\
         SELECT 'd{i} state', (SELECT value FROM counter), count(*), min(n), max(n), \
         (SELECT count(*) FROM rows WHERE body<>{BODY} OR size<>length(body)) FROM rows;\n.print d{i} end\n"
    )
}

fn lines_about(out: &str, word: &str) -> String {
    out.lines().filter(|line| line.contains(word)).take(10).collect::<Vec<_>>().join("\n")
}

/// What the shell's answers to `question` say is wrong with a disk; `None` if all is well.
fn judge(out: &str, i: usize, acked: usize) -> Option<String> {
    let (start, end) = (format!("d{i} integrity\n"), format!("d{i} end\n"));
    let Some(part) = out.split_once(&start).and_then(|(_, rest)| rest.split_once(&end)).map(|(part, _)| part) else {
        return Some(format!("disk {i} was not checked"));
    };
    let mut lines = part.lines();
    if lines.next() != Some("ok") {
        return Some(format!(
            "integrity_check of disk {i} says: {}",
            part.lines().take(5).collect::<Vec<_>>().join("; ")
        ));
    }
    let state = lines.next().unwrap_or_default();
    let numbers: Vec<usize> = state.split('|').skip(1).map(|word| word.parse().unwrap_or(0)).collect();
    let [value, count, least, most, wrong] = numbers[..] else {
        return Some(format!("disk {i} has no state: '{state}'"));
    };
    let expected = (value.min(ROWS), if value == 0 { 0 } else { value.saturating_sub(ROWS) + 1 }, value);
    if value < acked {
        Some(format!("disk {i}: commit {acked} was acknowledged, the database is at {value}"))
    } else if value > acked + 1 || (count, least, most) != expected || wrong != 0 {
        Some(format!("disk {i}: acknowledged {acked}, and the database is in no state of the workload: {state}"))
    } else {
        None
    }
}

/// How many steps were acknowledged in this output.
pub fn acked(out: &str) -> usize {
    let numbers = out.lines().filter_map(|line| line.split("acked ").nth(1)?.trim_end_matches('.').parse().ok());
    numbers.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let out =
            |state: &str| format!("d0 integrity\nok\nd0 state|{state}\nd0 end\nd1 integrity\nrow 5 missing\nd1 end\n");
        assert_eq!(judge(&out("30|20|11|30|0"), 0, 30), None);
        assert_eq!(judge(&out("30|20|11|30|0"), 0, 29), None);
        assert_eq!(judge(&out("0|0|||0"), 0, 0), None);
        assert!(judge(&out("30|20|11|30|0"), 0, 31).unwrap().contains("was acknowledged"));
        assert!(judge(&out("30|20|11|30|0"), 0, 28).unwrap().contains("no state"));
        assert!(judge(&out("30|19|11|30|0"), 0, 30).unwrap().contains("no state"));
        assert!(judge(&out("30|20|11|30|1"), 0, 30).unwrap().contains("no state"));
        assert!(judge(&out(""), 1, 0).unwrap().contains("row 5 missing"));
        assert!(judge(&out(""), 2, 0).is_some());
    }

    #[test]
    fn acknowledgements() {
        assert_eq!(acked("sqlite> acked 1.\nacked 12.\nerror 13\n"), 12);
        assert_eq!(acked("nothing"), 0);
    }
}
