//! `unibody logs`.

use crate::output;
use crate::run::log;
use crate::state;
use anyhow::{Result, ensure};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Show what a detached VM's program and kernel said
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  unibody logs web\n  unibody logs -f --tail 20 web\n\n\
    Logs are kept until `unibody rm`; of a long one, the last 10 to 20 MiB.")]
pub struct Logs {
    /// Name of the VM
    name: String,
    /// Keep showing new output until the VM ends
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
}

impl Logs {
    pub fn run(self) -> Result<u8> {
        let entry = state::open(&self.name)?;
        ensure!(entry.record.detached, "'{}' runs in the foreground: its output is where it was started", self.name);
        let path = entry.folder.join(log::NAME);
        let mut file = File::open(&path)?;
        let mut all = std::fs::read(entry.folder.join(format!("{}.1", log::NAME))).unwrap_or_default();
        file.read_to_end(&mut all)?;
        output::bytes(self.tail.map_or(&all[..], |count| last_lines(&all, count)))?;
        if self.follow {
            follow(&self.name, &path, file)?;
        }
        Ok(0)
    }
}

/// Prints what is added to the log, also across a rotation, until its VM has ended.
fn follow(name: &str, path: &Path, mut file: File) -> Result<()> {
    loop {
        // Checked before reading, so that everything written before the end is still read.
        let running = state::open(name).is_ok_and(|entry| entry.running);
        let mut more = Vec::new();
        file.read_to_end(&mut more)?;
        output::bytes(&more)?;
        let rotated = path.metadata().is_ok_and(|new| file.metadata().is_ok_and(|old| old.ino() != new.ino()));
        if rotated {
            // Output may have been added to the old file between the read and the rename.
            let mut rest = Vec::new();
            file.read_to_end(&mut rest)?;
            output::bytes(&rest)?;
            file = File::open(path)?;
        } else if !running {
            return Ok(());
        } else if more.is_empty() {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn last_lines(text: &[u8], count: usize) -> &[u8] {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let mut newlines = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    match count.checked_sub(1) {
        None => b"",
        Some(skip) => newlines.nth(skip).map_or(text, |at| &text[at + 1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails() {
        assert_eq!(last_lines(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(last_lines(b"a\nb\nc", 1), b"c");
        assert_eq!(last_lines(b"a\nb\n", 9), b"a\nb\n");
        assert_eq!(last_lines(b"a\n", 0), b"");
        assert_eq!(last_lines(b"", 3), b"");
    }
}
