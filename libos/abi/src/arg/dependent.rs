//! Arguments whose meaning depends on another argument.

use super::{Argument, Direction::*, Kind, Pointee, Shape, Value, addresses, newtypes};
use crate::constants::*;
use crate::layout::*;

newtypes! {
    /// ioctl(2), third argument.
    IoctlArgument(usize) Kind::By(ioctl);
    /// fcntl(2), third argument.
    FcntlArgument(usize) Kind::By(fcntl);
    /// fcntl(2), result.
    FcntlResult(usize) Kind::By(fcntl_result);
    /// prctl(2), second argument.
    PrctlArgument(usize) Kind::By(prctl);
    /// prctl(2), the remaining arguments, which few options have.
    PrctlMore(usize) Kind::By(prctl_more);
    /// futex(2), fourth argument: a timeout, or how many waiters to move.
    FutexArgument(usize) Kind::By(futex);
    /// socket(2), third argument.
    SocketProtocol(u32) Kind::By(protocol);
    /// setsockopt(2), third argument.
    OptionName(i32) Kind::By(option_name);
}

addresses!(IoctlArgument, FcntlArgument, PrctlArgument, FutexArgument);

/// The value of a socket option: setsockopt(2), fourth argument.
#[derive(Clone, Copy, Debug)]
pub enum OptionValue {}
impl Pointee for OptionValue {
    const SHAPE: Shape = Shape::By(option_value);
}

const fn value<T: Value>() -> Shape {
    Shape::Values(&T::KIND, size_of::<T>() as u16)
}

fn ioctl(r: &[u64; 6]) -> Kind {
    use IoctlCommand as C;
    match C(r[1] as u32) {
        C::FIONBIO
        | C::FIOASYNC
        | C::FIOSETOWN
        | C::SIOCSPGRP
        | C::TIOCSPGRP
        | C::TIOCPKT
        | C::TIOCSETD
        | C::TIOCSPTLCK => Kind::Pointer(In, value::<i32>()),
        C::FIONREAD
        | C::TIOCOUTQ
        | C::TIOCGPGRP
        | C::TIOCGSID
        | C::TIOCGETD
        | C::TIOCGPTN
        | C::FIOGETOWN
        | C::SIOCGPGRP
        | C::SIOCATMARK
        | C::FIGETBSZ
        | C::BLKSSZGET
        | C::RNDGETENTCNT
        | C::TIOCMGET => Kind::Pointer(Out, value::<i32>()),
        C::BLKGETSIZE64 => Kind::Pointer(Out, value::<u64>()),
        C::TIOCGWINSZ => Kind::Pointer(Out, value::<Winsize>()),
        C::TIOCSWINSZ => Kind::Pointer(In, value::<Winsize>()),
        C::TCGETS => Kind::Pointer(Out, value::<Termios>()),
        C::TCSETS | C::TCSETSW | C::TCSETSF => Kind::Pointer(In, value::<Termios>()),
        C::TCSBRK | C::TCXONC | C::TCFLSH | C::TCSBRKP => Kind::Signed(4),
        _ => Kind::Address,
    }
}

fn fcntl(r: &[u64; 6]) -> Kind {
    use FcntlCommand as C;
    match C(r[1] as i32) {
        C::GETFD | C::GETFL | C::GETOWN | C::GETSIG | C::GETLEASE | C::GETPIPE_SZ | C::GET_SEALS => Kind::Absent,
        C::SETFD => Kind::Names(&FdFlags::NAMES),
        C::SETFL => Kind::Names(&OpenFlags::NAMES),
        C::DUPFD | C::DUPFD_CLOEXEC | C::SETOWN | C::SETPIPE_SZ => Kind::Signed(4),
        C::SETLK | C::SETLKW | C::OFD_SETLK | C::OFD_SETLKW => Kind::Pointer(In, value::<Flock>()),
        C::GETLK | C::OFD_GETLK => Kind::Pointer(InOut, value::<Flock>()),
        C::SETOWN_EX => Kind::Pointer(In, value::<FileOwner>()),
        C::GETOWN_EX => Kind::Pointer(Out, value::<FileOwner>()),
        C::SETSIG => Kind::Names(&Signo::NAMES),
        C::SETLEASE => Kind::Names(&LockType::NAMES),
        C::ADD_SEALS => Kind::Names(&Seals::NAMES),
        _ => Kind::Address,
    }
}

fn fcntl_result(r: &[u64; 6]) -> Kind {
    use FcntlCommand as C;
    match C(r[1] as i32) {
        C::GETFD => Kind::Flags(&FdFlags::NAMES),
        C::GETFL => Kind::Flags(&OpenFlags::NAMES),
        C::GET_SEALS => Kind::Flags(&Seals::NAMES),
        C::DUPFD | C::DUPFD_CLOEXEC => Kind::Fd,
        _ => Kind::Signed(4),
    }
}

fn prctl(r: &[u64; 6]) -> Kind {
    use PrctlOption as C;
    match C(r[0] as i32) {
        C::SET_NAME => Kind::Str,
        C::GET_NAME => Kind::Pointer(Out, Shape::ThreadName),
        C::SET_PDEATHSIG => Kind::Names(&Signo::NAMES),
        C::GET_PDEATHSIG | C::GET_CHILD_SUBREAPER => Kind::Pointer(Out, value::<i32>()),
        C::SET_DUMPABLE | C::SET_KEEPCAPS | C::SET_NO_NEW_PRIVS | C::SET_CHILD_SUBREAPER | C::SET_TIMERSLACK => {
            Kind::Unsigned(8)
        }
        C::CAPBSET_READ | C::CAPBSET_DROP => Kind::Names(&Capability::NAMES),
        _ => Kind::Address,
    }
}

fn prctl_more(r: &[u64; 6]) -> Kind {
    use PrctlOption as C;
    let with = [C::SET_NO_NEW_PRIVS, C::GET_NO_NEW_PRIVS, C::CAP_AMBIENT, C::SET_MM, C::SET_VMA, C::SET_SECCOMP];
    if with.contains(&C(r[0] as i32)) { Kind::Address } else { Kind::Absent }
}

fn futex(r: &[u64; 6]) -> Kind {
    use FutexOperation as F;
    let with_timeout = [F::WAIT, F::WAIT_BITSET, F::LOCK_PI, F::LOCK_PI2, F::WAIT_REQUEUE_PI];
    let moves = [F::REQUEUE, F::CMP_REQUEUE, F::WAKE_OP, F::CMP_REQUEUE_PI];
    let operation = F::from_bits_retain(r[1] as u32 & 0x7f);
    if with_timeout.contains(&operation) {
        Kind::Pointer(In, value::<Timespec>())
    } else if moves.contains(&operation) {
        Kind::Unsigned(4)
    } else {
        Kind::Address
    }
}

fn protocol(r: &[u64; 6]) -> Kind {
    match Domain(r[0] as u32) {
        Domain::INET | Domain::INET6 => Kind::Names(&Protocol::NAMES),
        _ => Kind::Unsigned(4),
    }
}

fn option_name(r: &[u64; 6]) -> Kind {
    match SocketLevel(r[1] as i32) {
        SocketLevel::SOCKET => Kind::Names(&SocketOption::NAMES),
        SocketLevel::IP => Kind::Names(&IpOption::NAMES),
        SocketLevel::IPV6 => Kind::Names(&Ipv6Option::NAMES),
        SocketLevel::TCP => Kind::Names(&TcpOption::NAMES),
        SocketLevel::UDP => Kind::Names(&UdpOption::NAMES),
        _ => Kind::Signed(4),
    }
}

fn option_value(r: &[u64; 6]) -> Shape {
    use SocketOption as S;
    let name = r[2] as i32;
    match (SocketLevel(r[1] as i32), S(name)) {
        (SocketLevel::SOCKET, S::LINGER) => value::<Linger>(),
        (SocketLevel::SOCKET, S::PEERCRED) => value::<Ucred>(),
        (SocketLevel::SOCKET, S::RCVTIMEO | S::SNDTIMEO | S::RCVTIMEO_NEW | S::SNDTIMEO_NEW) => value::<Timeval>(),
        (SocketLevel::SOCKET, S::BINDTODEVICE | S::ATTACH_FILTER | S::ATTACH_BPF) => Shape::Bytes,
        (SocketLevel::TCP, _)
            if [TcpOption::INFO, TcpOption::CONGESTION, TcpOption::ULP].contains(&TcpOption(name)) =>
        {
            Shape::Bytes
        }
        (SocketLevel::SOCKET | SocketLevel::TCP | SocketLevel::IP | SocketLevel::IPV6, _) => Shape::Number,
        _ => Shape::Bytes,
    }
}
