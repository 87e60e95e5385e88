//! redis in either life, and its command-line client.

use super::super::context::Context;
use super::super::process::{self, Finished, Running};
use super::super::vm::Vm;
use anyhow::{Context as _, Result, ensure};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use unibody_support::redis::CLI;

/// The host of both, as clients spell it.
pub const HOST: &str = "127.0.0.1";
/// The port's configuration.
const CONFIGURATION: &str = "/etc/redis/redis.conf";
/// One answer.
const ANSWER: Duration = Duration::from_secs(60);

/// See the module.
pub struct Server<'a> {
    /// If it is a VM.
    vm: Option<Vm<'a>>,
    /// If it is a process, which ends with this.
    _process: Option<Running>,
    /// Its port on this machine.
    pub port: u16,
}

/// A free port, found by asking for one. Another process may take it; then the case fails and says so.
fn free() -> Result<u16> {
    Ok(TcpListener::bind((HOST, 0))?.local_addr()?.port())
}

impl<'a> Server<'a> {
    /// As a Linux process, with these settings after the port's configuration.
    pub fn as_process(context: &'a Context, settings: &[&str]) -> Result<Self> {
        let port = free()?;
        let mut command = context.unibody(["run", "--hosted"]);
        command.arg(context.redis()?).args(["--", CONFIGURATION, "--port", &port.to_string()]).args(settings);
        let server = Self { vm: None, _process: Some(process::start(&mut command, b"")?), port };
        server.up()?;
        Ok(server)
    }

    /// As a VM, with further options of `unibody run`.
    pub fn as_machine(context: &'a Context, options: &[&str], settings: &[&str]) -> Result<Self> {
        Self::with(context, options, settings, |_| {})
    }

    /// The same with a change to the command.
    pub fn with(
        context: &'a Context,
        options: &[&str],
        settings: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let port = free()?;
        // The port's image leaves out disks; called by name, the tool links one that has them.
        let image = if options.contains(&"--disk") { "redis".into() } else { context.redis()? };
        let (image, publish) = (image.to_string_lossy(), format!("{port}:6379"));
        let mut words = vec!["-p", &publish];
        words.extend(options.iter().chain(&[&*image, "--", CONFIGURATION]).chain(settings));
        let server = Self { vm: Some(Vm::start_with(context, words, change)?), _process: None, port };
        server.up()?;
        Ok(server)
    }

    fn up(&self) -> Result<()> {
        let pong = || {
            let said = self.cli(&["PING"], b"")?;
            ensure!(said.out() == "PONG\n", "{}", said.report());
            Ok(())
        };
        process::eventually(Duration::from_secs(30), pong)
            .with_context(|| format!("redis does not answer\n{}", self.logs()))
    }

    /// What it has printed, if it is a VM.
    pub fn logs(&self) -> String {
        self.vm.as_ref().map(Vm::logs).unwrap_or_default()
    }

    /// redis-cli's command, ready for its words.
    pub fn client(&self) -> Command {
        process::command(CLI.0, ["-h", HOST, "-p", &self.port.to_string()])
    }

    /// Runs redis-cli with these words to its end.
    pub fn cli(&self, words: &[&str], stdin: &[u8]) -> Result<Finished> {
        process::run(self.client().args(words), stdin, ANSWER)
    }

    /// The answer to a command, which must be none of an error.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        let said = self.cli(&[&["-e"], words].concat(), b"")?.expect(0).with_context(|| self.logs())?;
        Ok(said.out().trim_end().to_owned())
    }

    /// Fails unless that is the answer to a command.
    pub fn answers(&self, words: &[&str], wanted: &str) -> Result<()> {
        let said = self.ask(words)?;
        ensure!(said == wanted, "{words:?}: {said:?}, not {wanted:?}\n{}", self.logs());
        Ok(())
    }

    /// A digest of all that is stored.
    pub fn digest(&self) -> Result<String> {
        self.ask(&["DEBUG", "DIGEST"])
    }

    /// Ends the VM's program as `unibody stop` does; its status must be 0.
    pub fn stop(self) -> Result<()> {
        let vm = self.vm.as_ref().context("it is no VM")?;
        vm.stop()?;
        let status = vm.status(Duration::from_secs(20))?;
        ensure!(status == 0, "exit status {status}\n{}", vm.logs());
        Ok(())
    }
}

/// The value of `--disk`, where the port's configuration has its folder.
pub fn disk(image: &Path) -> String {
    format!("{}:/data", image.display())
}
