//! A test case: it passes, fails or is skipped.

use super::context::Context;
use anyhow::Result;
use std::time::Duration;

/// What may run at the same time as a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Other shared cases.
    Shared,
    /// Nothing: it uses all processors, or measures.
    Alone,
}

/// What a case needs before it can start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// The cross toolchain and QEMU.
    Toolchain,
    /// Both nginx images.
    Nginx,
    /// grub-mkrescue and the firmware.
    Grub,
    /// wrk and a network namespace.
    Load,
    /// Tools that create and check disk images.
    Disk,
    /// The sqlite image.
    Sqlite,
    /// redis's own clients.
    RedisClients,
    /// Tcl, which test suites are written in.
    Tcl,
    /// This machine's own sqlite3.
    LinuxSqlite,
    /// A program that gives up privileges.
    Setpriv,
    /// strace.
    Strace,
}

/// How many passed, failed or were skipped: a case may stand for many tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    /// Skipped, each with its reason.
    pub skipped: Vec<String>,
    /// A remark for the progress line.
    pub note: String,
}

impl Tally {
    /// One that passed.
    pub fn pass(note: impl Into<String>) -> Self {
        Self { passed: 1, note: note.into(), ..Self::default() }
    }

    /// One that this machine cannot run.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self { skipped: vec![reason.into()], ..Self::default() }
    }
}

/// The body of a case: an error is a failure, and its text is shown.
pub type Body = Box<dyn FnOnce(&Context) -> Result<Tally> + Send>;

pub struct Case {
    /// `group/name`, unique.
    pub name: String,
    /// What may run beside it.
    pub lane: Lane,
    /// What it needs.
    pub needs: Vec<Need>,
    /// The body limits its own steps; this limits the whole case.
    pub limit: Duration,
    pub body: Body,
}

impl Case {
    /// A case that may run beside others.
    pub fn new(name: impl Into<String>, body: impl FnOnce(&Context) -> Result<Tally> + Send + 'static) -> Self {
        let limit = Duration::from_secs(240);
        Self { name: name.into(), lane: Lane::Shared, needs: vec![Need::Toolchain], limit, body: Box::new(body) }
    }

    /// With nothing beside it.
    pub fn alone(mut self) -> Self {
        self.lane = Lane::Alone;
        self
    }

    /// With these needs.
    pub fn needs(mut self, needs: &[Need]) -> Self {
        self.needs = needs.to_vec();
        self
    }

    /// With this limit.
    pub fn limit(mut self, seconds: u64) -> Self {
        self.limit = Duration::from_secs(seconds);
        self
    }
}
