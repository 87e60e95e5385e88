//! A VM in the background, as `unibody run -d` starts it; it ends with its case.

use super::context::Context;
use super::process::{self, Finished};
use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

static COUNTER: AtomicUsize = AtomicUsize::new(0);

/// See the module.
pub struct Vm<'a> {
    context: &'a Context,
    /// Its name for `stop`, `kill` and the like.
    pub name: String,
}

impl<'a> Vm<'a> {
    /// Starts one; `words` are options, image and arguments of `unibody run`.
    pub fn start<S: AsRef<OsStr>>(context: &'a Context, words: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::start_with(context, words, |_| {})
    }

    /// The same with a change to the command, for example its environment.
    pub fn start_with<S: AsRef<OsStr>>(
        context: &'a Context,
        words: impl IntoIterator<Item = S>,
        change: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let name = format!("test-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let mut command = context.unibody(["run", "-d", "--accel", "tcg", "--name", &name]);
        command.args(words);
        change(&mut command);
        let vm = Self { context, name };
        process::run(&mut command, b"", Duration::from_secs(90))?.expect(0)?;
        Ok(vm)
    }

    /// Its output so far.
    pub fn logs(&self) -> String {
        self.context.tool(["logs", &self.name]).map(|done| done.out() + &done.err()).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn kill(&self, signal: &str) -> Result<()> {
        self.context.tool(["kill", "-s", signal, &self.name])?.expect(0).map(drop)
    }

    /// `unibody stop`.
    pub fn stop(&self) -> Result<Finished> {
        self.context.tool(["stop", &self.name])?.expect(0)
    }

    /// Its entry in `unibody ps --json`.
    pub fn entry(&self) -> Result<serde_json::Value> {
        let listed = self.context.tool(["ps", "--json"])?.expect(0)?;
        let all: serde_json::Value =
            serde_json::from_slice(&listed.stdout).context("`unibody ps --json` printed no JSON")?;
        let entries = all.as_array().map(Vec::as_slice).unwrap_or_default();
        entries
            .iter()
            .find(|entry| entry["name"] == self.name.as_str())
            .cloned()
            .context("`unibody ps` does not name the VM")
    }

    /// The process id of its VMM.
    pub fn vmm(&self) -> Result<u32> {
        let id = self.entry()?["vmm"].as_u64().context("`unibody ps --json` names no VMM")?;
        Ok(u32::try_from(id)?)
    }

    /// The program's exit status, once it has ended.
    pub fn status(&self, limit: Duration) -> Result<i64> {
        process::eventually(limit, || {
            let entry = self.entry()?;
            if entry["running"] == true {
                bail!("it still runs\n{}", self.logs());
            }
            entry["ended"]["status"].as_i64().context("it ended without a status")
        })
    }
}

impl Drop for Vm<'_> {
    fn drop(&mut self) {
        let _ = self.context.tool(["rm", "-f", &self.name]);
    }
}
