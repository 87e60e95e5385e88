//! The network of this kernel: made when a program links `socket`, served by one thread.
//! Floor: parts.

mod device;
mod files;
mod later;
mod multicast;
pub mod netlink;
pub mod packet;

use crate::params::parameters;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::IpAddr;
use device::VirtioCard;
use drivers::virtio::{Cause, net as card};
use libos_base::layout::PAGE_SIZE;
use libos_base::poll::{FRONT, Front};
use libos_base::sync::Once;
use libos_base::thread::Wake;
use libos_base::time::{self, NS};
use libos_base::user;
use libos_net::config::{Hooks, Ip4, Ip6, NetConfig};
use libos_net::device::NetDevice;
use libos_net::net::Net;
use unibody_proto::control::{FromGuest, Transport};

static NET: Once<Arc<Net>> = Once::new();

/// How long boot waits for DHCP: enough for a program that needs the network at once, and unnoticed by a server.
const DHCP_WAIT: u64 = 3 * NS;

crate::component!("net", wanted by [socket], starts init);

/// The network. Loopback only before [`init`] and in images without `socket`.
pub fn net() -> &'static Arc<Net> {
    NET.set(|| Net::new(&NetConfig { memory: memory(), ..NetConfig::default() }, None, Arc::new(Kernel)))
}

fn memory() -> usize {
    crate::mm::stats().total * PAGE_SIZE
}

/// Takes the first card, and starts the network thread.
extern "C" fn init() {
    libos_fs::resolv_conf::expect();
    let config = config();
    let dev = take_card();
    let present = dev.is_some();
    let net = NET.set(|| Net::new(&config, dev, Arc::new(Kernel)));
    if crate::sched::spawn_kernel("net", || net.run()).is_err() {
        libos_base::error!("net: no memory for the network thread");
        return;
    }
    if present {
        later::init();
        FRONT.provide(&(&Kernel as &dyn Front));
    }
    crate::exit::CLOSE_SOCKETS.provide(&(close as fn(u64)));
    if present && !net.wait_configured(time::after(DHCP_WAIT)) {
        libos_base::warn!("net: no DHCP server has answered yet; going on without an IPv4 address");
    }
}

fn close(deadline: u64) {
    NET.get().into_iter().for_each(|net| net.end(deadline));
}

fn config() -> NetConfig {
    let p = parameters();
    fn text(v: &Option<alloc::vec::Vec<u8>>) -> Option<&str> {
        v.as_deref().and_then(|b| core::str::from_utf8(b).ok().map(str::trim))
    }
    let ip4 = text(&p.ip).map_or(Some(Ip4::Dhcp), Ip4::parse).unwrap_or_else(|| {
        libos_base::error!("net: ip= is neither dhcp, none nor A.B.C.D/N[,gw=X]; trying DHCP");
        Ip4::Dhcp
    });
    let ip6 = text(&p.ip6).map_or(Some(Ip6::Auto), Ip6::parse).unwrap_or_else(|| {
        libos_base::error!("net: ip6= is neither auto, none nor ADDR/N[,gw=X]");
        Ip6::Auto
    });
    let dns = p.dns.iter().filter_map(|d| core::str::from_utf8(d).ok()?.parse::<IpAddr>().ok()).collect();
    NetConfig { ip4, ip6, dns, search: user::lossy(&p.dns_search.join(&b' ')), memory: memory() }
}

/// The first card that its driver accepts.
fn take_card() -> Option<Box<dyn NetDevice>> {
    let options = card::Options::for_memory(memory() as u64);
    while let Some(device) = crate::devices::take_device(drivers::virtio::id::NET) {
        let wake = Arc::new(|cause: Cause| {
            if let Some(net) = NET.get() {
                if cause.contains(Cause::CONFIG) {
                    net.link_changed();
                }
                net.interrupt();
            }
        });
        match card::Net::new(device, &options, wake) {
            Ok(c) => return Some(Box::new(VirtioCard::new(c))),
            Err(e) => libos_base::warn!("net: a virtio-net device does not start: {e}"),
        }
    }
    None
}

/// What the stack calls in this kernel.
struct Kernel;

impl Hooks for Kernel {
    fn listening(&self, udp: bool, addr: IpAddr, port: u16) {
        let transport = if udp { Transport::Udp } else { Transport::Tcp };
        crate::console::control::listens(&FromGuest::Listen { transport, addr, port });
    }
    fn later(&self, ns: u64) -> bool {
        later::later(ns)
    }
    fn configured(&self, resolv_conf: Option<&str>) {
        if let Some(text) = resolv_conf
            && let Err(e) = libos_fs::resolv_conf::set(text.as_bytes())
        {
            libos_base::warn!("net: /etc/resolv.conf cannot be written: {e}");
        }
    }
}

impl Front for Kernel {
    fn look(&self) {
        net().look();
    }
    fn park(&self, deadline_ns: u64) -> Wake {
        net().park(deadline_ns)
    }
    fn serve(&self, ready: usize) {
        net().serve(ready);
    }
    fn holds(&self) -> bool {
        net().holds()
    }
    fn settle(&self) {
        net().settle();
        crate::console::settle();
    }
}
