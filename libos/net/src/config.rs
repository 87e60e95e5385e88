//! What the kernel tells the stack at boot, and what the stack tells the kernel.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the IPv4 address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Ip4 {
    /// DHCP.
    #[default]
    Dhcp,
    /// Given.
    Static { addr: Ipv4Addr, prefix: u8, gateway: Option<Ipv4Addr> },
    /// No IPv4.
    None,
}

/// Where the IPv6 addresses come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Ip6 {
    /// Link-local, and router advertisements.
    #[default]
    Auto,
    /// Link-local and this one.
    Static { addr: Ipv6Addr, prefix: u8, gateway: Option<Ipv6Addr> },
    /// No IPv6 on the card.
    None,
}

/// The configuration of the card.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NetConfig {
    pub ip4: Ip4,
    pub ip6: Ip6,
    /// Name servers; when empty, those that DHCP names.
    pub dns: Vec<IpAddr>,
    /// Domains in which short names are looked up, with blanks between.
    pub search: String,
    /// Bytes of RAM: buffers are sized by it.
    pub memory: usize,
}

/// What the kernel does for the stack. Called without any lock of the stack's.
pub trait Hooks: Send + Sync {
    /// A TCP socket listens, or (`udp`) a datagram socket was bound to a port.
    fn listening(&self, _udp: bool, _addr: IpAddr, _port: u16) {}
    /// Addresses or name servers changed; `resolv_conf` is the new `/etc/resolv.conf`, when it has changed.
    /// Called by the network thread.
    fn configured(&self, _resolv_conf: Option<&str>) {}
}

/// For tests and for kernels without a host to tell.
pub struct NoHooks;
impl Hooks for NoHooks {}
