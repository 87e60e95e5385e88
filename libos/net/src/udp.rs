//! UDP sockets: the calls.

use crate::addr::{self, Addr};
use crate::net::Net;
use crate::socket::{Incoming, Msg, Ops, Outgoing, SOCK_DGRAM, Wait};
use crate::stack::Shared;
use crate::stack::ports::Proto;
use crate::stack::sock::{Kind, Sock};
use crate::stack::udp::{MAX, Udp};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee};
use libos_base::{Errno, Result, user};
use smoltcp::wire::IpAddress;

/// A UDP socket of AF_INET or AF_INET6.
pub struct UdpSocket {
    net: Arc<Net>,
    id: u32,
    v6: bool,
    shared: Arc<Shared>,
}

const IP_PKTINFO: i32 = 8;
const IPV6_RECVPKTINFO: i32 = 49;
const IPV6_PKTINFO: i32 = 50;

impl UdpSocket {
    /// `socket(AF_INET or AF_INET6, SOCK_DGRAM)`.
    pub fn open(net: &Arc<Net>, v6: bool) -> Result<Box<dyn Ops>> {
        let (id, shared) = net.with(|st| st.socket(Proto::Udp, v6))?;
        Ok(Box::new(Self { net: net.clone(), id, v6, shared }))
    }
}

fn udp(s: &mut Sock) -> Result<&mut Udp> {
    match &mut s.kind {
        Kind::Udp(u) => Ok(u),
        _ => Err(Errno::EINVAL),
    }
}

impl Ops for UdpSocket {
    fn identity(&self) -> (u16, u32, u32) {
        (if self.v6 { addr::AF_INET6 } else { addr::AF_INET }, SOCK_DGRAM, 17)
    }

    fn bind(&self, a: &[u8]) -> Result<()> {
        crate::tcp::bind(&self.net, self.id, self.v6, a)?;
        let (ip, port) = self.net.with(|st| st.local_name(self.id))?;
        self.net.hooks().listening(true, ip.into(), port);
        Ok(())
    }

    fn connect(&self, a: &[u8], _: Wait) -> Result<()> {
        let unspec = addr::family(a)? == addr::AF_UNSPEC;
        let to = if unspec { None } else { Some(addr::parse_inet(a, self.v6)?) };
        self.net.with(|st| {
            let Some((ip, port)) = to else {
                let u = udp(st.sock(self.id)?)?;
                (u.peer, u.source) = (None, None);
                return Ok(());
            };
            let ip = loopback_if_any(ip);
            let (_, source) = st.route(&ip)?;
            st.autobind(self.id)?;
            let s = st.sock(self.id)?;
            let source = match s.bound {
                Some((crate::stack::ports::Local::One(a), _)) => a,
                _ => source,
            };
            let u = udp(s)?;
            (u.peer, u.source) = (Some((ip, port)), Some(source));
            Ok(())
        })
    }

    fn send(&self, src: &mut Source<'_>, msg: &Outgoing<'_>, wait: Wait) -> Result<usize> {
        if msg.flags.contains(Msg::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        if msg.flags.contains(Msg::MORE) || !msg.files.is_empty() {
            return Err(Errno::EINVAL);
        }
        let to = msg.to.map(|a| addr::parse_inet(a, self.v6)).transpose()?;
        let len = src.left();
        if len > MAX {
            return Err(Errno::EMSGSIZE);
        }
        wait.block(&self.shared.pollee, || {
            self.net.with(|st| {
                let s = match st.sock(self.id) {
                    Ok(s) => s,
                    Err(e) => return Some(Err(e)),
                };
                if let Some(e) = s.error.take() {
                    return Some(Err(e));
                }
                let v6only = s.v6only;
                let u = match udp(s) {
                    Ok(u) => u,
                    Err(e) => return Some(Err(e)),
                };
                if u.tx_shut {
                    return Some(Err(Errno::EPIPE));
                }
                let Some((ip, port)) = to.or(u.peer) else { return Some(Err(Errno::EDESTADDRREQ)) };
                if port == 0 {
                    return Some(Err(Errno::EINVAL));
                }
                if v6only && matches!(ip, IpAddress::Ipv4(_)) {
                    return Some(Err(Errno::ENETUNREACH));
                }
                let connected_source = if to.is_none() { u.source } else { None };
                st.udp_send(self.id, (loopback_if_any(ip), port), msg.from.or(connected_source), len, |buf| {
                    let mut at = 0;
                    while at < buf.len() {
                        at += src.take(&mut buf[at..])?.max(1);
                    }
                    Ok(())
                })
            })
        })?;
        Ok(len)
    }

    fn recv(&self, dst: &mut Sink<'_>, msg: &mut Incoming, wait: Wait) -> Result<usize> {
        if msg.flags.contains(Msg::ERRQUEUE) {
            return Err(Errno::EAGAIN);
        }
        let peek = msg.flags.contains(Msg::PEEK);
        self.net.wait(wait, &self.shared.pollee, || {
            self.net.with(|st| {
                let s = match st.sock(self.id) {
                    Ok(s) => s,
                    Err(e) => return Some(Err(e)),
                };
                if let Some(e) = s.error.take() {
                    return Some(Err(e));
                }
                let pktinfo = s.opts.pktinfo;
                let u = udp(s).ok()?;
                let Some(d) = u.queue.front() else { return u.rx_shut.then_some(Ok(0)) };
                let copied = match dst.put(&d.data) {
                    Ok(n) => n,
                    Err(e) => {
                        if !peek {
                            st.udp_pop(self.id);
                        }
                        return Some(Err(e));
                    }
                };
                msg.from = Addr::inet(d.from, self.v6, 2);
                let full = d.data.len();
                msg.full_len = Some(full);
                if full > copied {
                    msg.out_flags |= Msg::TRUNC;
                }
                if pktinfo {
                    msg.control.push(pktinfo_message(d.to, d.ifc, self.v6));
                }
                if !peek {
                    st.udp_pop(self.id);
                }
                Some(Ok(if msg.flags.contains(Msg::TRUNC) { full } else { copied }))
            })
        })
    }

    fn shutdown(&self, rd: bool, wr: bool) -> Result<()> {
        self.net.with(|st| {
            let s = st.sock(self.id)?;
            let shared = s.shared.clone();
            let u = udp(s)?;
            u.peer.ok_or(Errno::ENOTCONN)?;
            u.rx_shut |= rd;
            u.tx_shut |= wr;
            st.wake(&shared, Events::IN | Events::OUT | Events::HUP);
            Ok(())
        })
    }

    fn local(&self) -> Result<Addr> {
        self.net.with(|st| st.local_name(self.id)).map(|n| Addr::inet(n, self.v6, 2))
    }
    fn peer(&self) -> Result<Addr> {
        self.net.with(|st| st.peer_name(self.id)).map(|n| Addr::inet(n, self.v6, 2))
    }
    fn set(&self, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
        self.net.with(|st| crate::options::set(st, self.id, level, name, value))
    }
    fn get(&self, level: i32, name: i32) -> Option<Result<Vec<u8>>> {
        self.net.with(|st| crate::options::get(st, self.id, level, name))
    }

    fn ioctl(&self, cmd: u32, arg: usize) -> Result<usize> {
        let n: Result<usize> = self.net.with(|st| {
            let u = udp(st.sock(self.id)?)?;
            Ok(match cmd {
                crate::ifreq::FIONREAD => u.queue.front().map_or(0, |d| d.data.len()),
                _ => u.unsent(),
            })
        });
        match cmd {
            crate::ifreq::FIONREAD | crate::ifreq::TIOCOUTQ => user::write(arg, &(n? as i32)).map(|()| 0),
            _ => crate::ifreq::ioctl(&self.net, cmd, arg),
        }
    }

    fn events(&self) -> Events {
        self.net.with(|st| {
            let Ok(s) = st.sock(self.id) else { return Events::ERR };
            let mut e = crate::options::error_events(&s.error);
            let Ok(u) = udp(s) else { return Events::ERR };
            if !u.queue.is_empty() || u.rx_shut {
                e |= Events::IN | Events::RDNORM;
            }
            if u.rx_shut {
                e |= Events::RDHUP;
            }
            if u.rx_shut && u.tx_shut {
                e |= Events::HUP;
            }
            if u.unsent() * 2 < u.sndbuf.min(16384) {
                e |= Events::OUT | Events::WRNORM;
            } else {
                u.want_room = true;
            }
            e
        })
    }
    fn pollee(&self) -> &Pollee {
        &self.shared.pollee
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.net.with(|st| st.close(self.id));
    }
}

fn loopback_if_any(ip: IpAddress) -> IpAddress {
    match ip {
        IpAddress::Ipv4(a) if a.is_unspecified() => IpAddress::v4(127, 0, 0, 1),
        IpAddress::Ipv6(a) if a.is_unspecified() => IpAddress::v6(0, 0, 0, 0, 0, 0, 0, 1),
        a => a,
    }
}

fn pktinfo_message(to: IpAddress, ifc: crate::stack::conn::Ifc, v6: bool) -> (i32, i32, Vec<u8>) {
    let index = (ifc as u32 + 1).to_le_bytes();
    match to {
        IpAddress::Ipv4(a) if !v6 => {
            let mut v = index.to_vec();
            v.extend_from_slice(&a.octets());
            v.extend_from_slice(&a.octets());
            (crate::options::IPPROTO_IP, IP_PKTINFO, v)
        }
        a => {
            let octets = match a {
                IpAddress::Ipv4(a) => a.to_ipv6_mapped().octets(),
                IpAddress::Ipv6(a) => a.octets(),
            };
            let mut v = octets.to_vec();
            v.extend_from_slice(&index);
            (crate::options::IPPROTO_IPV6, IPV6_PKTINFO, v)
        }
    }
}

/// Options of the IP level that only datagram sockets have.
pub(crate) fn set_ip(s: &mut Sock, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
    match (level, name) {
        (crate::options::IPPROTO_IP, IP_PKTINFO) | (crate::options::IPPROTO_IPV6, IPV6_RECVPKTINFO) => {
            Some(crate::options::int(value).map(|v| s.opts.pktinfo = v != 0))
        }
        _ => None,
    }
}

/// The same for reading.
pub(crate) fn get_ip(s: &Sock, level: i32, name: i32) -> Option<Result<Vec<u8>>> {
    match (level, name) {
        (crate::options::IPPROTO_IP, IP_PKTINFO) | (crate::options::IPPROTO_IPV6, IPV6_RECVPKTINFO) => {
            Some(Ok(i32::from(s.opts.pktinfo).to_le_bytes().to_vec()))
        }
        _ => None,
    }
}

/// A source address from IP_PKTINFO or IPV6_PKTINFO of `sendmsg`.
pub fn pktinfo_source(level: i32, kind: i32, data: &[u8]) -> Option<IpAddress> {
    match (level, kind) {
        (crate::options::IPPROTO_IP, IP_PKTINFO) => {
            let a: [u8; 4] = data.get(4..8)?.try_into().ok()?;
            (a != [0; 4]).then(|| IpAddress::Ipv4(a.into()))
        }
        (crate::options::IPPROTO_IPV6, IPV6_PKTINFO) => {
            let a: [u8; 16] = data.get(..16)?.try_into().ok()?;
            let a = smoltcp::wire::Ipv6Address::from(a);
            (!a.is_unspecified()).then(|| a.to_ipv4_mapped().map_or(IpAddress::Ipv6(a), IpAddress::Ipv4))
        }
        _ => None,
    }
}
