//! Addresses: DHCP, static, IPv6 link-local and advertised ones; and name servers.

use super::interface::Interface;
use super::{Stack, instant};
use crate::config::{Ip4, Ip6, NetConfig};
use crate::device::NetDevice;
use crate::phy::{Card, FrameSink, Nowhere, OneSlot, Report};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use libos_base::time::NS;
use smoltcp::iface::{self, SocketHandle};
use smoltcp::socket::dhcpv4;
use smoltcp::wire::{IpAddress, IpCidr, Ipv4Cidr, Ipv6Address, Ipv6Cidr};

/// State of the configuration.
pub struct Control {
    /// Router solicitation and advertised addresses have an interface of their own: on the one that carries
    /// connections, their timers would be every connection's.
    slaac: Option<Box<iface::Interface>>,
    pub dhcp: Option<SocketHandle>,
    /// Something arrived that may have changed it.
    pub changed: bool,
    pub next_at: u64,
    /// Name servers were given at boot: they take precedence over DHCP's.
    fixed_dns: bool,
    /// Domains for short names, given at boot.
    search: String,
    /// The new `/etc/resolv.conf`, not yet written.
    pub resolv: Option<String>,
    /// Addresses changed: report that to the kernel.
    pub news: bool,
    /// IPv4 is configured, or will not be.
    pub ready: bool,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            slaac: None,
            dhcp: None,
            changed: false,
            next_at: u64::MAX,
            fixed_dns: false,
            search: String::new(),
            resolv: None,
            news: false,
            ready: true,
        }
    }
}

impl Stack {
    /// Gives the card its addresses, or starts asking for them.
    pub fn configure(&mut self, config: &NetConfig) {
        self.control.fixed_dns = !config.dns.is_empty();
        self.control.search = config.search.clone();
        if self.control.fixed_dns || !config.search.is_empty() {
            let servers: Vec<IpAddress> = config.dns.iter().map(|a| (*a).into()).collect();
            self.set_dns(&servers);
        }
        let Some(eth) = &mut self.interfaces.eth else { return };
        let Some(mac) = eth.mac() else { return };
        let link_local = link_local(&mac);
        if config.ip6 != Ip6::None {
            eth.smoltcp.update_ip_addrs(|a| {
                let _ = a.push(IpCidr::Ipv6(Ipv6Cidr::new(link_local, 64)));
            });
        }
        if config.ip6 == Ip6::Auto {
            let mut own = Interface::new(eth.link, eth.smoltcp.hardware_addr(), true, instant(self.now)).smoltcp;
            own.update_ip_addrs(|a| {
                let _ = a.push(IpCidr::Ipv6(Ipv6Cidr::new(link_local, 64)));
            });
            self.control.slaac = Some(own);
        }
        if let Ip6::Static { addr, prefix, gateway } = config.ip6 {
            if unicast(IpAddress::Ipv6(addr)) && prefix <= 128 {
                eth.smoltcp.update_ip_addrs(|a| {
                    let _ = a.push(IpCidr::Ipv6(Ipv6Cidr::new(addr, prefix)));
                });
            }
            if let Some(g) = gateway {
                let _ = eth.smoltcp.routes_mut().add_default_ipv6_route(g);
            }
        }
        match config.ip4 {
            Ip4::Static { addr, prefix, gateway } if unicast(IpAddress::Ipv4(addr)) && prefix <= 32 => {
                self.set_ip4(Some(Ipv4Cidr::new(addr, prefix)), gateway);
            }
            Ip4::Static { addr, .. } => libos_base::error!("net: {addr} is not an address for a host"),
            Ip4::Dhcp => {
                let s = dhcpv4::Socket::new();
                self.control.dhcp = Some(eth.control.add(s));
                self.control.ready = false;
            }
            Ip4::None => {}
        }
        self.control.next_at = self.now;
        self.control.news = true;
    }

    fn set_ip4(&mut self, addr: Option<Ipv4Cidr>, gateway: Option<smoltcp::wire::Ipv4Address>) {
        let Some(eth) = &mut self.interfaces.eth else { return };
        eth.smoltcp.update_ip_addrs(|a| {
            a.retain(|c| matches!(c, IpCidr::Ipv6(_)));
            if let Some(addr) = addr {
                // First, since most packets look for this one.
                let _ = a.insert(0, IpCidr::Ipv4(addr));
            }
        });
        self.neighbors.forget();
        eth.smoltcp.routes_mut().remove_default_ipv4_route();
        if let Some(g) = gateway {
            let _ = eth.smoltcp.routes_mut().add_default_ipv4_route(g);
        }
        self.control.news = true;
    }

    fn set_dns(&mut self, servers: &[IpAddress]) {
        let mut s = String::new();
        if !self.control.search.is_empty() {
            let _ = writeln!(s, "search {}", self.control.search);
        }
        for a in servers {
            let _ = writeln!(s, "nameserver {a}");
        }
        self.control.resolv = Some(s);
    }

    /// Polls DHCP and neighbor discovery when due.
    pub fn run_control(&mut self, dev: Option<&mut (dyn NetDevice + 'static)>) {
        if self.interfaces.eth.is_none() || !(self.control.changed || self.now >= self.control.next_at) {
            return;
        }
        self.control.changed = false;
        let groups = self.groups.run.map_or(u64::MAX, |run| run(self));
        let now = instant(self.now);
        let Some(eth) = &mut self.interfaces.eth else { return };
        let mut nowhere = Nowhere;
        let mut card;
        let sink: &mut dyn FrameSink = match dev {
            Some(d) => {
                card = Card(d);
                &mut card
            }
            None => &mut nowhere,
        };
        let mut slot = OneSlot { link: eth.link, rx: None, sink, report: Report::default() };
        eth.smoltcp.poll_egress(now, &mut slot, &mut eth.control);
        let mut again = eth.smoltcp.poll_at(now, &eth.control);
        let mut addresses = false;
        if let Some(own) = &mut self.control.slaac {
            own.poll_maintenance(now);
            own.poll_egress(now, &mut slot, &mut eth.empty);
            if copy_advertised(own, &mut eth.smoltcp) {
                self.control.news = true;
                self.neighbors.rerouted();
                addresses = true;
            }
            // A time in the past only means that smoltcp is waiting for an advertisement.
            let at = own.poll_at(now, &eth.empty).filter(|&t| t > now);
            again = again.into_iter().chain(at).min();
        }
        let asked = slot.report.asked;
        self.neighbor_asked(asked);
        let Some(eth) = &mut self.interfaces.eth else { return };
        let mut lease = None;
        if let Some(h) = self.control.dhcp {
            lease = eth.control.get_mut::<dhcpv4::Socket>(h).poll().map(|e| match e {
                dhcpv4::Event::Configured(c) => {
                    let dns: Vec<IpAddress> = c.dns_servers.iter().map(|a| IpAddress::Ipv4(*a)).collect();
                    Some((c.address, c.router, dns))
                }
                dhcpv4::Event::Deconfigured => None,
            });
        }
        let at = again.map_or(u64::MAX, |t| (t.total_micros() as u64).saturating_mul(1000));
        self.control.next_at = at.min(groups).max(self.now + NS / 1000);
        match lease {
            Some(Some((addr, router, dns))) => {
                libos_base::info!("net: DHCP gave {addr}");
                self.set_ip4(Some(addr), router);
                if !self.control.fixed_dns && !dns.is_empty() {
                    self.set_dns(&dns);
                }
                self.control.ready = true;
            }
            Some(None) if self.control.ready => {
                libos_base::warn!("net: the DHCP lease has ended");
                self.set_ip4(None, None);
            }
            // A new client's first event says that nothing is configured, which is no news.
            Some(None) | None => {}
        }
        if addresses {
            self.groups_changed();
        }
        self.udp_neighbors_changed();
    }
}

/// Copies advertised addresses and the default route from the soliciting interface. Returns whether anything changed.
fn copy_advertised(from: &iface::Interface, to: &mut iface::Interface) -> bool {
    let advertised = |c: &IpCidr| matches!(c, IpCidr::Ipv6(c) if c.address().segments()[0] & 0xffc0 != 0xfe80);
    let same = from.ip_addrs().iter().filter(|c| advertised(c)).eq(to.ip_addrs().iter().filter(|c| advertised(c)));
    let route = from.routes().get_default_ipv6_route();
    let old = to.routes().get_default_ipv6_route();
    let same_route = route.map(|r| r.via_router) == old.map(|r| r.via_router);
    if !same {
        to.update_ip_addrs(|a| {
            a.retain(|c| !advertised(c));
            for c in from.ip_addrs().iter().filter(|c| advertised(c)) {
                let _ = a.push(*c);
            }
        });
    }
    if !same_route {
        to.routes_mut().remove_default_ipv6_route();
        if let Some(IpAddress::Ipv6(g)) = route.map(|r| r.via_router) {
            let _ = to.routes_mut().add_default_ipv6_route(g);
        }
    }
    !(same && same_route)
}

impl Stack {
    /// Processes a router advertisement.
    pub fn advertisement(&mut self, raw: &[u8]) {
        let now = instant(self.now);
        if let (Some(own), Some(eth)) = (&mut self.control.slaac, &mut self.interfaces.eth) {
            let mut slot = OneSlot { link: eth.link, rx: Some(raw), sink: &mut Nowhere, report: Report::default() };
            own.poll_ingress_single(now, &mut slot, &mut eth.empty);
            self.control.changed = true;
        }
    }
}

/// smoltcp panics on interface addresses that are not unicast.
fn unicast(a: IpAddress) -> bool {
    a.is_unicast() && !a.is_unspecified()
}

/// The link-local address from the MAC (RFC 4291 appendix A).
fn link_local(mac: &[u8; 6]) -> Ipv6Address {
    let w = |a: u8, b: u8| u16::from(a) << 8 | u16::from(b);
    Ipv6Address::new(0xfe80, 0, 0, 0, w(mac[0] ^ 2, mac[1]), w(mac[2], 0xff), w(0xfe, mac[3]), w(mac[4], mac[5]))
}
