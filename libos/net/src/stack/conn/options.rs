//! Options of a TCP socket.

use super::Conn;
use crate::ipopts;
use crate::stack::interface::InterfaceId;
use smoltcp::wire::IpAddress;

/// Socket options that outlive the switch from listening to accepted: the child inherits them, as on Linux.
#[derive(Clone, Copy, Debug)]
pub struct TcpOpts {
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
}

impl Default for TcpOpts {
    fn default() -> Self {
        Self {
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
        }
    }
}

impl Conn {
    /// Applies the options that smoltcp implements.
    pub fn apply(&mut self) {
        let v6 = matches!(self.tuple.local, IpAddress::Ipv6(_));
        let (hops, tos) = if v6 { (ipopts::HOPS, ipopts::TCLASS) } else { (ipopts::TTL, ipopts::TOS) };
        let hops = self.opts.ip[hops];
        let tos = self.opts.ip[tos];
        self.send.set_tos(tos);
        self.tcp_mut().set_hop_limit(Some(hops.max(1)));
        // On loopback an ACK costs nothing and waiting for one does.
        let delay = match (self.ifc, self.opts.quickack) {
            (InterfaceId::Lo, _) => None,
            (_, true) => Some(10),
            (_, false) => Some(40),
        };
        self.tcp_mut().set_ack_delay(delay.map(smoltcp::time::Duration::from_millis));
    }
}
