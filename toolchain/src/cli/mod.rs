//! The command line that users see: one file per command.

mod build;
mod clean;
mod completions;
mod disk;
mod doctor;
mod inspect;
mod kill;
mod logs;
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
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;

/// Turns existing POSIX programs into bootable images, and runs them
#[derive(Parser)]
#[command(name = "unibody", version, disable_help_subcommand = true, arg_required_else_help = true)]
#[command(
    after_help = "Examples:\n  unibody run nginx -p 8080:80\n  unibody build hello.c && unibody run ./hello.img -- one 'two words'\n\n\
    Exit status: 1 for a failure, 2 for bad usage; `run` ends with the program's own status."
)]
struct Cli<C: Subcommand> {
    /// Do not ask before installing or removing anything
    #[arg(long, global = true)]
    yes: bool,
    #[command(subcommand)]
    command: C,
}

/// A set of commands: the user's program has [`Command`], the developer's has more.
pub trait Commands: Subcommand {
    /// The program's name on the command line.
    const CALLED: &str;

    /// Runs the given command and returns its exit status. `yes`: without asking.
    fn run(self, yes: bool) -> Result<u8>;
}

/// The commands for users.
#[derive(Subcommand)]
pub enum Command {
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
    Doctor(doctor::Doctor),
    Clean(clean::Clean),
    Uninstall(uninstall::Uninstall),
    Completions(completions::Completions),
}

/// Runs the command that the process was started as.
pub fn main<C: Commands>() -> ExitCode {
    let result = hidden().unwrap_or_else(|| {
        let mut matches = Cli::<C>::command().bin_name(C::CALLED).get_matches();
        let cli = Cli::<C>::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit());
        cli.command.run(cli.yes)
    });
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("error: {error:#}\n").as_bytes());
            ExitCode::from(failure::status(&error))
        }
    }
}

impl Commands for Command {
    const CALLED: &str = "unibody";

    fn run(self, yes: bool) -> Result<u8> {
        match self {
            Self::Toolchain(command) => command.run(yes),
            Self::Build(command) => command.run(yes),
            Self::Ports(command) => command.run(),
            Self::Run(command) => command.run(yes),
            Self::Ps(command) => command.run(),
            Self::Logs(command) => command.run(),
            Self::Stop(command) => command.run(),
            Self::Kill(command) => command.run(),
            Self::Rm(command) => command.run(),
            Self::Disk(command) => command.run(),
            Self::Inspect(command) => command.run(),
            Self::Doctor(command) => command.run(),
            Self::Clean(command) => command.run(),
            Self::Uninstall(command) => command.run(yes),
            // For the installed command, whichever program prints them.
            Self::Completions(command) => command.run::<Cli<Self>>(),
        }
    }
}

/// Panics unless all commands are well-formed, and each has a description and an example.
pub fn check<C: Commands>() {
    let command = Cli::<C>::command();
    command.clone().debug_assert();
    for sub in command.get_subcommands() {
        let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Example"), "{} has no example", sub.get_name());
        assert!(sub.get_about().is_some(), "{} has no description", sub.get_name());
    }
}

/// Commands with which this program starts itself. clap does not parse their arguments, which may look like anything.
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

    #[test]
    fn every_command_is_well_formed() {
        check::<Command>();
    }

    #[test]
    fn usage() {
        let status = |words: &[&str]| match Cli::<Command>::try_parse_from([&["unibody"], words].concat()) {
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
            // A developer's command.
            &["test"],
            &["bench"],
            &[],
        ] {
            assert_eq!(status(bad), 2, "{bad:?}");
        }
    }
}
