//! One guest from its start to its end, with counters read at the two moments that its program announces.
//!
//! The program prints `bench: begin` and `bench: end` and waits for a line after each, so that the clock, the disks'
//! counters and, with `-icount`, executed instructions are read at exactly that moment.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use unibody::vmm::Running;
use unibody::vmm::qemu::Qemu;

/// Prefix of the lines for the bench.
const MARK: &str = "bench: ";
/// How long a VMM may take to end after its guest's last line.
const POWER_OFF: Duration = Duration::from_secs(20);
/// Bytes kept of streams that matter only when something fails.
const KEPT: usize = 8 << 10;

/// QEMU's arguments that make it count instructions. It reports the number (`query-replay`) only while recording; the
/// recording itself is discarded. Idle time is not counted. (With `sleep=off`, which skips it, a recorded Linux guest
/// gets no input.)
pub const COUNT: [&str; 6] =
    ["-icount", "shift=0,rr=record,rrfile=/dev/null", "-rtc", "clock=vm,base=2024-01-01", "-seed", "1"];

/// A guest that can be started.
pub struct Guest {
    /// The VMM.
    pub qemu: Qemu,
    pub args: Vec<OsString>,
    /// Whether [`COUNT`] is among the arguments.
    pub counts: bool,
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

/// A guest's whole run.
pub struct Transcript {
    /// What the program printed.
    pub lines: Vec<String>,
    /// At `begin` and at `end`.
    pub samples: Vec<Sample>,
}

impl Guest {
    /// Runs it to its end.
    pub fn run(&self, limit: Duration) -> Result<Transcript> {
        let mut vmm = self.qemu.spawn(&self.args)?;
        let result = self.follow(&mut vmm, Instant::now() + limit);
        // Whatever the result, nothing is left running.
        let _ = vmm.child.kill();
        let _ = vmm.child.wait();
        result
    }

    fn follow(&self, vmm: &mut Running<UnixStream>, deadline: Instant) -> Result<Transcript> {
        let aside = Arc::new(Mutex::new(String::new()));
        keep(vmm.log.try_clone()?, aside.clone());
        keep(vmm.stderr.try_clone()?, aside.clone());
        keep(vmm.control.try_clone()?, Arc::default());
        if let Some(stderr) = vmm.child.stderr.take() {
            keep(stderr, aside.clone());
        }
        let inbox = lines(vmm.stdio.try_clone()?);
        let mut input = vmm.stdio.try_clone()?;
        let mut monitor = Monitor::new(vmm.monitor.try_clone()?)?;
        let mut transcript = Transcript { lines: Vec::new(), samples: Vec::new() };
        let said = |transcript: &Transcript| {
            let last = transcript.lines.iter().rev().take(15).rev().cloned().collect::<Vec<_>>().join("\n");
            let aside = aside.lock().map(|text| text.clone()).unwrap_or_default();
            format!("its last lines:\n{last}\n{}", aside.trim_end())
        };
        loop {
            match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let mark = line.strip_prefix(MARK);
                    if matches!(mark, Some("begin" | "end")) {
                        let end = Instant::now();
                        let mut sample = monitor.sample(self.counts).with_context(|| said(&transcript))?;
                        // The work is done between our answer to `begin` and the line `end`.
                        sample.at = if mark == Some("end") { end } else { Instant::now() };
                        transcript.samples.push(sample);
                        input.write_all(b"\n")?;
                    }
                    transcript.lines.push(line);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("the guest takes too long; {}", said(&transcript)),
            }
        }
        let end = Instant::now() + POWER_OFF;
        while vmm.child.try_wait()?.is_none() {
            if Instant::now() > end {
                bail!("the guest does not power off; {}", said(&transcript));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if transcript.samples.len() != 2 {
            bail!("the guest ended before its work was done; {}", said(&transcript));
        }
        Ok(transcript)
    }
}

/// Splits a stream into lines, in a separate thread.
fn lines(stream: UnixStream) -> Receiver<String> {
    let (sender, inbox) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    inbox
}

/// Reads a stream to its end and keeps the last part.
fn keep(mut from: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let Ok(mut kept) = into.lock() else { return };
            kept.push_str(&String::from_utf8_lossy(&buffer[..count]));
            if let Some(excess) = kept.len().checked_sub(KEPT) {
                let cut = (excess..).find(|&at| kept.is_char_boundary(at)).unwrap_or(0);
                kept.drain(..cut);
            }
        }
    });
}

/// QEMU's monitor.
struct Monitor {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Monitor {
    fn new(stream: UnixStream) -> Result<Self> {
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

    fn sample(&mut self, counts: bool) -> Result<Sample> {
        let at = Instant::now();
        let instructions = if counts { instructions(&self.ask("query-replay")?)? } else { 0 };
        Ok(Sample { at, instructions, disk: disk(&self.ask("query-blockstats")?) })
    }
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

    #[test]
    fn a_guest_that_says_nothing_fails() {
        let guest = |script: &str| Guest {
            qemu: Qemu { program: "/bin/sh".into() },
            args: ["-c", script].map(OsString::from).to_vec(),
            counts: false,
        };
        // It completes the monitor's handshake and exits.
        let script = "read x <&7; echo '{\"return\":{}}' >&7; echo hello >&3";
        let error = guest(script).run(Duration::from_secs(20)).err().unwrap().to_string();
        assert!(error.contains("before its work was done") && error.contains("hello"), "{error}");
        let error = guest("read x <&7; echo '{\"return\":{}}' >&7; exec sleep 60").run(Duration::from_millis(300));
        assert!(error.err().unwrap().to_string().contains("too long"));
    }
}
