//! `run -d`: a second process, cut off from the terminal, supervises the VM. The first hands it the options, waits until
//! the program is up, and reports.

use super::log::Log;
use super::options::RunArgs;
use super::prepare::prepare;
use super::start;
use super::supervisor::Outcome;
use crate::failure::{self, Usage};
use crate::image::Image;
use crate::output::json_line;
use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Name of the hidden command that the second process runs.
pub const COMMAND: &str = "supervise";
/// How long the first process waits for a VM that is still starting.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the second process reads from its standard input.
#[derive(Serialize, Deserialize)]
struct Order {
    args: RunArgs,
    image: PathBuf,
}

/// What it writes to its standard output, one line each.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Report {
    /// For the user.
    Note(String),
    /// Up, or at least started, under this name.
    Up(String),
    /// It ended at once, with this status.
    Ended(String, u8),
    /// It could not be started: the reason, and the status to end with.
    Failed(String, u8),
}

/// Starts a detached VM and prints its name.
pub fn detached(args: &RunArgs, image: PathBuf) -> Result<u8> {
    let order = Order { args: args.clone(), image };
    let order = serde_json::to_vec(&order).context("a detached VM needs its file names to be UTF-8")?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg(COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the supervisor")?;
    child.stdin.take().context("no pipe")?.write_all(&order)?;
    for line in BufReader::new(child.stdout.take().context("no pipe")?).lines() {
        match serde_json::from_str(&line?)? {
            Report::Note(text) => start::say(&text),
            Report::Up(name) => {
                crate::output::line(&name)?;
                return Ok(0);
            }
            Report::Ended(name, status) => {
                start::say(&format!("{name} has ended with status {status}; `unibody logs {name}` shows its output"));
                return Ok(status);
            }
            Report::Failed(text, 2) => return Err(failure::usage(text)),
            Report::Failed(text, _) => bail!("{text}"),
        }
    }
    bail!("the supervisor ended without a word ({})", child.wait()?)
}

/// The second process.
pub fn supervise() -> Result<u8> {
    // Ignored: a failure could be reported only to the first process, and that may be gone.
    let _ = nix::unistd::setsid();
    let reports = Reports(Arc::new(Mutex::new(Some(std::io::stdout()))));
    match supervised(&reports) {
        Ok(status) => Ok(status),
        Err(error) => {
            let status = if error.is::<Usage>() { 2 } else { 1 };
            reports.last(&Report::Failed(format!("{error:#}"), status));
            Ok(status)
        }
    }
}

fn supervised(reports: &Reports) -> Result<u8> {
    let order: Order = serde_json::from_reader(std::io::stdin().lock()).map_err(|error| anyhow!("order: {error}"))?;
    let image = Image::open(&order.image)?;
    let mut vm = prepare(&order.args, &image, &mut |text| reports.send(&Report::Note(text.to_owned())))?;
    drop(image);
    let claim = start::claim(&mut vm)?;
    let name = vm.record.name.clone();
    let log = Arc::new(Log::open(&claim.folder)?);
    let (up, urls) = (reports.clone(), vm.publish.clone());
    let up_name = name.clone();
    let ready = Box::new(move || {
        for publish in &urls {
            up.send(&Report::Note(publish.url()));
        }
        up.last(&Report::Up(up_name));
    });
    let (late, late_name) = (reports.clone(), name.clone());
    std::thread::spawn(move || {
        std::thread::sleep(PATIENCE);
        late.last(&Report::Up(late_name));
    });
    let result = start::run(&mut vm, &claim, Some(log.clone()), Some(ready));
    let (outcome, errors) = match result {
        Ok(ended) => ended,
        Err(error) => {
            // It never started, so there is no log to keep.
            let _ = claim.remove();
            return Err(error);
        }
    };
    let mut note = |text: &str| log.write(format!("unibody: {text}\n").as_bytes());
    match start::status(&name, &outcome, &errors, &mut note) {
        Ok(status) => {
            reports.last(&Report::Ended(name, status));
            Ok(status)
        }
        Err(error) => {
            note(&format!("{error:#}"));
            // If it was never reported as up, the reason goes to the terminal and the entry is removed.
            let told = reports.last(&Report::Failed(format!("{error:#}"), 1));
            if told && matches!(outcome, Outcome::Lost(_)) {
                let _ = claim.remove();
            }
            Ok(1)
        }
    }
}

/// The channel to the first process, until the last report.
#[derive(Clone)]
struct Reports(Arc<Mutex<Option<std::io::Stdout>>>);

impl Reports {
    fn send(&self, report: &Report) {
        if let Ok(mut out) = self.0.lock()
            && let Some(out) = out.as_mut()
        {
            let _ = json_line(out, report);
        }
    }

    /// Sends a report and closes terminal and pipe; `false` if that was done before.
    fn last(&self, report: &Report) -> bool {
        let Ok(mut out) = self.0.lock() else { return false };
        let Some(mut out) = out.take() else { return false };
        let _ = json_line(&mut out, report);
        // From here on the first process's descriptors are no longer held open; all messages go to the log.
        if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
            let _ = nix::unistd::dup2_stdin(&null);
            let _ = nix::unistd::dup2_stdout(&null);
            let _ = nix::unistd::dup2_stderr(&null);
        }
        true
    }
}
