//! Netlink sockets, which few programs use.

use alloc::boxed::Box;
use libos_base::Result;
use libos_base::sync::Provider;
use libos_net::netlink::{COOKIES, Cookies, NetlinkSocket};
use libos_net::socket::Ops;

crate::component!("netlink", optional, wanted by [socket], starts start);

/// Makes a netlink socket of this type.
pub static OPEN: Provider<Open> = Provider::new();
type Open = fn(u32) -> Result<Box<dyn Ops>>;

extern "C" fn start() {
    OPEN.provide(&(open as Open));
    COOKIES.provide(&Cookies::NETLINK);
}

fn open(kind: u32) -> Result<Box<dyn Ops>> {
    NetlinkSocket::open(super::net(), kind, crate::sched::PID)
}
