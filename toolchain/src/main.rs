//! The `unibody` command. Everything is in the library, so that tests share it.

use unibody::{cli, wrapper};

fn main() -> std::process::ExitCode {
    wrapper::as_invoked().unwrap_or_else(cli::main::<cli::Command>)
}
