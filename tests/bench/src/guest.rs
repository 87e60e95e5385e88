//! A guest: how it is started, and what it says while it runs.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use unibody::vmm::Running;
use unibody::vmm::qemu::Qemu;
use unibody_support::netns::Netns;

/// Bytes kept of streams that matter only when something fails.
const KEPT: usize = 8 << 10;
/// Lines that a failure shows.
const SHOWN: usize = 15;

/// Which guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Unibody,
    Linux,
}

impl Side {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unibody => "unibody",
            Self::Linux => "Linux",
        }
    }
}

/// The sides of a bench, in a round's order: alternating, so that neither guest always has the colder or the warmer
/// machine.
pub fn turns(against: bool, round: u32) -> Vec<Side> {
    let mut sides = vec![Side::Unibody];
    sides.extend(against.then_some(Side::Linux));
    if round.is_multiple_of(2) {
        sides.reverse();
    }
    sides
}

/// A guest that can be started.
pub struct Guest {
    /// The VMM.
    pub qemu: Qemu,
    pub args: Vec<OsString>,
    /// Whether it counts instructions ([`crate::machine::COUNT`]).
    pub counts: bool,
}

/// One that runs; it is killed when this is dropped.
pub struct Live {
    pub vmm: Running<UnixStream>,
    /// What the program has printed so far.
    pub lines: Vec<String>,
    inbox: Receiver<String>,
    aside: Arc<Mutex<String>>,
}

impl Guest {
    /// The same with its VMM in a network namespace.
    pub fn inside(self, netns: &Netns) -> Self {
        // Entering the namespace of an ordinary user undoes that the VMM ends with us.
        let first = ["--pdeathsig", "KILL"].map(OsStr::new).into_iter().chain([self.qemu.program.as_os_str()]);
        let command = netns.command("setpriv", first.chain(self.args.iter().map(OsString::as_os_str)));
        let args = command.get_args().map(OsString::from).collect();
        Self { qemu: Qemu { program: command.get_program().into() }, args, counts: self.counts }
    }

    /// Starts it.
    pub fn start(&self) -> Result<Live> {
        let mut vmm = self.qemu.spawn(&self.args)?;
        let aside = Arc::new(Mutex::new(String::new()));
        keep(vmm.log.try_clone()?, aside.clone());
        keep(vmm.stderr.try_clone()?, aside.clone());
        keep(vmm.control.try_clone()?, Arc::default());
        if let Some(stderr) = vmm.child.stderr.take() {
            keep(stderr, aside.clone());
        }
        let inbox = lines(vmm.stdio.try_clone()?);
        Ok(Live { vmm, lines: Vec::new(), inbox, aside })
    }

    /// Starts it and waits until the program prints a line.
    pub fn start_until(&self, line: &str, patience: Duration) -> Result<Live> {
        let mut live = self.start()?;
        let deadline = Instant::now() + patience;
        loop {
            match live.line(deadline)? {
                Some(said) if said == line => return Ok(live),
                Some(_) => {}
                None => bail!("the guest has ended; {}", live.said()),
            }
        }
    }
}

impl Live {
    /// The next line of the program; `None` at the end of its output.
    pub fn line(&mut self, deadline: Instant) -> Result<Option<String>> {
        match self.inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.lines.push(line.clone());
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("the guest takes too long; {}", self.said()),
        }
    }

    /// Its last words, for a failure message.
    pub fn said(&self) -> String {
        let unread: Vec<_> = self.inbox.try_iter().collect();
        let all = self.lines.iter().chain(&unread);
        let last: Vec<_> = all.rev().take(SHOWN).map(String::as_str).collect();
        let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        let aside = self.aside.lock().map(|text| text.clone()).unwrap_or_default();
        format!("its last lines:\n{last}\n{}", aside.trim_end())
    }

    /// The process id of its VMM.
    pub fn pid(&self) -> u32 {
        self.vmm.child.id()
    }

    /// Fails if the VMM has ended.
    pub fn alive(&mut self) -> Result<()> {
        match self.vmm.child.try_wait().context("the VMM is gone")? {
            None => Ok(()),
            Some(status) => bail!("the VMM has ended ({status}); {}", self.said()),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.vmm.child.kill();
        let _ = self.vmm.child.wait();
    }
}

/// Splits a stream into lines, in a separate thread.
pub fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_take_turns() {
        assert_eq!(turns(true, 1), [Side::Unibody, Side::Linux]);
        assert_eq!(turns(true, 2), [Side::Linux, Side::Unibody]);
        assert_eq!(turns(false, 2), [Side::Unibody]);
    }
}
