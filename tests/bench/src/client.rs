//! A client on this computer, in the guest's network, that says line by line how far it is.

use crate::guest::lines;
use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// See the module. It is killed when this is dropped.
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Client {
    pub fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| unibody::command::line(command))?;
        let lines = lines(child.stdout.take().context("a client without output")?);
        Ok(Self { stdin: child.stdin.take(), child, lines })
    }

    /// Waits for a line, as long as `other` has nothing to complain about.
    pub fn expect(&mut self, line: &str, limit: Duration, mut other: impl FnMut() -> Result<()>) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(Duration::from_millis(50)) {
                Ok(said) => {
                    ensure!(said == line, "the client said {said:?}, not {line:?}");
                    return Ok(());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let mut said = String::new();
                    let _ = self.child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
                    bail!("the client failed: {}", said.trim());
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() > end => bail!("no {line:?} within {limit:?}"),
                Err(RecvTimeoutError::Timeout) => other()?,
            }
        }
    }

    /// Lets it go on.
    pub fn go_on(&mut self) -> Result<()> {
        self.stdin.as_mut().context("the client takes no input")?.write_all(b"\n").context("the client is gone")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_does() {
        let sh = |script: &str| Client::start(Command::new("sh").args(["-c", script])).unwrap();
        let limit = Duration::from_secs(20);
        let mut client = sh("echo ready; read x; echo done; echo why >&2; exit 1");
        client.expect("ready", limit, || Ok(())).unwrap();
        client.go_on().unwrap();
        client.expect("done", limit, || Ok(())).unwrap();
        let error = client.expect("more", limit, || Ok(())).unwrap_err().to_string();
        assert!(error.contains("why"), "{error}");
        assert!(sh("sleep 60").expect("x", Duration::from_millis(100), || Ok(())).is_err());
        assert!(sh("sleep 60").expect("x", limit, || bail!("it has ended")).is_err());
    }
}
