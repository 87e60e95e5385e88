//! `unibody ports`.

use crate::output;
use crate::ports;
use anyhow::Result;

/// List the ports: programs and libraries that can be built by name
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  unibody ports\n  unibody ports --json")]
pub struct Ports {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Ports {
    pub fn run(self) -> Result<u8> {
        let ports = ports::list(None)?;
        if self.json {
            output::json(&ports)?;
            return Ok(0);
        }
        let mut rows = vec![["NAME", "VERSION", "KIND", "LICENCE", "TESTED"].map(str::to_owned).to_vec()];
        rows.extend(ports.into_iter().map(|port| {
            let version = port.version.unwrap_or_else(|| "not fetched yet".to_owned());
            let kind = if port.image { "program" } else { "library" }.to_owned();
            vec![port.name, version, kind, port.licence, port.tested]
        }));
        output::text(&output::table(&rows))?;
        Ok(0)
    }
}
