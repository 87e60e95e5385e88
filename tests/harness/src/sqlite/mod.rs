//! SQLite in a VM: its shell, its test programs and its test suite behave as the same images do as Linux processes.

mod programs;
mod shell;
mod suite;

use super::case::{Case, Need};
use super::context::Context;
use super::process::{self, Finished};
use anyhow::Result;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub fn cases(all: &mut Vec<Case>, full: bool) {
    // The first case that needs one of the further images builds it.
    const BUILD: u64 = 1500;
    const SHELL: &[Need] = &[Need::Toolchain, Need::Sqlite];
    const DISK: &[Need] = &[Need::Toolchain, Need::Sqlite, Need::Disk, Need::LinuxSqlite];
    all.push(Case::new("sqlite/shell", shell::script).needs(SHELL));
    all.push(Case::new("sqlite/dump", shell::dump).needs(SHELL));
    all.push(Case::new("sqlite/errors", shell::errors).needs(SHELL));
    all.push(Case::new("sqlite/disk-to-linux", shell::disk_to_linux).needs(DISK));
    all.push(Case::new("sqlite/disk-from-linux", shell::disk_from_linux).needs(DISK));
    all.push(Case::new("sqlite/speedtest1", programs::speedtest1).limit(BUILD));
    all.push(Case::new("sqlite/kvtest", programs::kvtest).limit(BUILD));
    all.push(Case::new("sqlite/threadtest3", programs::threadtest3).limit(BUILD));
    all.push(Case::new("sqlite/threadtest4", programs::threadtest4).limit(BUILD));
    all.push(Case::new("sqlite/fuzzcheck", programs::fuzzcheck).limit(BUILD));
    all.push(Case::new("sqlite/suite-short", suite::short).limit(BUILD));
    if full {
        all.push(Case::new("sqlite/threadtest3-all", programs::threadtest3_all).limit(3600).alone());
        all.push(Case::new("sqlite/fuzzcheck-all", programs::fuzzcheck_all).limit(4 * 3600).alone());
        all.push(Case::new("sqlite/suite-disk", suite::disk).limit(3600).alone());
        all.push(Case::new("sqlite/suite", suite::full).limit(8 * 3600).alone());
    }
}

/// How to run an image in either life.
struct Life<'a> {
    context: &'a Context,
    image: &'a Path,
    /// Options of `unibody run` in either life.
    both: Vec<String>,
    /// Options of the VM.
    vm: Vec<String>,
    limit: Duration,
}

impl<'a> Life<'a> {
    fn new(context: &'a Context, image: &'a Path) -> Self {
        let vm = ["--accel", "tcg", "--net", "none", "-m", "128M"].map(str::to_owned).to_vec();
        Self { context, image, both: Vec::new(), vm, limit: Duration::from_secs(240) }
    }

    /// With more options for the VM; memory replaces the default.
    fn vm(mut self, options: &[&str]) -> Self {
        if options.contains(&"-m") {
            self.vm.truncate(4);
        }
        self.vm.extend(options.iter().map(|o| (*o).to_owned()));
        self
    }

    /// With a folder over the image's root.
    fn rootfs(mut self, folder: &Path) -> Self {
        self.both.extend(["--rootfs".to_owned(), folder.to_string_lossy().into_owned()]);
        self
    }

    fn command(&self, hosted: bool, args: &[&str]) -> Command {
        let mut command = self.context.unibody(["run"]);
        if hosted {
            command.arg("--hosted");
        } else {
            command.args(&self.vm);
        }
        command.args(&self.both).arg(self.image).arg("--").args(args);
        command
    }

    /// As a Linux process.
    fn as_process(&self, args: &[&str], stdin: &[u8]) -> Result<Finished> {
        process::run(&mut self.command(true, args), stdin, self.limit)
    }

    /// As a VM.
    fn as_machine(&self, args: &[&str], stdin: &[u8]) -> Result<Finished> {
        process::run(&mut self.command(false, args), stdin, self.limit)
    }
}
