//! The report printed at the end.

use super::Measured;
use super::work::{Storage, Work};
use crate::guest::Side;
use crate::setup::Setup;
use crate::stats::{Series, speedup};
use serde::Serialize;
use unibody::output;

/// The goals: instructions of a durable commit on a disk, and how many times faster than ext4 it is.
const INSTRUCTIONS: f64 = 260_000.0;
const TIMES: f64 = 2.0;

/// All figures, and the setup they were measured with.
#[derive(Serialize)]
pub struct Report {
    bench: &'static str,
    #[serde(flatten)]
    setup: Setup,
    sqlite: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    linux: Option<Linux>,
    /// Build options that only one side has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options_differ: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    results: Vec<Row>,
    comparisons: Vec<Comparison>,
    goals: Vec<Goal>,
    #[serde(skip)]
    measured: Vec<Measured>,
}

#[derive(Serialize)]
struct Linux {
    kernel: String,
    libsqlite3: String,
}

#[derive(Serialize)]
struct Row {
    guest: Side,
    work: String,
    file_system: &'static str,
    unit: &'static str,
    time: Series,
    /// Of one commit, or of all of speedtest1.
    cost: super::Cost,
}

#[derive(Serialize)]
struct Comparison {
    work: String,
    unibody: &'static str,
    linux: &'static str,
    /// How many times faster ours is.
    speedup: f64,
    /// Linux's instructions divided by ours.
    instructions: f64,
}

#[derive(Serialize)]
struct Goal {
    goal: String,
    value: f64,
    met: bool,
}

impl Report {
    /// Without figures yet.
    pub fn new(setup: Setup, sqlite: &str) -> Self {
        Self {
            bench: "sqlite",
            setup,
            sqlite: sqlite.to_owned(),
            linux: None,
            options_differ: Vec::new(),
            notes: Vec::new(),
            results: Vec::new(),
            comparisons: Vec::new(),
            goals: Vec::new(),
            measured: Vec::new(),
        }
    }

    pub(super) fn linux(&mut self, kernel: &str, library: &str) {
        self.linux = Some(Linux { kernel: kernel.to_owned(), libsqlite3: library.to_owned() });
    }

    pub(super) fn remark(&mut self, options: &[String], notes: &[String]) {
        self.options_differ = options.to_vec();
        self.notes = notes.to_vec();
    }

    /// Adds the results of one kind of run, and the conclusions from them.
    pub(super) fn add(&mut self, measured: Measured) {
        self.results.push(Row {
            guest: measured.side,
            work: measured.work.to_string(),
            file_system: file_system(&measured),
            unit: unit(measured.work),
            time: measured.time.clone(),
            cost: measured.cost,
        });
        self.measured.push(measured);
        (self.comparisons, self.goals) = conclude(&self.measured);
    }

    /// For people.
    pub fn text(&self) -> String {
        let Setup { qemu, accelerator, rounds, .. } = &self.setup;
        let mut text = format!("{qemu}, {accelerator}, SQLite {}, {rounds} rounds\n", self.sqlite);
        if let Some(linux) = &self.linux {
            text += &format!("Linux guest: {}, libsqlite3-0 {}\n", linux.kernel, linux.libsqlite3);
        }
        if !self.options_differ.is_empty() {
            text += &format!("compiled differently: {}\n", self.options_differ.join(" "));
        }
        let mut rows = vec![["GUEST", "WORK", "ON", "TIME", "MIN", "MAX"].map(str::to_owned).to_vec()];
        let mut each = vec![
            ["COST OF A COMMIT OR RUN", "GUEST", "ON", "INSTRUCTIONS", "WRITES", "KIB", "FLUSHES", "READS"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for row in &self.results {
            let guest = row.guest.name();
            let time = |value: f64| number(value, row.unit);
            rows.push(vec![
                guest.to_owned(),
                row.work.clone(),
                row.file_system.to_owned(),
                time(row.time.median),
                time(row.time.min),
                time(row.time.max),
            ]);
            let cost = &row.cost;
            let figures = [cost.writes, cost.written_kib, cost.flushes, cost.reads].map(|value| format!("{value:.2}"));
            let head =
                [row.work.clone(), guest.to_owned(), row.file_system.to_owned(), format!("{:.0}", cost.instructions)];
            each.push(head.into_iter().chain(figures).collect());
        }
        text += &format!("\n{}\n{}", output::table(&rows), output::table(&each));
        if !self.comparisons.is_empty() {
            let mut rows =
                vec![["WORK", "UNIBODY", "LINUX", "FASTER", "FEWER INSTRUCTIONS"].map(str::to_owned).to_vec()];
            rows.extend(self.comparisons.iter().map(|one| {
                vec![
                    one.work.clone(),
                    one.unibody.to_owned(),
                    one.linux.to_owned(),
                    format!("{:.2}x", one.speedup),
                    format!("{:.2}x", one.instructions),
                ]
            }));
            text += &format!("\n{}", output::table(&rows));
        }
        if !self.goals.is_empty() {
            let mut rows = vec![["GOAL", "VALUE", "MET"].map(str::to_owned).to_vec()];
            rows.extend(self.goals.iter().map(|goal| {
                let digits = if goal.value < 1000.0 { 2 } else { 0 };
                vec![
                    goal.goal.clone(),
                    format!("{:.digits$}", goal.value),
                    if goal.met { "yes" } else { "NO" }.to_owned(),
                ]
            }));
            text += &format!("\n{}", output::table(&rows));
        }
        text
    }
}

fn file_system(measured: &Measured) -> &'static str {
    if measured.side == Side::Linux { measured.storage.linux() } else { measured.storage.ours() }
}

fn unit(work: Work) -> &'static str {
    if matches!(work, Work::Speedtest(_)) { "s" } else { "us/commit" }
}

fn number(value: f64, unit: &str) -> String {
    if unit == "s" { format!("{value:.2} s") } else { format!("{value:.0} us") }
}

/// Compares every Linux figure with ours, and checks the goals.
fn conclude(all: &[Measured]) -> (Vec<Comparison>, Vec<Goal>) {
    let (mut comparisons, mut goals) = (Vec::new(), Vec::new());
    for linux in all.iter().filter(|m| m.side == Side::Linux) {
        let same = |m: &&Measured| m.side == Side::Unibody && m.work == linux.work && on_same(m.storage, linux.storage);
        let Some(ours) = all.iter().find(same) else { continue };
        let Some(speedup) = speedup(&ours.time, &linux.time) else { continue };
        let instructions = linux.cost.instructions / ours.cost.instructions;
        comparisons.push(Comparison {
            work: linux.work.to_string(),
            unibody: file_system(ours),
            linux: file_system(linux),
            speedup,
            instructions,
        });
        match linux.work {
            Work::Speedtest(_) => goals.push(Goal {
                goal: format!("speedtest1 not slower than Linux on {}", file_system(linux)),
                value: speedup,
                met: speedup >= 1.0,
            }),
            Work::Commits(_, journal) if linux.storage == Storage::Ext4 => goals.push(Goal {
                goal: format!("durable commits ({}) {TIMES} times the rate of Linux on ext4", journal.to_uppercase()),
                value: speedup,
                met: speedup >= TIMES,
            }),
            Work::Commits(..) => {}
        }
    }
    for ours in all.iter().filter(|m| m.side == Side::Unibody && m.storage == Storage::Fat) {
        if let Work::Commits(_, journal) = ours.work {
            goals.push(Goal {
                goal: format!("instructions of a durable commit ({}) at most {INSTRUCTIONS}", journal.to_uppercase()),
                value: ours.cost.instructions,
                met: ours.cost.instructions <= INSTRUCTIONS,
            });
        }
    }
    (comparisons, goals)
}

fn on_same(ours: Storage, linux: Storage) -> bool {
    (ours == Storage::Memory) == (linux == Storage::Memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Disk;

    fn measured(side: Side, work: Work, storage: Storage, time: f64, instructions: u64) -> Measured {
        let cost = super::super::Cost::new(1, instructions, Disk::default());
        Measured { side, work, storage, time: Series::new(vec![time]).unwrap(), cost }
    }

    #[test]
    fn conclusions() {
        let commits = Work::Commits(300, "delete");
        let all = [
            measured(Side::Unibody, Work::Speedtest(50), Storage::Memory, 12.0, 1000),
            measured(Side::Linux, Work::Speedtest(50), Storage::Memory, 15.0, 1500),
            measured(Side::Unibody, commits, Storage::Fat, 1000.0, 200_000),
            measured(Side::Linux, commits, Storage::Fat, 3000.0, 500_000),
            measured(Side::Linux, commits, Storage::Ext4, 1500.0, 600_000),
        ];
        let (comparisons, goals) = conclude(&all);
        let ratios: Vec<_> = comparisons.iter().map(|c| (c.linux, c.speedup, c.instructions)).collect();
        assert_eq!(ratios, [("tmpfs", 1.25, 1.5), ("vfat", 3.0, 2.5), ("ext4", 1.5, 3.0)]);
        let met: Vec<_> = goals.iter().map(|goal| goal.met).collect();
        assert_eq!(met, [true, false, true]);
    }
}
