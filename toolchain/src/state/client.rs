//! Asking a VM's supervisor for something: one line of JSON there, one line of JSON back.

use super::entry::Entry;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// Name of the supervisor's socket in the entry's folder.
pub const SOCKET: &str = "control";

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Send the program a signal; answered at once.
    Signal(u8),
    /// Ask the program to end, end the VM after this many seconds, else after those that it was started with; answered
    /// when the VM has ended.
    Stop(Option<u64>),
    /// End the VM now; answered when it has ended.
    End,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Done.
    Done,
    /// Done, but not as it should be.
    Forced(String),
    /// It could not be done.
    Failed(String),
}

/// Sends a request and waits for its answer: what the user should know, if anything.
pub fn ask(entry: &Entry, request: Request) -> Result<Option<String>> {
    let name = &entry.record.name;
    if !entry.running {
        bail!("the VM '{name}' is not running");
    }
    let talk = || -> Result<Answer> {
        let mut stream = UnixStream::connect(entry.folder.join(SOCKET))?;
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        // To the end: a supervisor that ends closes the stream when its entry is free for others.
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        // A supervisor that has ended in between closes without an answer; its VM has ended, too.
        if answer.is_empty() { Ok(Answer::Done) } else { Ok(serde_json::from_str(&answer)?) }
    };
    match talk().with_context(|| format!("the supervisor of '{name}' does not answer"))? {
        Answer::Done => Ok(None),
        Answer::Forced(how) => Ok(Some(how)),
        Answer::Failed(why) => bail!("{why}"),
    }
}
