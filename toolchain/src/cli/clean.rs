//! `unibody clean`.

use crate::{files, lock, paths, state};
use anyhow::Result;

/// Remove what was built
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  unibody clean\n  unibody clean --all\n\n\
    Without --all, sources and the toolchain stay, so that building again needs no network.")]
pub struct Clean {
    /// The toolchain and the sources of ports, too
    #[arg(long)]
    all: bool,
}

impl Clean {
    pub fn run(self) -> Result<u8> {
        let cache = paths::cache()?;
        if cache.is_dir() {
            // Not while a build is running.
            let _lock = lock::exclusive(&cache.join("lock"))?;
            // Builds of ports, but not their sources.
            files::remove(&if self.all { cache } else { cache.join("ports") })?;
        }
        files::remove(&state::folder()?.join("dry-run"))?;
        Ok(0)
    }
}
