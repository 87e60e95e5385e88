//! Starting a server in either guest.

use super::Server;
use crate::guest::{Guest, Live, Side};
use crate::linux::LinuxGuest;
use crate::machine::Machine;
use crate::network::{self, Network};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What guests are made of.
pub struct Guests {
    pub network: Network,
    /// The machine of both.
    pub machine: Machine,
    pub server: Server,
    /// Our image.
    pub image: PathBuf,
    /// The folder over their roots.
    pub files: PathBuf,
    /// The client that notices the first answer.
    pub first: PathBuf,
    pub linux: Option<LinuxGuest>,
}

impl Guests {
    /// A guest that can be started.
    pub fn guest(&self, side: Side, machine: &Machine) -> Result<Guest> {
        let args: Vec<_> = self.server.arguments.iter().map(|word| (*word).to_owned()).collect();
        let server = network::Server {
            image: &self.image,
            files: Some(&self.files),
            linux: self.linux.as_ref(),
            program: self.server.place,
            args: &args,
        };
        self.network.guest(machine, &server, side)
    }

    /// Starts it; returns it when the first answer has come, and the seconds that this took.
    pub fn boot(&self, guest: &Guest, patience: Duration) -> Result<(Live, f64)> {
        let Server { port, request, answer, .. } = self.server;
        let words = [Network::address(), &port.to_string(), request, answer];
        let mut client = self.network.client(&self.first, &words)?;
        client.expect("ready", super::PATIENCE, || Ok(()))?;
        let start = Instant::now();
        let mut live = guest.start()?;
        let first = client.expect("first", patience, || live.alive());
        let seconds = start.elapsed().as_secs_f64();
        first.with_context(|| live.said())?;
        Ok((live, seconds))
    }
}
