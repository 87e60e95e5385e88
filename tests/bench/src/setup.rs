//! What figures were measured with.

use crate::machine::Machine;
use anyhow::Result;
use serde::Serialize;
use std::process::Command;
use unibody::command;
use unibody::vmm::qemu::Qemu;

/// The VMM and the computer.
#[derive(Serialize)]
pub struct Setup {
    pub qemu: String,
    pub accelerator: &'static str,
    pub machine: String,
    /// Of this computer.
    pub processors: usize,
    pub rounds: u32,
}

impl Setup {
    pub fn new(machine: &Machine, rounds: u32) -> Result<Self> {
        let version = command::run(Command::new(Qemu::find()?.program).arg("--version"), None)?;
        Ok(Self {
            qemu: String::from_utf8_lossy(&version).lines().next().unwrap_or_default().to_owned(),
            accelerator: machine.accel.name(),
            machine: machine.board.clone(),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            rounds,
        })
    }
}
