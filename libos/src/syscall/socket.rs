//! Sockets: making, naming, connecting, options.

use super::support;
use alloc::boxed::Box;
use alloc::sync::Arc;
use libos_base::abi::{AcceptFlags, Protocol, ShutdownHow, SocketType, af, sock, sol};
use libos_base::cred::{cap, capable};
use libos_base::file::downcast_arc;
use libos_base::{Errno, Result, user};
use libos_fs::process;
use libos_net::addr::{self, Addr};
use libos_net::socket::{Ops, Socket};
use libos_net::tcp::TcpSocket;
use libos_net::udp::UdpSocket;

const IPPROTO_TCP: u32 = Protocol::TCP.0;
const IPPROTO_UDP: u32 = Protocol::UDP.0;

/// Type, and whether nonblocking and close-on-exec. EINVAL.
fn kind(ty: SocketType) -> Result<(u32, bool, bool)> {
    let base = ty.bits() & 0xf;
    if base > SocketType::PACKET.bits() || ty.bits() & !0xf & !(SocketType::NONBLOCK | SocketType::CLOEXEC).bits() != 0
    {
        return Err(Errno::EINVAL);
    }
    Ok((base, ty.contains(SocketType::NONBLOCK), ty.contains(SocketType::CLOEXEC)))
}

fn make(domain: u32, base: u32, protocol: u32) -> Result<Box<dyn Ops>> {
    let v6 = domain == u32::from(af::INET6);
    match domain as u16 {
        _ if domain > u32::from(u16::MAX) => Err(Errno::EAFNOSUPPORT),
        af::INET | af::INET6 => match (base, protocol) {
            // IPPROTO_MAX
            (_, 263..) => Err(Errno::EINVAL),
            (sock::STREAM, 0 | IPPROTO_TCP) => TcpSocket::open(crate::net::net(), v6),
            (sock::DGRAM, 0 | IPPROTO_UDP) => UdpSocket::open(crate::net::net(), v6),
            (sock::RAW, _) if !capable(cap::NET_RAW) => Err(Errno::EPERM),
            (sock::STREAM | sock::DGRAM | sock::RAW, _) => Err(Errno::EPROTONOSUPPORT),
            _ => Err(Errno::ESOCKTNOSUPPORT),
        },
        af::UNIX => super::unix::make(base, protocol),
        af::NETLINK => match (base, protocol) {
            (sock::RAW | sock::DGRAM, 0) => crate::net::netlink::OPEN.get().ok_or(Errno::EAFNOSUPPORT)?(base),
            (sock::RAW | sock::DGRAM, _) => Err(Errno::EPROTONOSUPPORT),
            _ => Err(Errno::ESOCKTNOSUPPORT),
        },
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// `socket`.
pub fn socket(domain: u32, ty: SocketType, protocol: u32) -> Result<usize> {
    let (base, nonblock, cloexec) = kind(ty)?;
    let fd = process().fds.reserve()?;
    let s = Socket::new(make(domain, base, protocol)?, nonblock);
    Ok(fd.install(s, cloexec) as usize)
}

/// `socketpair`.
pub fn socketpair(domain: u32, ty: SocketType, protocol: u32, out: usize) -> Result<usize> {
    let (base, nonblock, cloexec) = kind(ty)?;
    let fds = &process().fds;
    let (fa, fb) = (fds.reserve()?, fds.reserve()?);
    user::write(out, &[fa.fd(), fb.fd()])?;
    // What `socket` refuses comes before what cannot be paired.
    let made = make(domain, base, protocol)?;
    if made.identity().0 != af::UNIX {
        return Err(Errno::EOPNOTSUPP);
    }
    let (a, b) = super::unix::pair(made.identity().1)?;
    fa.install(Socket::new(a, nonblock), cloexec);
    fb.install(Socket::new(b, nonblock), cloexec);
    Ok(0)
}

/// The socket behind a descriptor. EBADF, ENOTSOCK.
pub(super) fn get(fd: i32) -> Result<Arc<Socket>> {
    downcast_arc(process().fds.get(fd)?).ok_or(Errno::ENOTSOCK)
}

/// Reads an address argument.
pub(super) fn read_addr(at: usize, len: u32) -> Result<Addr> {
    let mut b = [0; addr::MAX];
    let b = b.get_mut(..len as usize).ok_or(Errno::EINVAL)?;
    user::copy_in(b, at)?;
    Addr::from_bytes(b)
}

/// Writes an address result: as much as fits, and its true length.
pub(super) fn write_addr(a: &Addr, at: usize, len_at: usize) -> Result<()> {
    if at == 0 {
        return Ok(());
    }
    let room: i32 = user::read(len_at)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let b = a.as_bytes();
    user::copy_out(at, &b[..b.len().min(room)])?;
    user::write(len_at, &(b.len() as u32))
}

/// `bind`.
pub fn bind(fd: i32, at: usize, len: u32) -> Result<usize> {
    get(fd)?.ops().bind(read_addr(at, len)?.as_bytes()).map(|()| 0)
}
/// `listen`.
pub fn listen(fd: i32, backlog: i32) -> Result<usize> {
    get(fd)?.ops().listen(backlog).map(|()| 0)
}
/// `connect`.
pub fn connect(fd: i32, at: usize, len: u32) -> Result<usize> {
    get(fd)?.connect(read_addr(at, len)?.as_bytes()).map(|()| 0)
}
/// `accept`.
pub fn accept(fd: i32, at: usize, len_at: usize) -> Result<usize> {
    accept4(fd, at, len_at, AcceptFlags::empty())
}
/// `accept4`.
pub fn accept4(fd: i32, at: usize, len_at: usize, flags: AcceptFlags) -> Result<usize> {
    if !AcceptFlags::all().contains(flags) {
        return Err(Errno::EINVAL);
    }
    let s = get(fd)?;
    let new = process().fds.reserve()?;
    let (conn, peer) = s.accept(flags.contains(AcceptFlags::NONBLOCK))?;
    write_addr(&peer, at, len_at)?;
    Ok(new.install(conn, flags.contains(AcceptFlags::CLOEXEC)) as usize)
}
/// `shutdown`.
pub fn shutdown(fd: i32, how: ShutdownHow) -> Result<usize> {
    let s = get(fd)?;
    let (rd, wr) = match how {
        ShutdownHow::RD => (true, false),
        ShutdownHow::WR => (false, true),
        ShutdownHow::RDWR => (true, true),
        _ => return Err(Errno::EINVAL),
    };
    s.ops().shutdown(rd, wr).map(|()| 0)
}
/// `getsockname`.
pub fn getsockname(fd: i32, at: usize, len_at: usize) -> Result<usize> {
    write_name(&get(fd)?.ops().local()?, at, len_at)
}
/// `getpeername`.
pub fn getpeername(fd: i32, at: usize, len_at: usize) -> Result<usize> {
    write_name(&get(fd)?.ops().peer()?, at, len_at)
}

fn write_name(a: &Addr, at: usize, len_at: usize) -> Result<usize> {
    user::read::<i32>(len_at)?;
    if at == 0 { Err(Errno::EFAULT) } else { write_addr(a, at, len_at).map(|()| 0) }
}

/// `setsockopt`.
pub fn setsockopt(fd: i32, level: i32, name: i32, at: usize, len: i32) -> Result<usize> {
    const MOST: usize = 256;
    let s = get(fd)?;
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    let mut b = [0; MOST];
    let b = &mut b[..len.min(MOST)];
    user::copy_in(b, at)?;
    s.set(level, name, b).map(|()| 0)
}
/// `getsockopt`.
pub fn getsockopt(fd: i32, level: i32, name: i32, at: usize, len_at: usize) -> Result<usize> {
    let s = get(fd)?;
    let room: i32 = user::read(len_at)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let v = s.get(level, name)?;
    // Less than an int is one byte at this level.
    let most = if level == sol::IP && v.len() == 4 && room < 4 { room.min(1) } else { room };
    let n = v.len().min(most);
    user::copy_out(at, &v[..n])?;
    user::write(len_at, &(n as u32))?;
    Ok(0)
}

/// A result of sending: a broken pipe is a signal for streams, unless the caller does not want it.
pub(super) fn sent(s: &Socket, quiet: bool, r: Result<usize>) -> Result<usize> {
    if quiet || !s.ops().is_stream() { r } else { support::raise_on(r) }
}
