//! `unibody build`.

use crate::output;
use crate::{build, ports, sysroot};
use anyhow::Result;
use std::path::PathBuf;

/// Build an image from a port, a C file, or a folder with a unibody.toml
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  unibody build nginx\n  unibody build nginx:lean\n  unibody build hello.c -o hello.img\n  unibody build ./project --debug\n\n\
    The image keeps the symbols that backtraces need; what debuggers want goes to FILE.debug."
)]
pub struct Build {
    /// Name of a port (or of a program of one, PORT:PROGRAM), a .c file, or a folder with a unibody.toml
    #[arg(value_name = "PORT|FILE.c|DIR")]
    what: String,
    /// The image; NAME.img or PORT-PROGRAM.img here by default
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Use the kernel that checks lock order and assertions
    #[arg(long)]
    debug: bool,
    /// The port's unpacked source, instead of the distribution's source package
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Link a component of the kernel that the port leaves out to be smaller (repeatable)
    #[arg(long, value_name = "COMPONENT")]
    with: Vec<String>,
}

impl Build {
    pub fn run(self, yes: bool) -> Result<u8> {
        let sysroot = sysroot::Options { debug: self.debug, yes, ..sysroot::Options::default() };
        let options = ports::Options { with: self.with, output: self.output, source: self.source, sysroot };
        let image = build::build(&self.what, &options)?;
        output::line(&image.display().to_string())?;
        Ok(0)
    }
}
