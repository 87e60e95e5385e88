//! Running a program to its end or its time limit, capturing all of its output.

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

thread_local! {
    /// The deadline of the case that this thread runs.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// From now on Ctrl-C ends the running programs, and then this one.
pub fn watch_for_interrupts() -> Result<()> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("cannot watch for Ctrl-C")?;
    }
    Ok(())
}

/// Whether the user wants this to end.
pub fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// The case that this thread starts must end within `limit`.
pub fn set_limit(limit: Duration) {
    DEADLINE.set(Some(Instant::now() + limit));
}

/// The deadline of a step that asks for `wanted`.
fn allowed(wanted: Duration) -> Instant {
    let end = Instant::now() + wanted;
    DEADLINE.get().map_or(end, |deadline| deadline.min(end))
}

/// How it ended.
#[derive(Debug)]
pub struct Finished {
    /// As a shell shows it.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// The command line, for pasting.
    pub line: String,
    /// Whether we killed it because it took too long.
    pub timed_out: bool,
    /// How long it took.
    pub took: Duration,
}

impl Finished {
    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// All of it, for a failure message.
    pub fn report(&self) -> String {
        let end = if self.timed_out { "took too long and was ended".into() } else { format!("status {}", self.status) };
        let part = |name: &str, bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let lines: Vec<_> = text.lines().collect();
            let first = lines.len().saturating_sub(80);
            let cut = if first > 0 { format!("  ... {first} lines before ...\n") } else { String::new() };
            if lines.is_empty() { String::new() } else { format!("--- {name}\n{cut}{}\n", lines[first..].join("\n")) }
        };
        format!(
            "$ {}\n{end}\n{}{}",
            self.line,
            part("standard output", &self.stdout),
            part("standard error", &self.stderr)
        )
    }

    /// An error unless it ended with this status.
    pub fn expect(self, status: i32) -> Result<Self> {
        if self.timed_out || self.status != status {
            bail!("expected exit status {status}\n{}", self.report());
        }
        Ok(self)
    }
}

/// The status as a shell shows it.
pub fn shell_status(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// A running program; it is killed when this is dropped.
pub struct Running {
    child: Child,
    out: Option<JoinHandle<Vec<u8>>>,
    err: Option<JoinHandle<Vec<u8>>>,
    line: String,
    start: Instant,
    ended: Option<ExitStatus>,
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> Option<JoinHandle<Vec<u8>>> {
    pipe.map(|mut pipe| {
        std::thread::spawn(move || {
            let mut all = Vec::new();
            let _ = pipe.read_to_end(&mut all);
            all
        })
    })
}

/// Keeps descriptors that this process inherited from the programs under test, which count their own.
pub fn keep_descriptors_to_ourselves() {
    const CLOSE_RANGE_CLOEXEC: std::ffi::c_uint = 4;
    // SAFETY: the call changes one flag of descriptors that nothing here uses. A Linux without it (before 5.11) returns
    // an error, and at worst a case sees an unexpected number.
    unsafe { nix::libc::syscall(nix::libc::SYS_close_range, 3, u32::MAX, CLOSE_RANGE_CLOEXEC) };
}

/// Starts it in a new session, without a terminal.
pub fn start(command: &mut Command, stdin: &[u8]) -> Result<Running> {
    let line = unibody::command::line(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A command that is started again has this closure once more: then the session is new already (EPERM).
    let new_session = || {
        let _ = nix::unistd::setsid();
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes one system call; it neither allocates nor takes a lock.
    unsafe { command.pre_exec(new_session) };
    let mut child = command.spawn().with_context(|| format!("cannot start {line}"))?;
    if let Some(mut pipe) = child.stdin.take() {
        let bytes = stdin.to_vec();
        std::thread::spawn(move || pipe.write_all(&bytes));
    }
    let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
    Ok(Running { child, out, err, line, start: Instant::now(), ended: None })
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still running.
    pub fn alive(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended.is_none()
    }

    fn signal(&self, signal: Signal) {
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), signal);
    }

    fn end(&mut self) {
        self.signal(Signal::SIGTERM);
        let grace = Instant::now() + Duration::from_secs(2);
        while self.alive() && Instant::now() < grace {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.signal(Signal::SIGKILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
    }

    /// Waits for it to end; kills it after `limit`.
    pub fn wait(mut self, limit: Duration) -> Result<Finished> {
        let end = allowed(limit);
        let mut timed_out = false;
        while self.alive() {
            if Instant::now() > end || interrupted() {
                timed_out = true;
                self.end();
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = self.start.elapsed();
        let collect = |thread: Option<JoinHandle<Vec<u8>>>| thread.and_then(|t| t.join().ok()).unwrap_or_default();
        let status = self.ended.map_or(-1, shell_status);
        let (stdout, stderr) = (collect(self.out.take()), collect(self.err.take()));
        Ok(Finished { status, stdout, stderr, line: std::mem::take(&mut self.line), timed_out, took })
    }

    /// Sends SIGTERM and waits.
    pub fn terminate(self, limit: Duration) -> Result<Finished> {
        nix::sys::signal::kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)
            .context("cannot send SIGTERM")?;
        self.wait(limit)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.alive() {
            self.end();
        }
    }
}

/// Runs it to the end.
pub fn run(command: &mut Command, stdin: &[u8], limit: Duration) -> Result<Finished> {
    start(command, stdin)?.wait(limit)
}

/// A command with these words.
pub fn command<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, words: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(words);
    command
}

/// Retries until it succeeds or `limit` is over; then returns the last error.
pub fn eventually<T>(limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let end = allowed(limit);
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > end || interrupted() => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_output() {
        let sh = |script: &str| run(&mut command("sh", ["-c", script]), b"in", Duration::from_secs(10)).unwrap();
        let f = sh("cat; echo err >&2; exit 7");
        assert_eq!((f.status, &f.stdout[..], &f.stderr[..]), (7, &b"in"[..], &b"err\n"[..]));
        assert_eq!(sh("kill -SEGV $$").status, 139);
        assert!(sh("exit 3").expect(0).is_err());
    }

    #[test]
    fn a_limit_ends_it() {
        let f = run(&mut command("sh", ["-c", "trap '' TERM; sleep 100"]), b"", Duration::from_millis(100)).unwrap();
        assert!(f.timed_out && f.took < Duration::from_secs(20));
        assert!(f.report().contains("took too long"));
    }
}
