//! A dialogue with a program: it prints a line, the test does something and answers.

use crate::process;
use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// See the module. The program is killed when this is dropped.
pub struct Talk {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Arc<Mutex<Vec<u8>>>,
    err: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
    /// How much of the output was examined.
    seen: usize,
    line: String,
}

fn collect(pipe: Option<impl Read + Send + 'static>, to: &Arc<Mutex<Vec<u8>>>) -> Option<JoinHandle<()>> {
    let to = Arc::clone(to);
    pipe.map(|mut pipe| {
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                to.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..n]);
            }
        })
    })
}

impl Talk {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Self> {
        let line = unibody::command::line(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {line}"))?;
        let (out, err) = (Arc::default(), Arc::default());
        let readers = [collect(child.stdout.take(), &out), collect(child.stderr.take(), &err)];
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, out, err, readers: readers.into_iter().flatten().collect(), seen: 0, line })
    }

    /// Sends a line.
    pub fn say(&mut self, text: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("its input was closed")?;
        stdin
            .write_all(text.as_bytes())
            .and_then(|()| stdin.flush())
            .with_context(|| format!("it takes no input\n{}", self.report()))
    }

    /// The next whole line that ends with `word`; anything before it is skipped.
    pub fn line_with(&mut self, word: &str, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            let ended = self.ended()?.is_some();
            let found = {
                let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
                let mut found = None;
                while let Some(length) = out[self.seen..].iter().position(|byte| *byte == b'\n') {
                    let line = String::from_utf8_lossy(&out[self.seen..self.seen + length]).into_owned();
                    self.seen += length + 1;
                    if line.trim_end().ends_with(word) {
                        found = Some(line);
                        break;
                    }
                }
                found
            };
            if let Some(line) = found {
                return Ok(line);
            }
            if ended || process::interrupted() || Instant::now() > end {
                let why = if ended { "it ended" } else { "it took too long" };
                bail!("no line that ends with '{word}': {why}\n{}", self.report());
            }
            std::thread::sleep(Duration::from_micros(300));
        }
    }

    fn ended(&mut self) -> Result<Option<i32>> {
        Ok(self.child.try_wait()?.map(process::shell_status))
    }

    /// Closes its input and waits for it to end; returns the status and all of its output.
    pub fn finish(mut self, limit: Duration) -> Result<(i32, String, String)> {
        self.stdin = None;
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended()? {
                for reader in self.readers.drain(..) {
                    let _ = reader.join();
                }
                return Ok((status, self.output(), self.errors()));
            }
            if process::interrupted() || Instant::now() > end {
                bail!("it does not end\n{}", self.report());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Standard output so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.out.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Standard error so far.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.err.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Its output, for a failure message.
    pub fn report(&self) -> String {
        let tail = |text: String| {
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(40)..].join("\n")
        };
        format!(
            "$ {}\n--- standard output\n{}\n--- standard error\n{}",
            self.line,
            tail(self.output()),
            tail(self.errors())
        )
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(None)) {
            let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
            let end = Instant::now() + Duration::from_secs(3);
            while matches!(self.ended(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_and_answer() {
        let script = "while read x; do echo other; echo got $x; done; echo err >&2; exit 3";
        let mut talk = Talk::start(&mut process::command("sh", ["-c", script])).unwrap();
        let limit = Duration::from_secs(10);
        for word in ["one", "two"] {
            talk.say(&format!("{word}\n")).unwrap();
            assert_eq!(talk.line_with(word, limit).unwrap(), format!("got {word}"));
        }
        let (status, out, err) = talk.finish(limit).unwrap();
        assert_eq!((status, &*err, out.lines().count()), (3, "err\n", 4));
        let mut ended = Talk::start(&mut process::command("sh", ["-c", "echo no"])).unwrap();
        assert!(ended.line_with("yes", limit).unwrap_err().to_string().contains("it ended"));
    }
}
