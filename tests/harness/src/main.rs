//! The developer's command: the user's commands, and the tests and benches. `cargo unibody` starts it.
//!
//! Cases use this very command (`unibody build`, `unibody run`, ...), as users do; an image must print the same as a VM
//! as it does as a Linux process.

mod accesses;
mod bench;
mod brought;
mod case;
mod checked;
mod clock;
mod context;
mod crowd;
mod directives;
mod disk;
mod host;
mod hostile;
mod junit;
mod linking;
mod mappings;
mod matrix;
mod nginx;
mod output;
mod pool;
mod programs;
mod qemu;
mod redis;
mod report;
mod scenarios;
mod segmentation;
mod shares;
mod sizes;
mod sockets;
mod sqlite;
mod suite;
mod supervision;
mod support;
mod terminal;
mod tools;
mod vm;
mod weather;
mod wire;

use anyhow::Result;
use clap::Subcommand;
use std::process::ExitCode;
use suite::Test;
use unibody::{cli, wrapper};
use unibody_bench::Bench;
use unibody_support::{netns, process};

/// The commands for developers.
#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    User(cli::Command),
    Test(Test),
    Bench(Bench),
}

impl cli::Commands for Command {
    const CALLED: &str = "cargo unibody";

    fn run(self, yes: bool) -> Result<u8> {
        match self {
            Self::User(command) => command.run(yes),
            Self::Test(command) => command.run(yes),
            Self::Bench(command) => command.run(yes),
        }
    }
}

fn main() -> ExitCode {
    wrapper::as_invoked().unwrap_or_else(cli::main::<Command>)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_is_well_formed() {
        unibody::cli::check::<super::Command>();
    }
}
