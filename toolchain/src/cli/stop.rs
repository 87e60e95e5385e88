//! `unibody stop`.

use crate::output;
use crate::run::start::say;
use crate::state;
use crate::state::client::{Request, ask};
use anyhow::Result;

/// Ask programs to end (SIGTERM), and end their VMs if they do not
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  unibody stop web\n  unibody stop -t 60 web db\n\n\
    At half the time the guest's power button is pressed as well; at the end the VM is ended, with a line that\n\
    says so.")]
pub struct Stop {
    /// Names of the VMs
    #[arg(required = true)]
    names: Vec<String>,
    /// Seconds given to the program [default: those of `run --stop-timeout`, 10]
    #[arg(short = 't', long, value_name = "SECONDS")]
    time: Option<u64>,
}

impl Stop {
    pub fn run(self) -> Result<u8> {
        for name in &self.names {
            let entry = state::open(name)?;
            if entry.running
                && let Some(how) = ask(&entry, Request::Stop(self.time))?
            {
                say(&how);
            }
            output::line(name)?;
        }
        Ok(0)
    }
}
