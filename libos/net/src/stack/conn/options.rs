//! Options of a TCP socket.

use super::{Conn, Owner};
use crate::ipopts;
use crate::stack::interface::InterfaceId;
use crate::stack::ports::Reuse;
use libos_base::time::NS;
use libos_tcp::Limits;
use libos_tcp::congestion::Algorithm;
use smoltcp::wire::IpAddress;

/// Socket options that outlive the switch from listening to accepted: the child inherits them, as on Linux.
#[derive(Clone, Copy, Debug)]
pub struct TcpOpts {
    pub reuse: Reuse,
    pub nodelay: bool,
    pub cork: bool,
    pub quickack: bool,
    pub keepalive: bool,
    /// Seconds.
    pub keep_idle: u32,
    pub keep_intvl: u32,
    pub keep_cnt: u32,
    /// SO_LINGER: seconds.
    pub linger: Option<u32>,
    /// Milliseconds; 0: the system's default.
    pub user_timeout: u32,
    /// The options of the IP level.
    pub ip: ipopts::Values,
    /// SO_RCVBUF and SO_SNDBUF as requested; 0: depending on available memory.
    pub rcvbuf: usize,
    pub sndbuf: usize,
    /// Seconds for which TCP_DEFER_ACCEPT holds back a connection without data; 0: off.
    pub defer: u32,
    pub syn_count: u8,
    /// TCP_FASTOPEN: how many half-open connections could have data; and TCP_FASTOPEN_CONNECT.
    pub fastopen: u16,
    pub fastopen_connect: bool,
    /// SO_RCVLOWAT.
    pub rcvlowat: u32,
    /// TCP_CONGESTION.
    pub congestion: &'static str,
}

impl Default for TcpOpts {
    fn default() -> Self {
        Self {
            reuse: Reuse::default(),
            nodelay: false,
            cork: false,
            quickack: true,
            keepalive: false,
            keep_idle: 7200,
            keep_intvl: 75,
            keep_cnt: 9,
            linger: None,
            user_timeout: 0,
            ip: ipopts::defaults(),
            rcvbuf: 0,
            sndbuf: 0,
            defer: 0,
            syn_count: 6,
            fastopen: 0,
            fastopen_connect: false,
            rcvlowat: 1,
            congestion: Algorithm::NAMES[0],
        }
    }
}

/// How long an acknowledgment may wait for an answer to go with: with TCP_QUICKACK and without.
const DELAY: [u64; 2] = [NS / 100, NS / 25];

impl TcpOpts {
    /// How long an acknowledgment may wait.
    pub fn ack_delay(&self) -> u64 {
        DELAY[usize::from(!self.quickack)]
    }
}

impl Conn {
    /// Applies the options that the protocol implements.
    pub fn apply(&mut self) {
        let o = &self.opts;
        let seconds = |n: u32| u64::from(n) * NS;
        let limits = Limits {
            user_timeout: u64::from(o.user_timeout) * (NS / 1000),
            keep_alive: o.keepalive.then_some((seconds(o.keep_idle), seconds(o.keep_intvl), o.keep_cnt)),
            orphan: self.owner == Owner::Orphan,
        };
        self.tcp.set_limits(limits);
        // On loopback there is nothing to be gained from waiting.
        self.tcp.set_nodelay(o.nodelay || self.ifc == InterfaceId::Lo);
        self.tcp.set_ack_delay(o.ack_delay());
    }

    /// Hop limit and type of service of its packets.
    pub fn marks(&self) -> (u8, u8) {
        marks(&self.opts, &self.tuple.local)
    }
}

/// Hop limit and type of service of packets with this source.
pub fn marks(opts: &TcpOpts, local: &IpAddress) -> (u8, u8) {
    let v6 = matches!(local, IpAddress::Ipv6(_));
    let (hops, tos) = if v6 { (ipopts::HOPS, ipopts::TCLASS) } else { (ipopts::TTL, ipopts::TOS) };
    (opts.ip[hops].max(1), opts.ip[tos])
}
