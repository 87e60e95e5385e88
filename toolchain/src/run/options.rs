//! The options of `unibody run`.

use super::net::{self, Publish};
use super::share::Share;
use super::ulimit;
use crate::disk;
use crate::size;
use crate::vmm::accel::Wanted;
use crate::vmm::{self, Board};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use unibody_proto::net::{Ip4, Ip6};
use unibody_proto::note;

/// Options of `unibody run`. They can be serialized for another process, which a detached VM needs.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub struct RunArgs {
    /// Image file, or name of a port, PORT or PORT:PROGRAM (a word with '/' is always a file)
    pub image: PathBuf,

    /// Memory: 64M, 1G; a plain number means MiB
    #[arg(short = 'm', long, value_name = "SIZE", default_value = "64M", value_parser = size::parse)]
    pub memory: u64,

    /// Number of processors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=255))]
    pub smp: u32,

    /// Forward a port of this machine to the guest; binds 127.0.0.1 unless ADDRESS widens; host port 0 takes a free one
    #[arg(short = 'p', long, value_name = "[ADDRESS:]HOST:GUEST[/udp]")]
    pub publish: Vec<Publish>,

    /// Network: user (needs no privileges), tap=NAME (a TAP device of this machine) or none
    #[arg(long, value_name = "user|tap=NAME|none", default_value = "user")]
    pub net: String,

    /// IPv4: dhcp, none or A.B.C.D/N[,gw=ADDRESS]; user network: 10.0.2.15/24,gw=10.0.2.2, otherwise dhcp
    #[arg(long, value_name = "ADDRESS", value_parser = ip4)]
    pub ip: Option<String>,

    /// IPv6: auto, none or ADDRESS/N[,gw=ADDRESS]; user network: fec0::15/64,gw=fec0::2, otherwise auto
    #[arg(long, value_name = "ADDRESS", value_parser = ip6)]
    pub ip6: Option<String>,

    /// Name server (repeatable); user network: 10.0.2.3
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<IpAddr>,

    /// Domain in which names without a dot are looked up (repeatable)
    #[arg(long, value_name = "DOMAIN", value_parser = net::check_domain)]
    pub dns_search: Vec<String>,

    /// MAC address of the guest's network card; unique by default
    #[arg(long, value_name = "MAC", value_parser = net::check_mac)]
    pub mac: Option<String>,

    /// Lay this folder over the image's root, with its modes, links and times
    #[arg(long, value_name = "DIR")]
    pub rootfs: Option<PathBuf>,

    /// Folder DIR of this machine, seen at /path (repeatable); ro: read-only
    #[arg(short = 'v', long, value_name = "DIR:/path[:ro]",
        value_parser = TypedValueParser::try_map(OsStringValueParser::new(), Share::parse))]
    pub volume: Vec<Share>,

    /// Persistent disk: the file FILE, mounted at /path; created (sparse) and formatted if absent (repeatable)
    #[arg(long, value_name = "FILE:/path[:fat][:partition=N]")]
    pub disk: Vec<disk::Wanted>,

    /// Size of a new disk: 64M, 1G; a plain number means MiB [default: 64M]
    #[arg(long, value_name = "SIZE", value_parser = size::parse, requires = "disk")]
    pub disk_size: Option<u64>,

    /// Environment variable; without '=' its value here is passed on
    #[arg(short = 'e', long = "env", value_name = "KEY=VALUE")]
    pub env: Vec<OsString>,

    /// File with one environment variable per line
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,

    /// Host name of the guest
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,

    /// Kernel setting, as in /proc/sys; only vm.overcommit_memory is known (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = sysctl)]
    pub sysctl: Vec<String>,

    /// Resource limit, soft and hard, as `ulimit` has them in C: nofile=10000 (repeatable)
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = ulimit::parse)]
    pub ulimit: Vec<String>,

    /// Working directory of the program
    #[arg(short = 'w', long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,

    /// Machine type: q35, pc or microvm, with QEMU properties after commas (microvm,acpi=off)
    #[arg(long, value_name = "TYPE", default_value = "q35")]
    pub machine: Board,

    /// Accelerator: auto uses KVM if it really works
    #[arg(long, value_name = "auto|kvm|tcg", value_enum, default_value_t = Wanted::Auto, hide_possible_values = true)]
    pub accel: Wanted,

    /// Virtual machine monitor: only QEMU is known
    #[arg(long, value_name = "qemu", value_parser = vmm::NAMES, default_value = "qemu", hide_possible_values = true)]
    pub vmm: String,

    /// Run in the background and print the VM's name
    #[arg(short = 'd', long, conflicts_with_all = ["dry_run", "hosted"])]
    pub detach: bool,

    /// Seconds given to the program once it was asked to end (SIGTERM here, `unibody stop`); then its VM is ended
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub stop_timeout: u64,

    /// Name of the VM for ps, logs, stop and the like
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Print the VMM's command line for starting it by hand, and stop
    #[arg(long)]
    pub dry_run: bool,

    /// Run the image as a Linux process inside its own root, with the network of this machine
    #[arg(long, conflicts_with_all = ["dry_run", "memory", "smp", "publish", "net", "ip", "ip6", "dns", "dns_search", "mac", "machine",
        "accel", "vmm", "name", "hostname", "stop_timeout", "sysctl"])]
    pub hosted: bool,

    /// The guest's parameter that describes the terminal, if its streams are one.
    #[arg(skip)]
    pub terminal: Option<String>,

    /// Arguments for the program
    #[arg(last = true, value_name = "PROGRAM ARGS")]
    pub args: Vec<OsString>,
}

impl RunArgs {
    /// The kernel components that these options need.
    pub fn components(&self) -> Vec<String> {
        let needed = [(note::DISK, !self.disk.is_empty()), (note::SHARE, !self.hosted && !self.volume.is_empty())];
        needed.into_iter().filter(|(_, needed)| *needed).map(|(name, _)| name.to_owned()).collect()
    }
}

fn sysctl(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(("vm.overcommit_memory", "0" | "1" | "2")) => Ok(text.to_owned()),
        Some(("vm.overcommit_memory", _)) => Err("expected 0 (guess), 1 (always) or 2 (strict)".to_owned()),
        _ => Err("expected vm.overcommit_memory=0, 1 or 2".to_owned()),
    }
}

fn ip4(text: &str) -> Result<String, String> {
    Ip4::parse(text).map(|_| text.to_owned()).ok_or_else(|| "expected dhcp, none or A.B.C.D/N[,gw=ADDRESS]".to_owned())
}

fn ip6(text: &str) -> Result<String, String> {
    Ip6::parse(text).map(|_| text.to_owned()).ok_or_else(|| "expected auto, none or ADDRESS/N[,gw=ADDRESS]".to_owned())
}
