//! `unibody disk`.

use crate::{disk::grow, output, size};
use anyhow::Result;
use clap::Subcommand;
use std::path::PathBuf;

/// Look after disks, the files that `run --disk` makes
#[derive(clap::Args)]
#[command(after_help = "Example:\n  unibody disk grow app.img 1G")]
pub struct Disk {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a disk larger; its files stay
    #[command(after_help = "Example:\n  unibody disk grow app.img 1G\n\n\
        The files are copied to a larger disk, which then takes the old one's place: stopping it half-way changes nothing.\n\
        It needs as much free space as the files take. A disk that is in use or damaged is refused.")]
    Grow {
        /// The disk's file
        file: PathBuf,
        /// New size: 64M, 1G; a plain number means MiB
        #[arg(value_parser = size::parse)]
        size: u64,
    },
}

impl Disk {
    pub fn run(self) -> Result<u8> {
        let Command::Grow { file, size } = self.command;
        let grown = grow::grow(&file, size)?;
        let (shown, n) = (file.display(), grown.entries);
        let text = if grown.before == size {
            format!("{shown} has {} already", output::size(size))
        } else {
            format!("{shown}: from {} to {}, {n} files and folders", output::size(grown.before), output::size(size))
        };
        output::line(&text)?;
        Ok(0)
    }
}
