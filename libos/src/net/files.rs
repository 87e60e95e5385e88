//! `/proc/net`, for programs that have sockets.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::file::downcast_arc;
use libos_fs::files;
use libos_fs::procfs::{More, NET, Node};
use libos_net::net::Net;
use libos_net::show::{Open, links, sockets};
use libos_net::socket::Socket;

crate::component!("netfiles", optional, wanted by [socket], starts start);

extern "C" fn start() {
    TABLE.add_to(&NET);
}

/// The sockets that are open, each once however many descriptors it has.
fn open() -> Open {
    let fds = &files().fds;
    let mut all: Vec<Arc<Socket>> = Vec::new();
    let mut at = 0;
    while let Some(fd) = fds.next(at) {
        at = fd.0 as usize + 1;
        let Some(socket) = fds.get_any(fd).ok().and_then(downcast_arc::<Socket>) else { continue };
        if !all.iter().any(|other| Arc::ptr_eq(other, &socket)) && all.try_reserve(1).is_ok() {
            all.push(socket);
        }
    }
    all
}

fn content(make: fn(&Net, &Open) -> String) -> Vec<u8> {
    make(super::net(), &open()).into_bytes()
}

macro_rules! table {
    ($($name:literal: $make:expr;)*) => { More::new(&[$(($name, Node::File(|| content($make)))),*]) };
}

static TABLE: More = table! {
    "arp": links::arp;
    "dev": links::dev;
    "dev_mcast": links::dev_mcast;
    "icmp": |net, open| sockets::raw(net, open, false, true);
    "icmp6": |net, open| sockets::raw(net, open, true, true);
    "if_inet6": links::if_inet6;
    "igmp": links::igmp;
    "igmp6": links::igmp6;
    "ipv6_route": links::ipv6_route;
    "packet": sockets::packet;
    "raw": |net, open| sockets::raw(net, open, false, false);
    "raw6": |net, open| sockets::raw(net, open, true, false);
    "route": links::route;
    "sockstat": sockets::sockstat;
    "sockstat6": sockets::sockstat6;
    "tcp": |net, open| sockets::tcp(net, open, false);
    "tcp6": |net, open| sockets::tcp(net, open, true);
    "udp": |net, open| sockets::udp(net, open, false);
    "udp6": |net, open| sockets::udp(net, open, true);
    "unix": sockets::unix;
};
