//! A network namespace with a TAP device, created without privileges if the system allows it.

use super::process::{self, Running};
use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;
use unibody::packages::Program;

/// Programs that this needs, and their packages.
pub const TOOLS: [Program; 4] =
    [("ip", "iproute2"), ("unshare", "util-linux"), ("nsenter", "util-linux"), ("setpriv", "util-linux")];

/// The TAP device inside.
pub const TAP: &str = "tap0";
/// The namespace's own addresses, as `ip` takes them, and the guest's, as `unibody run` takes them.
pub const HOST4: &str = "10.77.0.1/24";
pub const HOST6: &str = "fd77::1/64";
pub const GUEST4: &str = "10.77.0.2/24";
pub const GUEST6: &str = "fd77::2/64";

/// An address without the length of its prefix.
pub fn bare(address: &str) -> &str {
    address.split('/').next().unwrap_or_default()
}

/// A namespace; it exists as long as its holder process.
pub struct Netns {
    holder: Running,
    user: bool,
}

impl Netns {
    /// Creates one. An error says what this machine does not allow.
    pub fn new() -> Result<Self> {
        if !std::path::Path::new("/dev/net/tun").exists() {
            bail!("there is no /dev/net/tun here");
        }
        let user = !nix::unistd::geteuid().is_root();
        let options: &[&str] = if user { &["--user", "--map-root-user", "--net"] } else { &["--net"] };
        let mut unshare = process::command("unshare", options);
        // It ends with us, even if we are killed.
        let holder = process::start(unshare.args(["setpriv", "--pdeathsig", "KILL", "sleep", "100000"]), b"")?;
        let netns = Self { holder, user };
        let addresses = format!(
            "ip link set lo up && ip tuntap add {TAP} mode tap && ip addr add {HOST4} dev {TAP} && \
             ip addr add {HOST6} dev {TAP} nodad && ip link set {TAP} up"
        );
        // Until `unshare` is done the holder is still in our own namespace, where nothing may be set up.
        let own = std::fs::read_link("/proc/self/ns/net").context("no network namespaces here")?;
        process::eventually(Duration::from_secs(5), || {
            let its = std::fs::read_link(format!("/proc/{}/ns/net", netns.holder.id()))
                .context("no network namespace could be made")?;
            if its == own {
                bail!("no network namespace could be made (unprivileged user namespaces may be switched off)")
            }
            Ok(())
        })?;
        // A user namespace is only usable once its maps are written.
        process::eventually(Duration::from_secs(5), || {
            process::run(&mut netns.command("true", std::iter::empty::<&str>()), b"", Duration::from_secs(5))?.expect(0)
        })?;
        let made = process::run(&mut netns.command("sh", ["-c", &addresses]), b"", Duration::from_secs(10))?;
        if made.status != 0 {
            bail!("{}", made.err().trim().replace('\n', "; "));
        }
        Ok(netns)
    }

    /// Fixes the guest's Ethernet address: whoever asks for it before the guest is up asks again only after a second.
    pub fn pin(&self, address: &str, mac: &str) -> Result<()> {
        let words = ["neigh", "replace", address, "lladdr", mac, "dev", TAP, "nud", "permanent"];
        process::run(&mut self.command("ip", words), b"", Duration::from_secs(10))?.expect(0).map(drop)
    }

    /// The Ethernet address of the TAP device's own end.
    pub fn mac(&self) -> Result<String> {
        let mut link = self.command("ip", ["-br", "link", "show", TAP]);
        let link = process::run(&mut link, b"", Duration::from_secs(10))?.expect(0)?.out();
        let mac = link.split_whitespace().find(|word| word.matches(':').count() == 5);
        mac.map(str::to_owned).context("the TAP device has no Ethernet address")
    }

    /// A command that runs inside.
    pub fn command<S: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--net"]);
        if self.user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program).args(words);
        command
    }

    /// The same for an existing command.
    pub fn inside(&self, command: &Command) -> Command {
        let mut entered = self.command(command.get_program(), command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => entered.env(key, value),
                None => entered.env_remove(key),
            };
        }
        entered
    }
}
