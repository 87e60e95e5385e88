//! `unibody kill`.

use crate::output;
use crate::state;
use crate::state::client::{Request, ask};
use anyhow::Result;
use nix::sys::signal::Signal;
use std::str::FromStr;

/// Send programs a signal; KILL, the default, ends the VM
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  unibody kill -s HUP web     (nginx: load the changed configuration)\n  \
    unibody kill web            (ends the VM at once)")]
pub struct Kill {
    /// Names of the VMs
    #[arg(required = true)]
    names: Vec<String>,
    /// Signal: a name with or without SIG, or a number
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL", value_parser = signal)]
    signal: u8,
}

impl Kill {
    pub fn run(self) -> Result<u8> {
        // A killed process leaves nothing behind, so here the whole VM ends. This works for a hanging guest, too.
        let killed = self.signal == Signal::SIGKILL as u8;
        let request = if killed { Request::End } else { Request::Signal(self.signal) };
        for name in &self.names {
            ask(&state::open(name)?, request)?;
            output::line(name)?;
        }
        Ok(0)
    }
}

fn signal(text: &str) -> Result<u8, String> {
    if let Ok(number) = text.parse::<u8>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err("signals are 1 to 64".to_owned()) };
    }
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    match Signal::from_str(&name) {
        Ok(signal) => Ok(signal as u8),
        Err(_) => Err("no such signal; try HUP, INT, TERM, USR1, ... or a number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::signal;

    #[test]
    fn names_and_numbers() {
        assert_eq!((signal("HUP"), signal("sigterm"), signal("10"), signal("34")), (Ok(1), Ok(15), Ok(10), Ok(34)));
        assert!(signal("0").is_err() && signal("65").is_err() && signal("NOPE").is_err() && signal("").is_err());
    }
}
