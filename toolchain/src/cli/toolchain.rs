//! `unibody toolchain`.

use crate::output;
use crate::sysroot;
use anyhow::Result;
use std::path::PathBuf;

/// Build the cross toolchain: C library, kernel and the x86_64-unikernel-* wrappers
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  unibody toolchain\n  unibody toolchain --prefix ~/unikernel\n  \
    ./configure CC=$(unibody toolchain | tail -1)/x86_64-unikernel-gcc\n\n\
    The last line on standard output is the folder with the wrappers. Done by itself where a command needs it.")]
pub struct Toolchain {
    /// Where to; a folder in the cache by default
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// musl's unpacked source, instead of the distribution's source package
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// The sources of unibody; by default where this tool was built
    #[arg(long, value_name = "DIR")]
    kernel_source: Option<PathBuf>,
    /// With the kernel that checks lock order and assertions, too
    #[arg(long)]
    debug: bool,
}

impl Toolchain {
    pub fn run(self, yes: bool) -> Result<u8> {
        let Self { prefix, source: musl_source, kernel_source, debug } = self;
        let sysroot = sysroot::ensure(&sysroot::Options { prefix, kernel_source, musl_source, debug, yes })?;
        output::line(&sysroot.join("bin").display().to_string())?;
        Ok(0)
    }
}
