//! Sockets: creating, naming, connecting, options.

use super::support::{self, only};
use crate::net::packet::MAKER;
use alloc::boxed::Box;
use alloc::sync::Arc;
use libos_base::abi::{
    AcceptFlags, Domain, Fd, In, InOut, OptionName, OptionValue, Out, Protocol, ShutdownHow, Sockaddr, SocketLevel,
    SocketProtocol, SocketType, af, sock,
};
use libos_base::cred::{cap, capable};
use libos_base::file::downcast_arc;
use libos_base::{Errno, Result, memory, user};
use libos_fs::files;
use libos_net::addr::{self, Addr};
use libos_net::socket::{Ops, Socket};
use libos_net::tcp::TcpSocket;
use libos_net::udp::UdpSocket;

const IPPROTO_TCP: u32 = Protocol::TCP.0;
const IPPROTO_UDP: u32 = Protocol::UDP.0;
const IPPROTO_ICMP: u32 = Protocol::ICMP.0;
const IPPROTO_ICMPV6: u32 = Protocol::ICMPV6.0;

/// The type, and whether it is nonblocking and close-on-exec. EINVAL.
fn kind(ty: SocketType) -> Result<(u32, bool, bool)> {
    let base = ty.bits() & 0xf;
    if base > SocketType::PACKET.bits() || ty.bits() & !0xf & !(SocketType::NONBLOCK | SocketType::CLOEXEC).bits() != 0
    {
        return Err(Errno::EINVAL);
    }
    Ok((base, ty.contains(SocketType::NONBLOCK), ty.contains(SocketType::CLOEXEC)))
}

fn make(domain: u32, base: u32, protocol: u32) -> Result<Box<dyn Ops>> {
    memory::check()?;
    let v6 = domain == u32::from(af::INET6);
    match domain as u16 {
        _ if domain > u32::from(u16::MAX) => Err(Errno::EAFNOSUPPORT),
        af::INET | af::INET6 => match (base, protocol) {
            // IPPROTO_MAX
            (_, 263..) => Err(Errno::EINVAL),
            (sock::STREAM, 0 | IPPROTO_TCP) => TcpSocket::open(crate::net::net(), v6),
            (sock::DGRAM, 0 | IPPROTO_UDP) => UdpSocket::open(crate::net::net(), v6),
            (sock::RAW, 1..) if !capable(cap::NET_RAW) => Err(Errno::EPERM),
            (sock::RAW, 1..=255) => raw(v6, protocol as u8, false),
            (sock::DGRAM, IPPROTO_ICMP) if !v6 => raw(v6, protocol as u8, true),
            (sock::DGRAM, IPPROTO_ICMPV6) if v6 => raw(v6, protocol as u8, true),
            (sock::STREAM | sock::DGRAM | sock::RAW, _) => Err(Errno::EPROTONOSUPPORT),
            _ => Err(Errno::ESOCKTNOSUPPORT),
        },
        af::UNIX => super::unix::make(base, protocol),
        af::NETLINK => match (base, protocol) {
            (sock::RAW | sock::DGRAM, 0) => crate::net::netlink::OPEN.get().ok_or(Errno::EAFNOSUPPORT)?(base),
            (sock::RAW | sock::DGRAM, _) => Err(Errno::EPROTONOSUPPORT),
            _ => Err(Errno::ESOCKTNOSUPPORT),
        },
        af::PACKET => {
            let maker = MAKER.get().ok_or(Errno::EAFNOSUPPORT)?;
            match base {
                _ if !capable(cap::NET_RAW) => Err(Errno::EPERM),
                sock::RAW | sock::DGRAM => (maker.packet)(base, protocol),
                // SOCK_PACKET is obsolete.
                _ => Err(Errno::ESOCKTNOSUPPORT),
            }
        }
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

fn raw(v6: bool, protocol: u8, ping: bool) -> Result<Box<dyn Ops>> {
    (MAKER.get().ok_or(Errno::EPROTONOSUPPORT)?.raw)(v6, protocol, ping)
}

pub fn socket(domain: Domain, ty: SocketType, protocol: SocketProtocol) -> Result<usize> {
    let (base, nonblock, cloexec) = kind(ty)?;
    let fd = files().fds.reserve()?;
    let s = Socket::new(make(domain.0, base, protocol.0)?, nonblock);
    Ok(fd.install(s, cloexec).result())
}

pub fn socketpair(domain: Domain, ty: SocketType, protocol: SocketProtocol, out: Out<[i32; 2]>) -> Result<()> {
    let (base, nonblock, cloexec) = kind(ty)?;
    let fds = &files().fds;
    let (fa, fb) = (fds.reserve()?, fds.reserve()?);
    user::write(out, &[fa.fd().0, fb.fd().0])?;
    // The errors of `socket` come before that for sockets that cannot be paired.
    let made = make(domain.0, base, protocol.0)?;
    if made.identity().0 != af::UNIX {
        return Err(Errno::EOPNOTSUPP);
    }
    let (a, b) = super::unix::pair(made.identity().1)?;
    fa.install(Socket::new(a, nonblock), cloexec);
    fb.install(Socket::new(b, nonblock), cloexec);
    Ok(())
}

/// The socket behind a descriptor. EBADF, ENOTSOCK.
pub(super) fn get(fd: Fd) -> Result<Arc<Socket>> {
    downcast_arc(files().fds.get(fd)?).ok_or(Errno::ENOTSOCK)
}

/// Reads an address argument.
pub(super) fn read_addr(at: In<Sockaddr>, len: u32) -> Result<Addr> {
    let mut b = [0; addr::MAX];
    let b = b.get_mut(..len as usize).ok_or(Errno::EINVAL)?;
    user::copy_in(b, at.address())?;
    Addr::from_bytes(b)
}

/// Writes an address result: as much as fits, and its true length.
pub(super) fn write_addr(a: &Addr, at: Out<Sockaddr>, len_at: InOut<u32>) -> Result<()> {
    if at.is_null() {
        return Ok(());
    }
    let room: i32 = user::read(len_at.cast())?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let b = a.as_bytes();
    user::copy_out(at.address(), &b[..b.len().min(room)])?;
    user::write(len_at, &(b.len() as u32))
}

pub fn bind(fd: Fd, at: In<Sockaddr>, len: u32) -> Result<()> {
    get(fd)?.ops().bind(read_addr(at, len)?.as_bytes())
}

pub fn listen(fd: Fd, backlog: i32) -> Result<()> {
    get(fd)?.ops().listen(backlog)
}

pub fn connect(fd: Fd, at: In<Sockaddr>, len: u32) -> Result<()> {
    get(fd)?.connect(read_addr(at, len)?.as_bytes())
}

pub fn accept(fd: Fd, at: Out<Sockaddr>, len_at: InOut<u32>) -> Result<usize> {
    accept4(fd, at, len_at, AcceptFlags::empty())
}

pub fn accept4(fd: Fd, at: Out<Sockaddr>, len_at: InOut<u32>, flags: AcceptFlags) -> Result<usize> {
    only(flags, AcceptFlags::all())?;
    let s = get(fd)?;
    memory::check()?;
    let new = files().fds.reserve()?;
    let (conn, peer) = s.accept(flags.contains(AcceptFlags::NONBLOCK))?;
    write_addr(&peer, at, len_at)?;
    Ok(new.install(conn, flags.contains(AcceptFlags::CLOEXEC)).result())
}

pub fn shutdown(fd: Fd, how: ShutdownHow) -> Result<()> {
    let s = get(fd)?;
    let (rd, wr) = match how {
        ShutdownHow::RD => (true, false),
        ShutdownHow::WR => (false, true),
        ShutdownHow::RDWR => (true, true),
        _ => return Err(Errno::EINVAL),
    };
    s.ops().shutdown(rd, wr)
}

pub fn getsockname(fd: Fd, at: Out<Sockaddr>, len_at: InOut<u32>) -> Result<()> {
    write_name(&get(fd)?.ops().local()?, at, len_at)
}

pub fn getpeername(fd: Fd, at: Out<Sockaddr>, len_at: InOut<u32>) -> Result<()> {
    write_name(&get(fd)?.ops().peer()?, at, len_at)
}

fn write_name(a: &Addr, at: Out<Sockaddr>, len_at: InOut<u32>) -> Result<()> {
    user::read(len_at)?;
    if at.is_null() { Err(Errno::EFAULT) } else { write_addr(a, at, len_at) }
}

pub fn setsockopt(fd: Fd, level: SocketLevel, name: OptionName, at: In<OptionValue>, len: i32) -> Result<()> {
    const MOST: usize = 256;
    let s = get(fd)?;
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    let mut b = [0; MOST];
    let b = &mut b[..len.min(MOST)];
    user::copy_in(b, at.address())?;
    s.set(level.0, name.0, b)
}

pub fn getsockopt(
    fd: Fd,
    level: SocketLevel,
    name: OptionName,
    at: Out<OptionValue>,
    len_at: InOut<i32>,
) -> Result<()> {
    let s = get(fd)?;
    let room = usize::try_from(user::read(len_at)?).map_err(|_| Errno::EINVAL)?;
    let v = s.get(level.0, name.0)?;
    // At this level a value shorter than an int is one byte.
    let most = if level == SocketLevel::IP && v.len() == 4 && room < 4 { room.min(1) } else { room };
    let n = v.len().min(most);
    user::copy_out(at.address(), &v[..n])?;
    user::write(len_at, &(n as i32))
}

/// The result of sending: a broken pipe raises a signal for streams, unless the caller does not want it.
pub(super) fn sent(s: &Socket, quiet: bool, r: Result<usize>) -> Result<usize> {
    if quiet || !s.ops().is_stream() { r } else { support::raise_on(r) }
}
