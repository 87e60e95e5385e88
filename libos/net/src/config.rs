//! What the kernel tells the stack at boot, and what the stack reports to the kernel.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
pub use unibody_proto::net::{Ip4, Ip6};

/// The configuration of the card.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NetConfig {
    pub ip4: Ip4,
    pub ip6: Ip6,
    /// Name servers; if empty, those from DHCP.
    pub dns: Vec<IpAddr>,
    /// Domains in which short names are looked up, separated by blanks.
    pub search: String,
    /// Bytes of RAM, which determine buffer sizes.
    pub memory: usize,
}

/// What the kernel does for the stack. Called without any of the stack's locks.
pub trait Hooks: Send + Sync {
    /// A TCP socket listens, or (`udp`) a datagram socket was bound to a port.
    fn listening(&self, _udp: bool, _addr: IpAddr, _port: u16) {}
    /// Addresses or name servers changed; `resolv_conf` is the new `/etc/resolv.conf`, if that changed. Called by the
    /// network thread.
    fn configured(&self, _resolv_conf: Option<&str>) {}
    /// No thread waits for the card's interrupt: has [`overdue`](crate::net::Net::overdue) called after this many
    /// nanoseconds, or sooner, unless [`watched`](crate::net::Net::watched) says then that it need not be. False if a
    /// processor has nothing to do, so that there is no reason to put it off. Called in interrupts, too.
    fn later(&self, _ns: u64) -> bool {
        false
    }
}

/// For tests, and for kernels without a host to report to.
pub struct NoHooks;
impl Hooks for NoHooks {}
