//! Raw, ping and packet sockets, filters and error queues, which few programs use.

use alloc::boxed::Box;
use libos_base::Result;
use libos_base::sync::Provider;
use libos_net::packet::{ATTACH, Attach, PacketSocket};
use libos_net::raw::RawSocket;
use libos_net::socket::Ops;

crate::component!("packet", optional, wanted by [socket], starts start);

/// Makes these sockets, in images that have them.
pub static MAKER: Provider<Maker> = Provider::new();

/// See [`MAKER`].
pub struct Maker {
    /// AF_INET or AF_INET6: whether it is the latter, the protocol, and whether it is a ping socket.
    pub raw: fn(bool, u8, bool) -> Result<Box<dyn Ops>>,
    /// AF_PACKET: type and protocol.
    pub packet: fn(u32, u32) -> Result<Box<dyn Ops>>,
}

extern "C" fn start() {
    MAKER.provide(&Maker {
        raw: |v6, protocol, ping| RawSocket::open(super::net(), v6, protocol, ping),
        packet: |kind, protocol| PacketSocket::open(super::net(), kind, protocol),
    });
    libos_net::errqueue::provide();
    ATTACH.provide(&(libos_net::packet::attach as Attach));
}
