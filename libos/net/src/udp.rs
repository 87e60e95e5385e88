//! UDP sockets: the calls.

use crate::addr::{self, Addr};
use crate::errqueue::CALLS;
use crate::ipopts;
use crate::net::Net;
use crate::packet::ATTACH;
use crate::socket::{Header, Incoming, Msg, Ops, Outgoing, Wait};
use crate::sockopts::stamp_message;
use crate::stack::ports::Proto;
use crate::stack::sock::{Kind, Name, Sock};
use crate::stack::udp::{Cork, Datagram, Udp};
use crate::stack::udp_send::MAX;
use crate::stack::{Shared, Stack};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::abi::{IoctlArgument, af, ioctl, ip_option, ipv6_option, so, sock, sol};
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee};
use libos_base::{Errno, Result, user};
use smoltcp::wire::IpAddress;

/// A UDP socket of AF_INET or AF_INET6.
pub struct UdpSocket {
    pub(crate) net: Arc<Net>,
    pub(crate) id: u32,
    pub(crate) v6: bool,
    pub(crate) shared: Arc<Shared>,
}

impl UdpSocket {
    /// `socket(AF_INET or AF_INET6, SOCK_DGRAM)`.
    pub fn open(net: &Arc<Net>, v6: bool) -> Result<Box<dyn Ops>> {
        let (id, shared) = net.with(|st| st.socket(Proto::Udp, v6))?;
        Ok(Box::new(Self { net: net.clone(), id, v6, shared }))
    }
}

impl UdpSocket {
    /// One attempt to send. `None`: no room now.
    fn attempt(
        &self,
        st: &mut Stack,
        to: &mut Option<Name>,
        header: &mut Header,
        data: &mut Vec<u8>,
        more: bool,
        read: Result<()>,
    ) -> Result<Option<()>> {
        let s = st.sock(self.id)?;
        let (v6only, error) = (s.v6only, &mut s.error);
        let Kind::Udp(u) = &mut s.kind else { return Err(Errno::EINVAL) };
        // A datagram that was begun is finished, whatever has happened since.
        if u.cork.is_none() {
            if let Some(e) = error.take() {
                return Err(e);
            }
            if u.tx_shut {
                return Err(Errno::EPIPE);
            }
        }
        let more = more || u.corked;
        let (mut target, gathering) = match &u.cork {
            // All parts go where the first one goes.
            Some(c) => {
                *header = c.header;
                (c.to, true)
            }
            None => {
                header.from = header.from.or(if to.is_none() { u.source } else { None });
                (to.or(u.peer).ok_or(Errno::EDESTADDRREQ)?, false)
            }
        };
        if target.1 == 0 {
            return Err(Errno::EINVAL);
        }
        if v6only && matches!(target.0, IpAddress::Ipv4(_)) {
            return Err(Errno::ENETUNREACH);
        }
        target.0 = loopback_if_any(target.0);
        *to = Some(target);
        read?;
        if more || gathering {
            let limit = st.udp_limit(self.id, &target.0, header)?;
            let slot = &mut udp(st.sock(self.id)?)?.cork;
            let mut c = slot.take().unwrap_or_else(|| Cork { to: target, header: *header, data: Vec::new() });
            if c.data.len() + data.len() > limit {
                return Err(Errno::EMSGSIZE);
            }
            c.data.try_reserve(data.len()).map_err(|_| Errno::ENOBUFS)?;
            c.data.append(data);
            if more {
                *slot = Some(c);
                return Ok(Some(()));
            }
            *data = c.data;
        }
        st.udp_send(self.id, target, header, data).transpose()
    }
}

/// Reads what a program sends: before anything is locked or queued, since that may fault.
pub(crate) fn gather(src: &mut Source<'_>) -> Result<Vec<u8>> {
    let len = src.left();
    let mut data = Vec::new();
    data.try_reserve_exact(len).map_err(|_| Errno::ENOBUFS)?;
    data.resize(len, 0);
    src.take_whole(&mut data)?;
    Ok(data)
}

pub(crate) fn udp(s: &mut Sock) -> Result<&mut Udp> {
    match &mut s.kind {
        Kind::Udp(u) => Ok(u),
        _ => Err(Errno::EINVAL),
    }
}

impl Ops for UdpSocket {
    fn identity(&self) -> (u16, u32, u32) {
        (if self.v6 { af::INET6 } else { af::INET }, sock::DGRAM, 17)
    }

    fn bind(&self, a: &[u8]) -> Result<()> {
        crate::tcp::bind(&self.net, self.id, self.v6, a)?;
        let (ip, port) = self.net.with(|st| st.local_name(self.id))?;
        self.net.hooks().listening(true, ip.into(), port);
        Ok(())
    }

    fn connect(&self, a: &[u8], _: Wait) -> Result<()> {
        let unspec = addr::family(a)? == af::UNSPEC;
        let to = if unspec { None } else { Some(addr::parse_inet(a, self.v6)?) };
        self.net.with(|st| {
            let Some((ip, port)) = to else {
                let u = udp(st.sock(self.id)?)?;
                (u.peer, u.source) = (None, None);
                st.sock(self.id)?.device = 0;
                st.disconnected(self.id);
                return Ok(());
            };
            let ip = loopback_if_any(ip);
            let (_, source) = st.udp_route(self.id, &ip, &Header::default())?;
            st.autobind(self.id)?;
            let u = udp(st.sock(self.id)?)?;
            (u.peer, u.source) = (Some((ip, port)), Some(source));
            Ok(())
        })
    }

    fn send(&self, src: &mut Source<'_>, msg: &Outgoing<'_>, wait: Wait) -> Result<usize> {
        if msg.flags.contains(Msg::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        if !msg.files.is_empty() {
            return Err(Errno::EINVAL);
        }
        let mut to = msg.to.map(|a| addr::parse_inet(a, self.v6)).transpose()?;
        let mut header = msg.ip;
        header.direct |= msg.flags.contains(Msg::DONTROUTE);
        let len = src.left();
        if len > MAX {
            return Err(Errno::EMSGSIZE);
        }
        let (mut data, read) = match gather(src) {
            Ok(data) => (data, Ok(())),
            Err(e) => (Vec::new(), Err(e)),
        };
        self.net.wait(wait, &self.shared.pollee, || {
            self.net.with(|st| {
                let r = self.attempt(st, &mut to, &mut header, &mut data, msg.flags.contains(Msg::MORE), read);
                // An error discards the datagram being assembled, as on Linux.
                if r.is_err()
                    && let Ok(u) = st.sock(self.id).and_then(udp)
                {
                    u.cork = None;
                }
                r.transpose()
            })
        })?;
        Ok(len)
    }

    fn recv(&self, dst: &mut Sink<'_>, msg: &mut Incoming, wait: Wait) -> Result<usize> {
        if msg.flags.contains(Msg::ERRQUEUE) {
            return CALLS.get().map_or(Err(Errno::EAGAIN), |calls| (calls.read)(self, dst, msg));
        }
        let peek = msg.flags.contains(Msg::PEEK);
        let got = self.net.wait(wait, &self.shared.pollee, || {
            self.net.with(|st| {
                let s = match st.sock(self.id) {
                    Ok(s) => s,
                    Err(e) => return Some(Err(e)),
                };
                if let Some(e) = s.error.take() {
                    return Some(Err(e));
                }
                let options = s.opts.ip;
                let u = udp(s).ok()?;
                let stamp = u.stamp;
                let d = match u.queue.front() {
                    Some(d) if peek => d.copy(),
                    Some(_) => Ok(st.udp_pop(self.id)?),
                    // After shutdown(SHUT_RD), arriving datagrams are still returned, but nobody waits for them.
                    None => return (u.rx_shut && !wait.nonblock).then_some(Ok(None)),
                };
                Some(d.map(|d| Some((d, options, stamp))))
            })
        })?;
        let Some((d, options, stamp)) = got else { return Ok(0) };
        // A datagram that cannot be copied to the program's memory is lost, as on Linux.
        let copied = d.data.len().min(dst.left());
        dst.put_whole(&d.data[..copied])?;
        msg.from = Addr::inet(d.from, self.v6, 2);
        let full = d.data.len();
        msg.full_len = Some(full);
        if full > copied {
            msg.out_flags |= Msg::TRUNC;
        }
        if stamp != 0 {
            let at = if d.at != 0 { d.at } else { libos_base::time::realtime_ns() };
            msg.control.push(stamp_message(stamp, at));
        }
        tell_header(&d, &options, &mut msg.control);
        Ok(if msg.flags.contains(Msg::TRUNC) { full } else { copied })
    }

    fn shutdown(&self, rd: bool, wr: bool) -> Result<()> {
        self.net.with(|st| {
            let s = st.sock(self.id)?;
            let shared = s.shared.clone();
            let u = udp(s)?;
            // Linux reports this error, but shuts it down all the same.
            let r = if u.peer.is_none() { Err(Errno::ENOTCONN) } else { Ok(()) };
            u.rx_shut |= rd;
            u.tx_shut |= wr;
            st.wakes.add(&shared, Events::IN | Events::OUT | Events::HUP);
            r
        })
    }

    fn local(&self) -> Result<Addr> {
        self.net.with(|st| st.local_name(self.id)).map(|n| Addr::inet(n, self.v6, 2))
    }
    fn peer(&self) -> Result<Addr> {
        self.net.with(|st| st.peer_name(self.id)).map(|n| Addr::inet(n, self.v6, 2))
    }
    fn set(&self, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
        if level == sol::SOCKET
            && matches!(name, so::ATTACH_FILTER | so::DETACH_FILTER)
            && let Some(attach) = ATTACH.get()
        {
            return Some(attach(self, name, value));
        }
        self.net.with(|st| crate::options::set(st, self.id, level, name, value))
    }
    fn get(&self, level: i32, name: i32) -> Option<Result<Vec<u8>>> {
        self.net.with(|st| crate::options::get(st, self.id, level, name))
    }

    fn ioctl(&self, cmd: u32, arg: IoctlArgument) -> Result<usize> {
        let n: Result<usize> = self.net.with(|st| {
            let u = udp(st.sock(self.id)?)?;
            Ok(match cmd {
                ioctl::FIONREAD => u.queue.front().map_or(0, |d| d.data.len()),
                _ => u.unsent(),
            })
        });
        match cmd {
            ioctl::FIONREAD | ioctl::TIOCOUTQ => user::write(arg.to(), &(n? as i32)).map(|()| 0),
            _ => crate::ifreq::ioctl(&self.net, cmd, arg),
        }
    }

    fn events(&self) -> Events {
        self.net.with(|st| {
            let Ok(s) = st.sock(self.id) else { return Events::ERR };
            let mut e = crate::options::error_events(&s.error);
            let Ok(u) = udp(s) else { return Events::ERR };
            if u.errors.as_ref().is_some_and(|errors| !errors.is_empty()) {
                e |= Events::ERR;
            }
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
    fn tell_edges(&self) {
        self.net.with(|st| {
            if let Ok(u) = st.sock(self.id).and_then(udp) {
                u.edges = true;
            }
        });
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.net.with(|st| st.close(self.id));
    }
}

pub(crate) fn loopback_if_any(ip: IpAddress) -> IpAddress {
    match ip {
        IpAddress::Ipv4(a) if a.is_unspecified() => IpAddress::v4(127, 0, 0, 1),
        IpAddress::Ipv6(a) if a.is_unspecified() => IpAddress::v6(0, 0, 0, 0, 0, 0, 0, 1),
        a => a,
    }
}

/// Adds one control message, if it is wanted.
#[inline(never)]
fn put(out: &mut Vec<(i32, i32, Vec<u8>)>, wanted: u8, level: i32, kind: i32, data: &[u8]) {
    if wanted != 0 {
        out.push((level, kind, data.to_vec()));
    }
}

/// Adds the control messages about the header that the socket asked for.
fn tell_header(d: &Datagram, o: &ipopts::Values, out: &mut Vec<(i32, i32, Vec<u8>)>) {
    let index = d.ifc.index().to_le_bytes();
    let mut info = [0; 20];
    if let IpAddress::Ipv4(a) = d.to {
        info[..4].copy_from_slice(&index);
        info[4..8].copy_from_slice(&a.octets());
        info[8..12].copy_from_slice(&a.octets());
        put(out, o[ipopts::PKTINFO], sol::IP, ip_option::PKTINFO, &info[..12]);
    }
    info[..16].copy_from_slice(&match d.to {
        IpAddress::Ipv4(a) => a.to_ipv6_mapped().octets(),
        IpAddress::Ipv6(a) => a.octets(),
    });
    info[16..].copy_from_slice(&index);
    put(out, o[ipopts::RECVPKTINFO], sol::IPV6, ipv6_option::PKTINFO, &info);
    let (ttl, tos) = ([d.ttl, 0, 0, 0], [d.tos, 0, 0, 0]);
    if let IpAddress::Ipv4(_) = d.to {
        put(out, o[ipopts::RECVTTL], sol::IP, ip_option::TTL, &ttl);
        put(out, o[ipopts::RECVTOS], sol::IP, ip_option::TOS, &tos[..1]);
    } else {
        put(out, o[ipopts::RECVHOPLIMIT], sol::IPV6, ipv6_option::HOPLIMIT, &ttl);
        put(out, o[ipopts::RECVTCLASS], sol::IPV6, ipv6_option::TCLASS, &tos);
    }
}

/// A `sendmsg` control message at the IP level. Messages of other levels belong to nobody, and are ignored as on Linux.
pub fn want_header(h: &mut Header, level: i32, kind: i32, data: &[u8]) -> Result<()> {
    let part = |at: usize| data.get(at..at + 4).map(|b| [b[0], b[1], b[2], b[3]]).ok_or(Errno::EINVAL);
    let byte = |least: i32| {
        let v = part(0).map(i32::from_le_bytes).or(data.first().map(|&b| i32::from(b)).ok_or(Errno::EINVAL))?;
        if (least..=255).contains(&v) { Ok(v as u8) } else { Err(Errno::EINVAL) }
    };
    match (level, kind) {
        (sol::IP, ip_option::PKTINFO) => {
            let a = part(4)?;
            h.index = u32::from_le_bytes(part(0)?);
            h.from = (a != [0; 4]).then(|| IpAddress::Ipv4(a.into()));
        }
        (sol::IPV6, ipv6_option::PKTINFO) => {
            let a: &[u8; 16] = data.first_chunk().ok_or(Errno::EINVAL)?;
            let a = smoltcp::wire::Ipv6Address::from(*a);
            h.index = u32::from_le_bytes(part(16)?);
            h.from = (!a.is_unspecified()).then(|| a.to_ipv4_mapped().map_or(IpAddress::Ipv6(a), IpAddress::Ipv4));
        }
        (sol::IP, ip_option::TTL) => h.hops = Some(byte(1)?),
        (sol::IPV6, ipv6_option::HOPLIMIT) => h.hops = Some(byte(0)?),
        (sol::IP, ip_option::TOS) | (sol::IPV6, ipv6_option::TCLASS) => h.tos = Some(byte(0)?),
        (sol::IP | sol::IPV6, _) => return Err(Errno::EINVAL),
        _ => {}
    }
    Ok(())
}
