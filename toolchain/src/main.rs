//! The `unibody` command. Everything is in the library, so that tests and the wrappers share it.

fn main() -> std::process::ExitCode {
    unibody::wrapper::as_invoked().unwrap_or_else(unibody::cli::main)
}
