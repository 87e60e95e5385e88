//! Instructions and would-be exits of a guest that is not to be disturbed, counted by a plugin for QEMU's translator.

use crate::guest::Guest;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use unibody::{command, paths};

/// How long a guest may take to be there: with the plugin it is many times slower.
pub const PATIENCE: Duration = Duration::from_secs(900);

/// The plugin.
pub struct Counters {
    plugin: PathBuf,
    file: PathBuf,
}

/// What was counted, in the order of `tests/bench/counters.c`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counts {
    pub instructions: f64,
    /// Accesses to I/O ports and to registers of devices: each is an exit if a hypervisor has to see it.
    pub accesses: f64,
    /// Writes to model-specific registers.
    pub msrs: f64,
    /// Times that the processor halted.
    pub halts: f64,
}

impl Counters {
    /// Compiles the plugin for a QEMU that calls itself `version`.
    pub fn new(version: &str, dir: &Path) -> Result<Self> {
        let api = api(version).with_context(|| format!("no version of QEMU in {version:?}"))?;
        let source = paths::project(None)?.join("tests/bench/counters.c");
        let (plugin, file) = (dir.join("counters.so"), dir.join("counters"));
        let mut compile = Command::new("gcc");
        compile.args(["-O2", "-shared", "-fPIC", &format!("-DAPI={api}"), "-o"]).arg(&plugin).arg(source);
        command::run(&mut compile, None)?;
        Ok(Self { plugin, file })
    }

    /// The guest with the plugin.
    pub fn with(&self, mut guest: Guest) -> Guest {
        let _ = std::fs::remove_file(&self.file);
        guest.args.extend(["-plugin".into(), self.argument().into()]);
        guest
    }

    /// What QEMU's `-plugin` takes.
    pub fn argument(&self) -> String {
        format!("file={},out={}", self.plugin.display(), self.file.display())
    }

    /// Where the counters are: 64 bits each, the instructions first.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The counters now.
    pub fn read(&self) -> Result<Counts> {
        let bytes = std::fs::read(&self.file).context("QEMU did not load the plugin")?;
        let words: Vec<_> =
            bytes.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_le_bytes) as f64).collect();
        let [instructions, ports, registers, msrs, halts] = words[..] else { anyhow::bail!("strange counters") };
        ensure!(instructions > 0.0, "the plugin counts nothing");
        Ok(Counts { instructions, accesses: ports + registers, msrs, halts })
    }
}

impl Counts {
    /// The tables that they belong in.
    pub const fn named(self) -> [(&'static str, f64); 4] {
        [
            ("instructions", self.instructions),
            ("accesses to ports and registers of devices", self.accesses),
            ("WRMSR", self.msrs),
            ("HLT", self.halts),
        ]
    }

    /// What each of `units` took since `earlier`.
    pub fn each(self, earlier: Self, units: f64) -> Self {
        let each = |of: fn(&Self) -> f64| (of(&self) - of(&earlier)) / units;
        Self {
            instructions: each(|c| c.instructions),
            accesses: each(|c| c.accesses),
            msrs: each(|c| c.msrs),
            halts: each(|c| c.halts),
        }
    }
}

/// The version of the plugin interface: since QEMU 9 only recent ones are accepted, and 9.1 changed a function.
fn api(version: &str) -> Option<u32> {
    let numbers = version.split_once("version ")?.1;
    let mut numbers = numbers.split(['.', ' ']).map(|number| number.parse::<u32>().ok());
    match (numbers.next()??, numbers.next()??) {
        (..9, _) => Some(1),
        (9, 0) => Some(2),
        _ => Some(3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)";
        assert_eq!(api(debian), Some(1));
        assert_eq!(api("QEMU emulator version 9.0.1"), Some(2));
        assert_eq!(api("QEMU emulator version 10.0.2 (v10)"), Some(3));
        assert_eq!(api("nothing"), None);
    }

    #[test]
    fn differences() {
        let counts = |n: f64| Counts { instructions: n, accesses: 2.0 * n, msrs: 0.0, halts: n };
        assert_eq!(counts(30.0).each(counts(10.0), 10.0), counts(2.0));
    }
}
