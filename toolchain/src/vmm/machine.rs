//! The description of a machine: everything that a back-end has to know.

use super::Board;
use super::accel::Accel;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use unibody_proto::control::Transport;

/// A machine that can be started.
pub struct Machine {
    /// Its name in process lists.
    pub name: String,
    pub board: Board,
    /// How its processors are executed.
    pub accel: Accel,
    /// Processor features that it hides.
    pub without: &'static [&'static str],
    pub processors: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// The file that it boots.
    pub kernel: PathBuf,
    /// The archive that goes with it.
    pub initrd: PathBuf,
    /// The kernel's command line.
    pub command_line: String,
    /// Files passed through the firmware interface, by name.
    pub firmware: Vec<(String, PathBuf)>,
    /// Ports of its virtio console. The kernel log has a serial line.
    pub ports: Vec<Port>,
    pub disks: Vec<Disk>,
    /// The network card.
    pub card: Option<Card>,
    /// Shared folders of this computer.
    pub shares: Vec<Share>,
}

/// A port of the virtio console.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// The name with which the guest finds it; none for the console proper.
    pub name: Option<&'static str>,
    /// What goes through it.
    pub stream: Stream,
}

/// What goes through a port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard input and output.
    Stdio,
    /// Standard error.
    Stderr,
    /// The control protocol.
    Control,
}

/// A disk.
pub struct Disk {
    /// The file that backs it.
    pub file: PathBuf,
    /// The serial number with which the guest finds it.
    pub serial: String,
    /// Only reading is possible.
    pub read_only: bool,
}

/// A network card.
pub struct Card {
    /// Its address.
    pub mac: String,
    /// What it is connected to.
    pub network: Network,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// One that the VMM makes for this machine, without privileges.
    User {
        /// The guest's address, prefix and gateway, if not the usual ones.
        guest: Option<(Ipv4Addr, u8, Option<Ipv4Addr>)>,
        /// Ports of this computer forwarded to the guest.
        forwards: Vec<Forward>,
    },
    /// A TAP device of this computer.
    Tap(String),
}

/// The static addresses of the user network; assigned by default, because DHCP costs time.
pub const USER_IP: &str = "10.0.2.15/24,gw=10.0.2.2";
/// Its name server.
pub const USER_DNS: &str = "10.0.2.3";
/// The same for IPv6.
pub const USER_IP6: &str = "fec0::15/64,gw=fec0::2";

/// A port of this computer forwarded to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// TCP or UDP.
    pub transport: Transport,
    /// Where this computer listens.
    pub host: SocketAddrV4,
    /// Port in the guest.
    pub guest: u16,
}

/// A folder of this computer.
pub struct Share {
    /// The folder, absolute.
    pub dir: OsString,
    /// The name with which the guest finds it.
    pub tag: String,
    /// Only reading is possible.
    pub read_only: bool,
}
