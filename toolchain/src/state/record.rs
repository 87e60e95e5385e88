//! What is recorded about one VM.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// One VM, as `ps --json` and `inspect --json` show it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub name: String,
    /// The image that runs.
    pub image: String,
    /// Program arguments given on the command line.
    pub args: Vec<String>,
    /// Machine type.
    pub machine: String,
    /// `kvm` or `tcg`.
    pub accel: String,
    /// Bytes of memory.
    pub memory: u64,
    pub smp: u32,
    /// `user`, `tap=NAME` or `none`.
    pub net: String,
    /// MAC address, when there is a network.
    pub mac: Option<String>,
    /// Forwarded ports, as `-p` spells them.
    pub publish: Vec<String>,
    /// Files of its disks.
    #[serde(default)]
    pub disks: Vec<String>,
    /// Whether it runs detached.
    pub detached: bool,
    /// Process number of the supervisor.
    pub supervisor: u32,
    /// Process number of the VMM; 0 before it is started.
    pub vmm: u32,
    /// Start, seconds since 1970.
    pub started: u64,
    /// How and when it ended.
    pub ended: Option<Ended>,
}

/// The end of a VM.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// When, seconds since 1970.
    pub at: u64,
    /// Exit status as a shell shows it; none if the supervisor itself vanished.
    pub status: Option<u8>,
    /// More about it, for people.
    pub reason: String,
}

impl Record {
    /// Writes the record so that a reader sees the old one or the new one, never half of it.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let new = folder.join("state.json.new");
        let write = || {
            let mut file = super::private_file(&new)?;
            file.set_len(0)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            std::fs::rename(&new, folder.join("state.json"))
        };
        write().with_context(|| format!("cannot write the state of {} to {}", self.name, folder.display()))
    }

    /// Reads the record of an entry.
    pub fn load(folder: &Path) -> Result<Self> {
        let bytes = std::fs::read(folder.join("state.json"))?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
