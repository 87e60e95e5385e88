//! `unibody rm`.

use crate::output;
use crate::state;
use crate::state::client::{Request, ask};
use anyhow::{Result, ensure};

/// Forget ended VMs, with their logs
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  unibody rm web\n  unibody rm -f web db")]
pub struct Rm {
    /// Names of the VMs
    #[arg(required = true)]
    names: Vec<String>,
    /// End them first if they still run
    #[arg(short, long)]
    force: bool,
}

impl Rm {
    pub fn run(self) -> Result<u8> {
        for name in &self.names {
            let mut entry = state::open(name)?;
            ensure!(!entry.running || self.force, "the VM '{name}' is running; `unibody stop {name}` first, or rm -f");
            if entry.running {
                ask(&entry, Request::End)?;
                entry.running = false;
            }
            state::remove(&entry)?;
            output::line(name)?;
        }
        Ok(0)
    }
}
