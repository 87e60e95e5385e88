//! Figures of the two guests side by side, as a Markdown table.

use crate::Bench;
use crate::guest::Side;
use crate::setup::Setup;
use crate::stats::Series;
use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;

/// Something that is measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct What {
    /// The table that it is in.
    pub table: &'static str,
    pub name: String,
    /// Empty if it is a plain number.
    pub unit: &'static str,
    /// Whether more of it is better.
    pub more_is_better: bool,
}

impl What {
    /// A cost: less is better.
    pub fn cost(table: &'static str, name: impl Into<String>, unit: &'static str) -> Self {
        Self { table, name: name.into(), unit, more_is_better: false }
    }

    /// A rate: more is better.
    pub fn rate(table: &'static str, name: impl Into<String>, unit: &'static str) -> Self {
        Self { table, name: name.into(), unit, more_is_better: true }
    }
}

/// All figures of a bench.
#[derive(Serialize)]
pub struct Report {
    pub bench: &'static str,
    #[serde(flatten)]
    pub setup: Setup,
    /// Versions of what was compared.
    pub versions: Vec<String>,
    /// Oddities that are not errors.
    pub notes: Vec<String>,
    figures: Vec<Figure>,
}

#[derive(Serialize)]
struct Figure {
    #[serde(flatten)]
    what: What,
    #[serde(skip_serializing_if = "Option::is_none")]
    unibody: Option<Series>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linux: Option<Series>,
    /// How many times better ours is.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
}

impl Report {
    pub fn new(bench: &'static str, setup: Setup) -> Self {
        Self { bench, setup, versions: Vec::new(), notes: Vec::new(), figures: Vec::new() }
    }

    /// Adds a value of one round.
    pub fn add(&mut self, side: Side, what: What, value: f64) {
        let at = self.figures.iter().position(|figure| figure.what == what).unwrap_or_else(|| {
            self.figures.push(Figure { what, unibody: None, linux: None, ratio: None });
            self.figures.len() - 1
        });
        let figure = &mut self.figures[at];
        let series = if side == Side::Unibody { &mut figure.unibody } else { &mut figure.linux };
        let mut values = series.take().map(|series| series.values).unwrap_or_default();
        values.push(value);
        *series = Series::new(values);
        figure.ratio = match (&figure.unibody, &figure.linux) {
            (Some(ours), Some(theirs)) if figure.what.more_is_better => ratio(ours.median, theirs.median),
            (Some(ours), Some(theirs)) => ratio(theirs.median, ours.median),
            _ => None,
        };
    }

    /// As JSON and for people; fails if nothing was measured, which is `--only`'s doing.
    pub fn finish(&self, options: &Bench) -> Result<(Value, String)> {
        if self.figures.is_empty() {
            bail!("--only {} matches nothing", options.only.as_deref().unwrap_or_default());
        }
        Ok((serde_json::to_value(self)?, self.text()))
    }

    /// Remarks that something is odd.
    pub fn note(&mut self, text: String) {
        eprintln!("unibody: {text}");
        self.notes.push(text);
    }

    /// For people, and for docs/benchmarks.md: medians.
    fn text(&self) -> String {
        let Setup { qemu, accelerator, machine, rounds, .. } = &self.setup;
        let mut text = format!("{qemu}, {accelerator}, {machine}");
        self.versions.iter().for_each(|version| text += &format!("; {version}"));
        let _ = writeln!(text, "; medians of rounds: {rounds}");
        let mut tables: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !tables.contains(&figure.what.table) {
                tables.push(figure.what.table);
            }
        }
        for table in tables {
            let _ = writeln!(text, "\n| {table} | unibody | Linux | times better |\n|---|---|---|---|");
            self.figures.iter().filter(|figure| figure.what.table == table).for_each(|figure| text += &figure.row());
        }
        for note in &self.notes {
            let _ = writeln!(text, "\nNote: {note}");
        }
        text
    }
}

impl Figure {
    fn row(&self) -> String {
        let median = |series: &Option<Series>| series.as_ref().map(|s| number(s.median)).unwrap_or_default();
        let ratio = self.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let What { name, unit, .. } = &self.what;
        let comma = if unit.is_empty() { "" } else { ", " };
        format!("| {name}{comma}{unit} | {} | {} | {ratio} |\n", median(&self.unibody), median(&self.linux))
    }
}

fn ratio(better: f64, worse: f64) -> Option<f64> {
    (worse > 0.0).then(|| better / worse)
}

/// Three digits at least, thousands apart.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v < 0.001 => return "0".to_owned(),
        v if v < 1.0 => 3,
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(
            [1_076_595.4, 360.0, 41.26, 5.0, 0.0213, 0.0].map(number),
            ["1,076,595", "360", "41.3", "5.00", "0.021", "0"]
        );
    }

    #[test]
    fn a_table() {
        let setup = Setup { qemu: "Q".into(), accelerator: "tcg", machine: "q35".into(), processors: 2, rounds: 3 };
        let mut report = Report::new("os", setup);
        for (ours, theirs) in [(10.0, 40.0), (20.0, 50.0), (30.0, 60.0)] {
            report.add(Side::Unibody, What::cost("calls", "getppid", "ns"), ours);
            report.add(Side::Linux, What::cost("calls", "getppid", "ns"), theirs);
        }
        report.add(Side::Unibody, What::cost("calls", "getpid", ""), 7.0);
        report.add(Side::Linux, What::rate("rates", "requests", "1/s"), 1234.0);
        report.add(Side::Unibody, What::rate("rates", "requests", "1/s"), 2468.0);
        report.add(Side::Unibody, What::cost("calls", "getuid", "ns"), 8.0);
        let text = report.text();
        assert!(text.contains("| calls | unibody | Linux | times better |\n|---|---|---|---|\n"), "{text}");
        assert!(text.contains("| getppid, ns | 20.0 | 50.0 | 2.50 |"), "{text}");
        // Each table in one piece.
        assert_eq!(text.matches("| calls |").count(), 1, "{text}");
        assert!(text.contains("| getpid | 7.00 |  |  |"), "{text}");
        assert!(text.contains("| requests, 1/s | 2,468 | 1,234 | 2.00 |"), "{text}");
    }
}
