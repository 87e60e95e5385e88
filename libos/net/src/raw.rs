//! Raw sockets (raw(7)) and ping sockets (icmp(7)): the calls. Most of them are those of UDP.

use crate::addr::{self, Addr};
use crate::net::Net;
use crate::options::int;
use crate::socket::{Incoming, Msg, Ops, Outgoing, Wait};
use crate::sockopts::words;
use crate::stack::ports::Local;
use crate::stack::raw::{ANY, ICMP, ICMPV6};
use crate::udp::{UdpSocket, gather, loopback_if_any, udp};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::abi::{IoctlArgument, af, ip_option, ipv6_option, sock, sol};
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee};
use libos_base::{Errno, Result};
use smoltcp::wire::IpAddress;

/// ICMP_FILTER and ICMP6_FILTER.
const FILTER: i32 = 1;
/// IPV6_HDRINCL.
const HDRINCL6: i32 = 36;

/// A raw or ping socket of AF_INET or AF_INET6.
pub struct RawSocket {
    inner: UdpSocket,
    protocol: u8,
    ping: bool,
}

impl RawSocket {
    /// `socket(AF_INET or AF_INET6, SOCK_RAW, protocol)`, or SOCK_DGRAM for ICMP.
    pub fn open(net: &Arc<Net>, v6: bool, protocol: u8, ping: bool) -> Result<Box<dyn Ops>> {
        let (id, shared) = net.with(|st| st.raw_socket(v6, protocol, ping))?;
        Ok(Box::new(Self { inner: UdpSocket { net: net.clone(), id, v6, shared }, protocol, ping }))
    }

    fn icmp(&self) -> bool {
        !self.ping && self.protocol == if self.inner.v6 { ICMPV6 } else { ICMP }
    }

    /// The destination that a program names; for IPv6 the port is the protocol, if it is not zero.
    fn destination(&self, a: &[u8]) -> Result<IpAddress> {
        let (v6, family) = (self.inner.v6, addr::family(a)?);
        if a.len() < if v6 { 24 } else { 16 } {
            return Err(Errno::EINVAL);
        }
        let mut b = [0; addr::MAX];
        b[..a.len()].copy_from_slice(a);
        if family == af::UNSPEC {
            b[..2].copy_from_slice(&(if v6 { af::INET6 } else { af::INET }).to_le_bytes());
        } else if v6 != (family == af::INET6) || family != af::INET && !v6 {
            return Err(Errno::EAFNOSUPPORT);
        }
        let (ip, port) = addr::parse_inet(&b[..a.len()], v6)?;
        if v6 && !self.ping && port != 0 && port != u16::from(self.protocol) && (self.protocol != ANY || port > 255) {
            return Err(Errno::EINVAL);
        }
        Ok(ip)
    }
}

impl Ops for RawSocket {
    fn identity(&self) -> (u16, u32, u32) {
        let family = if self.inner.v6 { af::INET6 } else { af::INET };
        (family, if self.ping { sock::DGRAM } else { sock::RAW }, self.protocol.into())
    }

    fn bind(&self, a: &[u8]) -> Result<()> {
        if self.ping {
            return crate::tcp::bind(&self.inner.net, self.inner.id, self.inner.v6, a);
        }
        let v6 = self.inner.v6;
        if a.len() < if v6 { 24 } else { 16 } || v6 && addr::family(a)? != af::INET6 {
            return Err(Errno::EINVAL);
        }
        let (ip, _) = addr::parse_inet(a, v6)?;
        let local = match ip {
            ip if !ip.is_unspecified() => Local::One(ip),
            _ if v6 => Local::Any6,
            _ => Local::Any4,
        };
        self.inner.net.with(|st| match local {
            // A mapped address is none for raw packets.
            Local::One(IpAddress::Ipv4(_)) if v6 => Err(Errno::EADDRNOTAVAIL),
            local => st.raw_bind(self.inner.id, local),
        })
    }

    fn connect(&self, a: &[u8], wait: Wait) -> Result<()> {
        self.inner.connect(a, wait)
    }

    fn send(&self, src: &mut Source<'_>, msg: &Outgoing<'_>, wait: Wait) -> Result<usize> {
        if src.left() > 0xffff {
            return Err(Errno::EMSGSIZE);
        }
        if msg.flags.contains(Msg::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        if !msg.files.is_empty() {
            return Err(Errno::EINVAL);
        }
        let to = msg.to.map(|a| self.destination(a)).transpose()?;
        let mut header = msg.ip;
        header.direct |= msg.flags.contains(Msg::DONTROUTE);
        let data = gather(src)?;
        let net = &self.inner.net;
        net.wait(wait, &self.inner.shared.pollee, || {
            net.with(|st| {
                let s = match st.sock(self.inner.id) {
                    Ok(s) => s,
                    Err(e) => return Some(Err(e)),
                };
                let error = s.error.take();
                let u = udp(s).ok()?;
                let shut = u.tx_shut.then_some(Errno::EPIPE);
                let Some(to) = to.or(u.peer.map(|p| p.0)) else { return Some(Err(Errno::EDESTADDRREQ)) };
                if let Some(e) = error.or(shut) {
                    return Some(Err(e));
                }
                header.from = header.from.or(u.source);
                st.raw_send(self.inner.id, loopback_if_any(to), &header, &data)
            })
        })?;
        Ok(data.len())
    }

    fn recv(&self, dst: &mut Sink<'_>, msg: &mut Incoming, wait: Wait) -> Result<usize> {
        self.inner.recv(dst, msg, wait)
    }
    fn shutdown(&self, rd: bool, wr: bool) -> Result<()> {
        self.inner.shutdown(rd, wr)
    }
    fn local(&self) -> Result<Addr> {
        self.inner.local()
    }
    fn peer(&self) -> Result<Addr> {
        self.inner.peer()
    }

    fn set(&self, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
        let v6 = self.inner.v6;
        let own = |f: &mut dyn FnMut(&mut crate::stack::raw::Raw) -> Result<()>| {
            Some(self.inner.net.with(|st| st.raw(self.inner.id).and_then(&mut *f)))
        };
        match (level, name) {
            _ if self.ping => {}
            (sol::RAW, FILTER) if !v6 => {
                if !self.icmp() {
                    return Some(Err(Errno::EOPNOTSUPP));
                }
                return own(&mut |raw| {
                    let mut b = raw.blocked[0].to_le_bytes();
                    let n = value.len().min(4);
                    b[..n].copy_from_slice(&value[..n]);
                    raw.blocked[0] = u32::from_le_bytes(b);
                    Ok(())
                });
            }
            (sol::ICMPV6, FILTER) if v6 && self.icmp() => {
                return own(&mut |raw| {
                    for (word, b) in raw.blocked.iter_mut().zip(value.chunks_exact(4)) {
                        *word = int(b)? as u32;
                    }
                    Ok(())
                });
            }
            (sol::IP, ip_option::HDRINCL) if !v6 => {
                let v = int(value).or(value.first().map(|&b| i32::from(b)).ok_or(Errno::EINVAL));
                return own(&mut |raw| v.map(|v| raw.header_included = v != 0));
            }
            (sol::IPV6, HDRINCL6) if v6 => {
                return own(&mut |raw| int(value).map(|v| raw.header_included = v != 0));
            }
            (sol::IPV6 | sol::RAW, ipv6_option::CHECKSUM) if v6 => {
                // RFC 3542 section 3.1: ICMPv6 has its own, and the place must be even.
                return own(&mut |raw| {
                    let v = int(value)?;
                    if self.icmp() && level == sol::IPV6 || v > 0 && v & 1 != 0 {
                        return Err(Errno::EINVAL);
                    }
                    raw.checksum = if v < 0 { None } else { Some(u16::try_from(v).map_err(|_| Errno::EINVAL)?) };
                    Ok(())
                });
            }
            _ => {}
        }
        self.inner.set(level, name, value)
    }

    fn get(&self, level: i32, name: i32) -> Option<Result<Vec<u8>>> {
        let v6 = self.inner.v6;
        let own = |f: &dyn Fn(&crate::stack::raw::Raw) -> Vec<u8>| {
            Some(self.inner.net.with(|st| st.raw(self.inner.id).map(|raw| f(raw))))
        };
        match (level, name) {
            _ if self.ping => {}
            (sol::RAW, FILTER) if !v6 && !self.icmp() => return Some(Err(Errno::EOPNOTSUPP)),
            (sol::RAW, FILTER) if !v6 => return own(&|raw| words(&raw.blocked[..1])),
            (sol::ICMPV6, FILTER) if v6 && self.icmp() => return own(&|raw| words(&raw.blocked)),
            (sol::IP, ip_option::HDRINCL) if !v6 => return own(&|raw| words(&[raw.header_included.into()])),
            (sol::IPV6, HDRINCL6) if v6 => return own(&|raw| words(&[raw.header_included.into()])),
            (sol::IPV6 | sol::RAW, ipv6_option::CHECKSUM) if v6 => {
                return own(&|raw| words(&[raw.checksum.map_or(u32::MAX, u32::from)]));
            }
            _ => {}
        }
        self.inner.get(level, name)
    }

    fn ioctl(&self, cmd: u32, arg: IoctlArgument) -> Result<usize> {
        self.inner.ioctl(cmd, arg)
    }
    fn events(&self) -> Events {
        self.inner.events()
    }
    fn pollee(&self) -> &Pollee {
        self.inner.pollee()
    }
    fn tell_edges(&self) {
        self.inner.tell_edges();
    }
}
