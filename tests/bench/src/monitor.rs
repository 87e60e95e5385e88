//! QEMU's monitor, and the counters that it reads.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// QEMU's monitor.
pub struct Monitor {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Monitor {
    pub fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut monitor = Self { reader: BufReader::new(stream.try_clone()?), writer: stream };
        monitor.ask("qmp_capabilities")?;
        Ok(monitor)
    }

    fn ask(&mut self, what: &str) -> Result<Value> {
        self.writer.write_all(format!("{}\n", json!({"execute": what})).as_bytes()).context("QEMU is gone")?;
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).with_context(|| format!("no answer to {what}"))? == 0 {
                bail!("QEMU ended");
            }
            let mut answer: Value = serde_json::from_str(&line).with_context(|| format!("strange answer: {line}"))?;
            if let Some(error) = answer.get("error") {
                bail!("{what}: {error}");
            }
            // The greeting and events come in between.
            if answer.get("return").is_some() {
                return Ok(answer["return"].take());
            }
        }
    }

    /// All counters; instructions only if the guest counts them.
    pub fn sample(&mut self, counts: bool) -> Result<Sample> {
        let at = Instant::now();
        let instructions = if counts { instructions(&self.ask("query-replay")?)? } else { 0 };
        Ok(Sample { at, instructions, disk: disk(&self.ask("query-blockstats")?) })
    }
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When, by this machine's clock.
    pub at: Instant,
    /// Instructions since the start; 0 if they are not counted.
    pub instructions: u64,
    /// The disks' counters.
    pub disk: Disk,
}

/// Requests to the disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Write requests.
    pub writes: u64,
    /// Bytes in them.
    pub written: u64,
    pub flushes: u64,
    /// Read requests.
    pub reads: u64,
}

fn instructions(answer: &Value) -> Result<u64> {
    answer["icount"].as_u64().filter(|&count| count > 0).context("QEMU does not count instructions")
}

/// The counters of all disks together.
fn disk(answer: &Value) -> Disk {
    let mut sum = Disk::default();
    for device in answer.as_array().into_iter().flatten() {
        let of = |name: &str| device["stats"][name].as_u64().unwrap_or(0);
        sum.writes += of("wr_operations");
        sum.written += of("wr_bytes");
        sum.flushes += of("flush_operations");
        sum.reads += of("rd_operations");
    }
    sum
}

impl Disk {
    /// The difference since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            writes: self.writes.saturating_sub(earlier.writes),
            written: self.written.saturating_sub(earlier.written),
            flushes: self.flushes.saturating_sub(earlier.flushes),
            reads: self.reads.saturating_sub(earlier.reads),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters() {
        let stats = |w, f| json!({"stats": {"wr_operations": w, "wr_bytes": 512 * w, "flush_operations": f, "rd_operations": 0}});
        let later = disk(&json!([stats(10, 4), stats(1, 0)]));
        assert_eq!(later, Disk { writes: 11, written: 5632, flushes: 4, reads: 0 });
        assert_eq!(later.since(disk(&json!([stats(10, 3)]))), Disk { writes: 1, written: 512, flushes: 1, reads: 0 });
        assert!(instructions(&json!({"mode": "none", "icount": 0})).is_err());
        assert_eq!(instructions(&json!({"mode": "record", "icount": 7})).unwrap(), 7);
    }
}
