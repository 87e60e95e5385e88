//! Boot parameters from their three sources: the image's root, the initrd, the command line. Later ones win.
//! Floor: ground.

use alloc::string::String;
use alloc::vec::Vec;
use libos_base::log::Level;
use libos_base::sync::Once;
use unibody_proto::control::FromHost;
use unibody_proto::params::{self, Item, key};

static PARAMS: Once<Params> = Once::new();

/// The boot parameters. For initialisers and `/proc`, which run after they are set.
pub fn parameters() -> &'static Params {
    PARAMS.get().expect("set before the program")
}

/// Sets them.
pub fn set(params: Params) -> &'static Params {
    PARAMS.set(|| params)
}

/// What the image should run, and how.
#[derive(Default)]
pub struct Params {
    /// `argv[0]`; the program's own name when not given.
    pub argv0: Option<Vec<u8>>,
    /// `argv[1..]`.
    pub args: Vec<Vec<u8>>,
    /// `NAME=VALUE`.
    pub env: Vec<Vec<u8>>,
    /// Working directory.
    pub cwd: Option<Vec<u8>>,
    /// Host name.
    pub hostname: Option<Vec<u8>>,
    /// IPv4 configuration.
    pub ip: Option<Vec<u8>>,
    /// IPv6 configuration.
    pub ip6: Option<Vec<u8>>,
    /// Name servers.
    pub dns: Vec<Vec<u8>>,
    /// Domains in which short names are looked up.
    pub dns_search: Vec<Vec<u8>>,
    /// Disks to mount, as [`key::DISK`] spells them.
    pub disks: Vec<Vec<u8>>,
    /// Folders of the host to mount, as [`key::SHARE`] spells them.
    pub shares: Vec<Vec<u8>>,
    /// Log level.
    pub log: Option<Level>,
    /// Someone listens on the control port.
    pub control: bool,
    /// The length of the image's file, if the VMM was given it for the program to read.
    pub image_size: Option<u64>,
    /// Streams that cannot be written to.
    pub output_failed: Vec<FromHost>,
    /// The program's streams are this terminal.
    pub tty: Option<Vec<u8>>,
    /// vm.overcommit_memory: its first character.
    pub overcommit: Option<u8>,
    /// Resource limits, as [`key::RLIMIT`] spells them.
    pub rlimits: Vec<Vec<u8>>,
    /// A fault that the debug kernel should commit.
    #[cfg(debug_assertions)]
    pub plant: Option<Vec<u8>>,
}

/// Which keys this source has repeated so far: they replace those of the sources before it.
#[derive(Default)]
struct Seen {
    args: bool,
    dns: bool,
    dns_search: bool,
    disks: bool,
    shares: bool,
    rlimits: bool,
}

impl Params {
    /// `argv[0]`: as given, or a generic name.
    pub fn argv0(&self) -> &[u8] {
        self.argv0.as_deref().unwrap_or(b"program")
    }

    /// Adds a source of records.
    pub fn add_records(&mut self, file: &[u8]) {
        let mut seen = Seen::default();
        for p in params::records(file) {
            self.set(p.key, p.value.to_vec(), &mut seen);
        }
    }

    /// Adds the kernel command line.
    pub fn add_command_line(&mut self, line: &[u8]) {
        let mut seen = Seen::default();
        for item in params::command_line(line) {
            match item {
                Item::Param { key, value } => self.set(key, value.bytes().collect(), &mut seen),
                Item::Arg(word) => self.set(key::ARG, word.bytes().collect(), &mut seen),
                // Loaders add words of their own.
                Item::Flag(_) => {}
            }
        }
    }

    fn set(&mut self, k: &[u8], value: Vec<u8>, seen: &mut Seen) {
        match k {
            key::ARG => replace(&mut self.args, value, &mut seen.args),
            key::DNS => replace(&mut self.dns, value, &mut seen.dns),
            key::DNS_SEARCH => replace(&mut self.dns_search, value, &mut seen.dns_search),
            key::DISK => replace(&mut self.disks, value, &mut seen.disks),
            key::SHARE => replace(&mut self.shares, value, &mut seen.shares),
            key::RLIMIT => replace(&mut self.rlimits, value, &mut seen.rlimits),
            key::ENV => {
                let name = value.split_inclusive(|&b| b == b'=').next().unwrap_or(&value).to_vec();
                self.env.retain(|e| !e.starts_with(&name));
                self.env.push(value);
            }
            key::ARGV0 => put(&mut self.argv0, value),
            key::CWD => put(&mut self.cwd, value),
            key::HOSTNAME => put(&mut self.hostname, value),
            key::IP => put(&mut self.ip, value),
            key::IP6 => put(&mut self.ip6, value),
            key::IMAGE_SIZE => self.image_size = unibody_proto::number::decimal(&value),
            key::OUTPUT_FAILED => self.output_failed.extend(FromHost::output_failed(&value)),
            key::TTY => put(&mut self.tty, value),
            key::CONTROL => self.control = value == b"1",
            key::LOG => {
                self.log = match &value[..] {
                    b"error" => Some(Level::Error),
                    b"warn" => Some(Level::Warn),
                    b"info" => Some(Level::Info),
                    b"debug" => Some(Level::Debug),
                    _ => self.log,
                }
            }
            #[cfg(debug_assertions)]
            b"plant" => put(&mut self.plant, value),
            _ if k == key::OVERCOMMIT => self.overcommit = value.first().copied(),
            // Written by the tool for itself.
            _ if k.starts_with(key::TOOL) => {}
            // Linux parameters that VMMs and loaders add on their own.
            b"pci" | b"reboot" | b"panic" | b"root" | b"console" | b"init" | b"BOOT_IMAGE" => {}
            _ => libos_base::warn!("boot parameter {} is not known", String::from_utf8_lossy(k)),
        }
    }
}

// Neither function is worth a copy for each key.
#[inline(never)]
fn put(slot: &mut Option<Vec<u8>>, value: Vec<u8>) {
    *slot = Some(value);
}

#[inline(never)]
fn replace(list: &mut Vec<Vec<u8>>, value: Vec<u8>, seen: &mut bool) {
    if !*seen {
        list.clear();
        *seen = true;
    }
    list.push(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_sources_replace_lists_and_merge_the_environment() {
        let mut p = Params::default();
        p.add_records(b"arg=-c\0arg=old.conf\0env=A=1\0env=B=2\0ip=dhcp\0");
        p.add_records(b"env=A=3\0");
        p.add_command_line(b"ip=10.0.2.15/24,gw=10.0.2.2 env=\"C=x y\" -- new \"two words\"");
        assert_eq!(p.args, [b"new".to_vec(), b"two words".to_vec()]);
        assert_eq!(p.env, [b"B=2".to_vec(), b"A=3".to_vec(), b"C=x y".to_vec()]);
        assert_eq!(p.ip.as_deref(), Some(&b"10.0.2.15/24,gw=10.0.2.2"[..]));
    }
}
