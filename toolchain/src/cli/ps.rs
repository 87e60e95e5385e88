//! `unibody ps`.

use crate::output;
use crate::state::{self, record, record::Record};
use anyhow::Result;
use serde::Serialize;

/// List running and ended VMs
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  unibody ps\n  unibody ps --running --json")]
pub struct Ps {
    /// Show ended VMs, too: the default; accepted for those used to other tools
    #[arg(short, long, conflicts_with = "running")]
    all: bool,
    /// Only running VMs
    #[arg(short, long)]
    running: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    running: bool,
    #[serde(flatten)]
    record: &'a Record,
}

impl Ps {
    pub fn run(self) -> Result<u8> {
        let entries: Vec<_> = state::list()?.into_iter().filter(|entry| entry.running || !self.running).collect();
        if self.json {
            let shown: Vec<_> =
                entries.iter().map(|entry| Shown { running: entry.running, record: &entry.record }).collect();
            output::json(&shown)?;
            return Ok(0);
        }
        let head = ["NAME", "STATUS", "MEMORY", "CPUS", "PORTS", "IMAGE"];
        let mut rows = vec![head.map(String::from).to_vec()];
        for entry in &entries {
            let record = &entry.record;
            let ports = if record.publish.is_empty() { record.net.clone() } else { record.publish.join(" ") };
            rows.push(vec![
                record.name.clone(),
                status(record),
                output::size(record.memory),
                record.smp.to_string(),
                ports,
                record.image.clone(),
            ]);
        }
        output::text(&output::table(&rows))?;
        Ok(0)
    }
}

/// `up 5 min`, or how it ended.
pub fn status(record: &Record) -> String {
    let ago = |at: u64| output::span(record::now().saturating_sub(at));
    match &record.ended {
        None => format!("up {}", ago(record.started)),
        Some(ended) => match ended.status {
            Some(status) => format!("ended ({status}) {} ago", ago(ended.at)),
            None => format!("lost {} ago", ago(ended.at)),
        },
    }
}
