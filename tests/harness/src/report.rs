//! What the tests print: one line per case, failures with their output, the totals at the end.

use super::pool::Done;
use super::process;
use anyhow::Result;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts finished cases.
pub struct Progress {
    total: usize,
    finished: AtomicUsize,
}

impl Progress {
    /// For this many cases.
    pub fn new(total: usize) -> Self {
        Self { total, finished: AtomicUsize::new(0) }
    }

    /// Prints the lines of a case that has ended; a failure is shown in full at once, so that nobody watching need
    /// wait.
    pub fn done(&self, done: &Done) {
        let n = self.finished.fetch_add(1, Ordering::Relaxed) + 1;
        let word = match &done.result {
            Err(_) => "FAIL",
            Ok(tally) if tally.failed > 0 => "FAIL",
            Ok(tally) if tally.passed == 0 => "skip",
            Ok(_) => "ok",
        };
        let mut text = format!("[{n}/{}] {word:4} {} ({:.1} s)", self.total, done.name, done.took.as_secs_f32());
        match &done.result {
            Ok(tally) => {
                if !tally.note.is_empty() {
                    text += &format!("  {}", tally.note);
                }
                for reason in &tally.skipped {
                    text += &format!("\n        skipped: {reason}");
                }
            }
            Err(error) => text += &format!("\n{}", failure(&done.name, error)),
        }
        write(&text);
    }
}

/// A failure's text: what happened, and how to reproduce it.
pub fn failure(name: &str, error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let indented: String = text.trim_end().lines().map(|line| format!("    {line}\n")).collect();
    format!("{indented}    again: cargo unibody test {name}")
}

/// One write per text, so that lines of cases that end together do not mix. A closed standard output is no reason to
/// stop testing.
fn write(text: &str) {
    let _ = std::io::stdout().lock().write_all(format!("{text}\n").as_bytes());
}

/// Lists the failures again, prints the totals, and returns the exit status.
pub fn summary(results: &[Done]) -> Result<u8> {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let mut broken = Vec::new();
    for done in results {
        match &done.result {
            Ok(tally) => {
                passed += tally.passed;
                failed += tally.failed;
                skipped += tally.skipped.len();
                if tally.failed > 0 {
                    broken.push(done.name.as_str());
                }
            }
            Err(_) => {
                failed += 1;
                broken.push(done.name.as_str());
            }
        }
    }
    for name in broken {
        write(&format!("failed: {name}"));
    }
    if process::interrupted() {
        write("interrupted: not everything was run");
    }
    write(&format!("{passed} passed, {failed} failed, {skipped} skipped"));
    Ok(u8::from(failed > 0 || process::interrupted()))
}
