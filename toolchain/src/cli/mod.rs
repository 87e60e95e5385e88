//! The command line that users see: one file a command.

mod bench;
mod build;
mod clean;
mod completions;
mod disk;
mod doctor;
mod inspect;
mod kill;
mod logs;
pub mod output;
mod ports;
mod ps;
mod resolve;
mod rm;
mod run;
mod stop;
mod toolchain;
mod uninstall;

use crate::{failure, hosted, run::detach};
use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Turns existing POSIX programs into bootable images, and runs them
#[derive(Parser)]
#[command(name = "unibody", version, disable_help_subcommand = true, arg_required_else_help = true)]
#[command(
    after_help = "Examples:\n  unibody run nginx -p 8080:80\n  unibody build hello.c && unibody run ./hello.img -- one 'two words'\n\n\
    Exit status: 1 for a failure, 2 for bad usage; `run` ends with the program's own status."
)]
struct Cli {
    /// Do not ask before installing or removing anything
    #[arg(long, global = true)]
    yes: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Toolchain(toolchain::Toolchain),
    Build(build::Build),
    Ports(ports::Ports),
    Run(Box<run::RunCommand>),
    Ps(ps::Ps),
    Logs(logs::Logs),
    Stop(stop::Stop),
    Kill(kill::Kill),
    Rm(rm::Rm),
    Disk(disk::Disk),
    Inspect(inspect::Inspect),
    Test(crate::testing::Test),
    Bench(bench::Bench),
    Doctor(doctor::Doctor),
    Clean(clean::Clean),
    Uninstall(uninstall::Uninstall),
    Completions(completions::Completions),
}

/// Runs the command that the process was started as.
pub fn main() -> ExitCode {
    let result = match hidden() {
        Some(result) => result,
        None => Cli::parse().run(),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("error: {error:#}\n").as_bytes());
            ExitCode::from(failure::status(&error))
        }
    }
}

impl Cli {
    fn run(self) -> Result<u8> {
        let yes = self.yes;
        match self.command {
            Command::Toolchain(command) => command.run(yes),
            Command::Build(command) => command.run(yes),
            Command::Ports(command) => command.run(),
            Command::Run(command) => command.run(yes),
            Command::Ps(command) => command.run(),
            Command::Logs(command) => command.run(),
            Command::Stop(command) => command.run(),
            Command::Kill(command) => command.run(),
            Command::Rm(command) => command.run(),
            Command::Disk(command) => command.run(),
            Command::Inspect(command) => command.run(),
            Command::Test(command) => command.run(yes),
            Command::Bench(command) => command.run(yes),
            Command::Doctor(command) => command.run(),
            Command::Clean(command) => command.run(),
            Command::Uninstall(command) => command.run(yes),
            Command::Completions(command) => command.run::<Cli>(),
        }
    }
}

/// Commands by which this program starts itself. Their arguments are not for clap: they may look like anything.
fn hidden() -> Option<Result<u8>> {
    let mut args = std::env::args_os().skip(1);
    let command = args.next()?;
    if command == detach::COMMAND {
        return Some(detach::supervise());
    }
    if command == hosted::enter::PROBE {
        return Some(hosted::enter::make_namespaces().map(|()| 0));
    }
    if command == hosted::enter::COMMAND {
        return hosted::enter::run(args);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn well_formed_and_every_command_has_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no example", sub.get_name());
            assert!(sub.get_about().is_some(), "{} has no description", sub.get_name());
        }
    }

    #[test]
    fn usage() {
        let status = |words: &[&str]| match Cli::try_parse_from([&["unibody"], words].concat()) {
            Ok(_) => 0,
            Err(error) => error.exit_code(),
        };
        assert_eq!(status(&["run", "x.img", "-m", "16M", "--", "-c", "x"]), 0);
        assert_eq!(status(&["run", "x.img", "--yes", "-p", "8080:80"]), 0);
        assert_eq!(status(&["run", "x.img", "--disk", "f:/p", "--disk", "a,b:c:/q:fat", "--disk-size", "8M"]), 0);
        assert_eq!(status(&["disk", "grow", "f", "1G"]), 0);
        assert_eq!(status(&["--help"]), 0);
        for bad in [
            &["run"][..],
            &["run", "x", "-p", "80"],
            &["run", "x", "--smp", "0"],
            &["run", "x", "-v", "a:b"],
            &["run", "x", "--disk", "f"],
            &["run", "x", "--disk", "f:/p:ext4"],
            &["run", "x", "--disk-size", "1M"],
            &["disk", "grow", "f"],
            &["disk", "grow", "f", "lots"],
            &["run", "x", "--hosted", "-m", "5M"],
            &["run", "x", "-d", "--dry-run"],
            &["run", "x", "--ip", "10.0.0.1"],
            &["run", "x", "stray"],
            &["strace", "x"],
            &[],
        ] {
            assert_eq!(status(bad), 2, "{bad:?}");
        }
    }
}
