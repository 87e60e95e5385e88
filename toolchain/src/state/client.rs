//! Requests to a VM's supervisor: one line of JSON there, one line of JSON back.

use super::entry::Entry;
use crate::output::json_line;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::unix::net::UnixStream;

/// Name of the supervisor's socket in the entry's folder.
pub const SOCKET: &str = "control";

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Send the program a signal; answered at once.
    Signal(u8),
    /// Ask the program to end, and end the VM after this many seconds (by default those it was started with); answered
    /// when the VM has ended.
    Stop(Option<u64>),
    /// End the VM now; answered when it has ended.
    End,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Done,
    /// Done, but not gracefully.
    Forced(String),
    /// It could not be done.
    Failed(String),
}

/// Sends a request and waits for the answer; returns a message for the user, if any.
pub fn ask(entry: &Entry, request: Request) -> Result<Option<String>> {
    let name = &entry.record.name;
    ensure!(entry.running, "the VM '{name}' is not running");
    let talk = || -> Result<Answer> {
        let mut stream = UnixStream::connect(entry.folder.join(SOCKET))?;
        json_line(&stream, &request)?;
        // Until end of file: an ending supervisor closes the stream once its entry is free.
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        // A supervisor that ended in the meantime closes without an answer; its VM has ended, too.
        if answer.is_empty() { Ok(Answer::Done) } else { Ok(serde_json::from_str(&answer)?) }
    };
    match talk().with_context(|| format!("the supervisor of '{name}' does not answer"))? {
        Answer::Done => Ok(None),
        Answer::Forced(how) => Ok(Some(how)),
        Answer::Failed(why) => bail!("{why}"),
    }
}
