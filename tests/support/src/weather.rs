//! Bad weather between a guest and this computer: `tests/net/forwarder.c`, and a network whose guest is behind it.

use super::netns::{Netns, TAP};
use super::process;
use anyhow::{Context as _, Result, ensure};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use unibody::vmm::qemu::Qemu;

/// What happens to frames, each way: out of 1,000, and milliseconds there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    pub loss: u32,
    pub reorder: u32,
    pub duplicate: u32,
    pub round_trip: u32,
}

impl Weather {
    /// Frames are lost.
    pub const fn losing(loss: u32, round_trip: u32) -> Self {
        Self { loss, reorder: 0, duplicate: 0, round_trip }
    }
    /// A quarter of the frames come early, a twentieth twice.
    pub const fn disorderly(round_trip: u32) -> Self {
        Self { loss: 0, reorder: 250, duplicate: 50, round_trip }
    }

    /// For people.
    pub fn name(&self) -> String {
        let Self { loss, reorder, duplicate, round_trip } = self;
        let mut parts = Vec::new();
        for (amount, what) in [(loss, "lost"), (reorder, "reordered"), (duplicate, "duplicated")] {
            if *amount > 0 {
                parts.push(format!("{} % {what}", f64::from(*amount) / 10.0));
            }
        }
        parts.push(format!("round trip {round_trip} ms"));
        parts.join(", ")
    }
}

/// Compiles the forwarder into a folder.
pub fn build(project: &Path, to: &Path) -> Result<PathBuf> {
    let program = to.join("forwarder");
    let mut gcc = process::command("gcc", ["-O2", "-Wall", "-Wextra", "-o"]);
    gcc.arg(&program).arg(project.join("tests/net/forwarder.c"));
    process::run(&mut gcc, b"", Duration::from_secs(60))?.expect(0)?;
    Ok(program)
}

/// Fails if this machine's QEMU cannot be connected to it (before 7.2).
pub fn possible() -> Result<()> {
    let mut help = process::command(Qemu::find()?.program, ["-netdev", "help"]);
    let said = process::run(&mut help, b"", Duration::from_secs(10))?.out();
    ensure!(said.lines().any(|line| line == "dgram"), "QEMU has no `-netdev dgram`, which came with 7.2");
    Ok(())
}

/// A forwarder for one guest.
pub struct Forwarder {
    /// See [`build`].
    pub program: PathBuf,
    /// A folder for its sockets, with a short name.
    pub folder: PathBuf,
}

impl Forwarder {
    /// The argument of QEMU's `-netdev` that connects a guest to it.
    pub fn netdev(&self) -> String {
        let path = |name| self.folder.join(name).display().to_string().replace(',', ",,");
        let (local, remote) = (path("guest.sock"), path("forwarder.sock"));
        format!("dgram,id=net,local.type=unix,local.path={local},remote.type=unix,remote.path={remote}")
    }

    /// A command in the namespace that reaches the guest as long as it runs, in this weather.
    pub fn command<S: AsRef<OsStr>>(
        &self,
        netns: &Netns,
        weather: Weather,
        seed: u32,
        program: impl AsRef<OsStr>,
        words: impl IntoIterator<Item = S>,
    ) -> Result<Command> {
        let folder = self.folder.to_str().context("a folder with an odd name")?;
        let Weather { loss, reorder, duplicate, round_trip } = weather;
        let numbers = [seed, loss, reorder, duplicate, round_trip * 500].map(|n| n.to_string());
        let first = [TAP, folder].into_iter().chain(numbers.iter().map(String::as_str));
        let mut command = netns.command(&self.program, first);
        command.arg(program).args(words);
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Weather::losing(10, 20).name(), "1 % lost, round trip 20 ms");
        assert_eq!(Weather::disorderly(200).name(), "25 % reordered, 5 % duplicated, round trip 200 ms");
    }
}
