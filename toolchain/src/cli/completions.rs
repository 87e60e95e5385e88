//! `unibody completions`.

use anyhow::Result;
use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

/// Print a shell's completion script
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  unibody completions bash > ~/.local/share/bash-completion/completions/unibody\n  \
    unibody completions fish > ~/.config/fish/completions/unibody.fish"
)]
pub struct Completions {
    /// The shell
    shell: Known,
}

#[derive(Clone, Copy, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    /// Prints the script for a command.
    pub fn run<C: CommandFactory>(self) -> Result<u8> {
        let shell = match self.shell {
            Known::Bash => Shell::Bash,
            Known::Zsh => Shell::Zsh,
            Known::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut C::command(), "unibody", &mut script);
        crate::output::bytes(&script)?;
        Ok(0)
    }
}
