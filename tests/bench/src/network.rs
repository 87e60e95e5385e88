//! The network between this computer and a guest: a TAP device in a namespace that ends with the bench.

use crate::client::Client;
use crate::guest::{Guest, Side};
use crate::linux::LinuxGuest;
use crate::machine::Machine;
use anyhow::{Result, bail};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use unibody::vmm::{self, Card, Network as Connected};
use unibody_support::netns::{GUEST4, Netns, TAP, bare};

const MAC: &str = "52:54:00:77:00:02";

/// See the module.
pub struct Network(Netns);

/// What a guest runs.
pub struct Server<'a> {
    /// Our image, and a folder to lay over its root.
    pub image: &'a Path,
    pub files: Option<&'a Path>,
    /// The Linux guest, and its program.
    pub linux: Option<&'a LinuxGuest>,
    pub program: &'a str,
    /// Arguments, the same for both.
    pub args: &'a [String],
}

impl Network {
    pub fn new() -> Result<Self> {
        let netns = Netns::new()?;
        netns.pin(Self::address(), MAC)?;
        Ok(Self(netns))
    }

    /// The guest's address.
    pub fn address() -> &'static str {
        bare(GUEST4)
    }

    /// A guest on this network.
    pub fn guest(&self, machine: &Machine, server: &Server, side: Side) -> Result<Guest> {
        let described = match (side, server.linux) {
            (Side::Unibody, _) => {
                // As for the user network, whose cable is then put into the TAP device: that is in another namespace.
                let mut options = ["--net", "user", "--ip", GUEST4, "--ip6", "none"].map(OsStr::new).to_vec();
                if let Some(files) = server.files {
                    options.extend([OsStr::new("--rootfs"), files.as_os_str()]);
                }
                machine.ours(server.image, &options, server.args, false)?
            }
            (Side::Linux, Some(linux)) => {
                let command = [&[server.program.to_owned()], server.args].concat();
                machine.linux(linux, &format!("address={}", Self::address()), "tmpfs", &command, false)?
            }
            (Side::Linux, None) => bail!("there is no Linux guest"),
        };
        let card = Card { mac: MAC.to_owned(), network: Connected::Tap(TAP.to_owned()) };
        Ok(machine.guest(vmm::Machine { card: Some(card), ..described }, false)?.inside(&self.0))
    }

    /// The namespace.
    pub fn namespace(&self) -> &Netns {
        &self.0
    }

    /// A command on this computer, but in that network.
    pub fn command<S: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, words: impl IntoIterator<Item = S>) -> Command {
        self.0.command(program, words)
    }

    /// A client that talks to the guest.
    pub fn client(&self, program: &Path, words: &[&str]) -> Result<Client> {
        Client::start(&mut self.command(program, words))
    }
}
