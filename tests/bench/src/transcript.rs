//! A guest's run from its start to its end, with counters read at the two moments that its program announces.
//!
//! The program prints `bench: begin` and `bench: end` and waits for a line after each, so that the clock, the disks'
//! counters and, with `-icount`, executed instructions are read at exactly that moment.

use crate::guest::Guest;
use crate::monitor::{Monitor, Sample};
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::time::{Duration, Instant};

/// Prefix of the lines for the bench.
const MARK: &str = "bench: ";
/// How long a VMM may take to end after its guest's last line.
const POWER_OFF: Duration = Duration::from_secs(20);

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
        let deadline = Instant::now() + limit;
        let mut live = self.start()?;
        let mut input = live.vmm.stdio.try_clone()?;
        let mut monitor = Monitor::new(live.vmm.monitor.try_clone()?)?;
        let mut samples = Vec::new();
        while let Some(line) = live.line(deadline)? {
            let mark = line.strip_prefix(MARK);
            if matches!(mark, Some("begin" | "end")) {
                let end = Instant::now();
                let mut sample = monitor.sample(self.counts).with_context(|| live.said())?;
                // The work is done between our answer to `begin` and the line `end`.
                sample.at = if mark == Some("end") { end } else { Instant::now() };
                samples.push(sample);
                input.write_all(b"\n")?;
            }
        }
        let end = Instant::now() + POWER_OFF;
        while live.vmm.child.try_wait()?.is_none() {
            if Instant::now() > end {
                bail!("the guest does not power off; {}", live.said());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if samples.len() != 2 {
            bail!("the guest ended before its work was done; {}", live.said());
        }
        Ok(Transcript { lines: std::mem::take(&mut live.lines), samples })
    }
}

impl Transcript {
    /// The values that the program printed for a key.
    pub fn values(&self, key: &str) -> Vec<&str> {
        let value = |line: &'_ String| -> Option<(usize, usize)> {
            let rest = line.strip_prefix(MARK)?.strip_prefix(key)?.strip_prefix('=')?;
            Some((line.len() - rest.len(), line.len()))
        };
        self.lines.iter().filter_map(|line| value(line).map(|(from, to)| &line[from..to])).collect()
    }

    /// The only value for a key.
    pub fn one(&self, key: &str) -> Result<&str> {
        match self.values(key)[..] {
            [value] => Ok(value),
            ref all => bail!("the program said {} times what {key} is", all.len()),
        }
    }

    /// Fails if the program reported an error or did not say that it is done.
    pub fn ended_well(&self) -> Result<()> {
        if let Some(error) = self.values("error").first() {
            bail!("the program failed: {error}");
        }
        if !self.lines.iter().any(|line| line.strip_prefix(MARK) == Some("done")) {
            bail!("the program did not end well");
        }
        Ok(())
    }

    /// Seconds between `begin` and `end`, by this machine's clock.
    pub fn seconds(&self) -> f64 {
        self.samples[1].at.duration_since(self.samples[0].at).as_secs_f64()
    }
}

/// Times are taken from this machine's clock. The guest's own must agree except for the time that a line takes to
/// arrive; on a busy machine a guest may have measured its clock's rate wrongly, which is worth reporting.
pub fn clock_off(guest: f64, seen: f64) -> Option<String> {
    let agrees = guest < seen * 1.05 + 0.05 && guest > seen * 0.95 - 0.3;
    (!agrees).then(|| format!("{guest:.3} s, this machine's {seen:.3} s"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use unibody::vmm::qemu::Qemu;

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

    #[test]
    fn what_it_said() {
        let lines = ["bench: a=1", "a=2", "bench: ab=3", "bench: done"].map(str::to_owned).to_vec();
        let transcript = Transcript { lines, samples: vec![] };
        assert_eq!(transcript.values("a"), ["1"]);
        assert!(transcript.one("a").is_ok() && transcript.one("b").is_err() && transcript.ended_well().is_ok());
    }

    #[test]
    fn clocks() {
        assert_eq!(clock_off(10.0, 10.1), None);
        assert_eq!(clock_off(0.05, 0.1), None);
        assert!(clock_off(12.0, 10.0).is_some());
        assert!(clock_off(5.0, 10.0).is_some());
    }
}
