//! The socket as a file: what is the same for every family.

use crate::addr::Addr;
use crate::sockopts::Common;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use libos_base::abi::{IoctlArgument, OpenFlags, Stat, Ucred, mode};
use libos_base::abi::{af, ip_option, sol};
use libos_base::file::{Description, FileLike, SetAttr, next_ino};
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee, block_on};
use libos_base::sync::{Mutex, class};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result, time};

/// MSG_* flags.
pub use libos_base::abi::MessageFlags as Msg;

/// How long a call may wait.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// O_NONBLOCK or MSG_DONTWAIT.
    pub nonblock: bool,
    /// From SO_RCVTIMEO or SO_SNDTIMEO.
    pub deadline: u64,
    /// SO_RCVLOWAT: a stream is read until there is this much.
    pub low: usize,
}

impl Wait {
    /// The one loop behind every blocking call. With a timeout set, a signal gives EINTR, never a restart.
    pub fn block<T>(&self, p: &Pollee, attempt: impl FnMut() -> Option<Result<T>>) -> Result<T> {
        block_on(p, self.nonblock, self.deadline, Errno::EAGAIN, attempt).map_err(|e| match e {
            Errno::ERESTARTSYS if self.deadline != FOREVER => Errno::EINTR,
            e => e,
        })
    }
}

/// What `sendmsg` carries beside the data.
#[derive(Default)]
pub struct Outgoing<'a> {
    pub flags: Msg,
    /// Destination.
    pub to: Option<&'a [u8]>,
    /// SCM_RIGHTS.
    pub files: Vec<Arc<dyn FileLike>>,
    /// SCM_CREDENTIALS: who the program says it is.
    pub creds: Option<Ucred>,
    /// What it says about the IP header.
    pub ip: Header,
}

/// What the program wants of the header of one datagram: IP_PKTINFO, IP_TTL, IP_TOS and those of IPv6.
#[derive(Clone, Copy, Default)]
pub struct Header {
    /// Source address.
    pub from: Option<smoltcp::wire::IpAddress>,
    /// Index of the interface that a multicast goes out on; 0: as the socket says.
    pub index: u32,
    pub hops: Option<u8>,
    pub tos: Option<u8>,
    /// MSG_DONTROUTE.
    pub direct: bool,
}

/// What `recvmsg` gives beside the data.
pub struct Incoming {
    pub flags: Msg,
    /// Source; empty when the family gives none.
    pub from: Addr,
    /// MSG_TRUNC, MSG_EOR, ...
    pub out_flags: Msg,
    /// The whole length of a datagram that was cut.
    pub full_len: Option<usize>,
    pub files: Vec<Arc<dyn FileLike>>,
    pub creds: Option<Ucred>,
    /// Control messages of the IP layer: level, type, data.
    pub control: Vec<(i32, i32, Vec<u8>)>,
}

impl Incoming {
    /// With flags as passed.
    pub fn new(flags: Msg) -> Self {
        Self {
            flags,
            from: Addr::none(),
            out_flags: Msg::empty(),
            full_len: None,
            files: Vec::new(),
            creds: None,
            control: Vec::new(),
        }
    }
}

/// A socket of some family. Addresses are encoded as programs pass them.
pub trait Ops: Any + Send + Sync {
    /// AF_*, SOCK_*, IPPROTO_*.
    fn identity(&self) -> (u16, u32, u32);
    /// `bind`.
    fn bind(&self, addr: &[u8]) -> Result<()>;
    /// `connect`.
    fn connect(&self, addr: &[u8], wait: Wait) -> Result<()>;
    /// `listen`.
    fn listen(&self, _backlog: i32) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    /// `accept`: the new socket and the peer's address.
    fn accept(&self, _wait: Wait) -> Result<(Box<dyn Ops>, Addr)> {
        Err(Errno::EOPNOTSUPP)
    }
    /// `sendmsg`.
    fn send(&self, src: &mut Source<'_>, msg: &Outgoing<'_>, wait: Wait) -> Result<usize>;
    /// `recvmsg`.
    fn recv(&self, dst: &mut Sink<'_>, msg: &mut Incoming, wait: Wait) -> Result<usize>;
    /// `shutdown`: reading, writing.
    fn shutdown(&self, rd: bool, wr: bool) -> Result<()>;
    /// `getsockname`.
    fn local(&self) -> Result<Addr>;
    /// `getpeername`.
    fn peer(&self) -> Result<Addr>;
    /// `setsockopt`; `None`: not an option that this family acts on. Of SOL_SOCKET it gets values that are checked.
    fn set(&self, level: i32, name: i32, value: &[u8]) -> Option<Result<()>>;
    /// `getsockopt`; `None`: not an option that this family keeps.
    fn get(&self, level: i32, name: i32) -> Option<Result<Vec<u8>>>;
    /// `ioctl`.
    fn ioctl(&self, _cmd: u32, _arg: IoctlArgument) -> Result<usize> {
        Err(Errno::ENOTTY)
    }
    /// Readiness.
    fn events(&self) -> Events;
    /// Who waits for it.
    fn pollee(&self) -> &Pollee;
    /// See [`FileLike::tell_edges`].
    fn tell_edges(&self) {}
    /// The last close is about to wait (SO_LINGER).
    fn linger(&self) {}
    /// Whether a write that nobody reads any more is a broken pipe (SIGPIPE): streams.
    fn is_stream(&self) -> bool {
        false
    }
}

/// A socket of any family: the open file description.
pub struct Socket {
    ops: Box<dyn Ops>,
    description: Description,
    common: Common,
    ino: u64,
    /// User and group of who made it.
    owner: (u32, u32),
    /// What `fstat` shows once attributes were changed.
    shown: Mutex<Option<Box<Stat>>>,
}

impl Socket {
    /// Around a family's socket.
    pub fn new(ops: Box<dyn Ops>, nonblock: bool) -> Arc<Self> {
        let flags = OpenFlags::RDWR | if nonblock { OpenFlags::NONBLOCK } else { OpenFlags::empty() };
        Arc::new(Self {
            ops,
            description: Description::new(flags),
            common: Common::new(),
            ino: next_ino(),
            owner: libos_base::cred::owner(),
            shown: Mutex::new(class::SOCKET_SHOWN, None),
        })
    }

    /// The family's part.
    pub fn ops(&self) -> &dyn Ops {
        &*self.ops
    }

    fn wait(&self, timeout: &AtomicU64, msg: Msg) -> Wait {
        let t = timeout.load(Ordering::Relaxed);
        let nonblock = msg.contains(Msg::DONTWAIT) || self.description.nonblock();
        let deadline = if t == 0 || nonblock { FOREVER } else { time::after(t) };
        Wait { nonblock, deadline, low: self.common.low() }
    }

    /// `connect`.
    pub fn connect(&self, addr: &[u8]) -> Result<()> {
        self.ops.connect(addr, self.wait(&self.common.snd_timeout, Msg::empty()))
    }

    /// `accept4`.
    pub fn accept(&self, nonblock: bool) -> Result<(Arc<Self>, Addr)> {
        let (ops, addr) = self.ops.accept(self.wait(&self.common.rcv_timeout, Msg::empty()))?;
        let new = Self::new(ops, nonblock);
        if self.ops.identity().0 != af::UNIX {
            new.common.inherit(&self.common);
        }
        Ok((new, addr))
    }

    /// `sendmsg`.
    pub fn send(&self, src: &mut Source<'_>, msg: &Outgoing<'_>) -> Result<usize> {
        self.ops.send(src, msg, self.wait(&self.common.snd_timeout, msg.flags))
    }

    /// `recvmsg`.
    pub fn recv(&self, dst: &mut Sink<'_>, msg: &mut Incoming) -> Result<usize> {
        self.ops.recv(dst, msg, self.wait(&self.common.rcv_timeout, msg.flags))
    }

    /// `setsockopt`.
    pub fn set(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        if level == sol::SOCKET {
            return self.common.set(&*self.ops, name, value);
        }
        self.ops.set(level, name, value).unwrap_or(Err(self.unknown(level, false)))?;
        if (level, name) == (sol::IP, ip_option::TOS)
            && let Some(Ok(v)) = self.ops.get(level, name)
        {
            self.common.tos(v[0]);
        }
        Ok(())
    }

    /// `getsockopt`.
    pub fn get(&self, level: i32, name: i32) -> Result<Vec<u8>> {
        if level == sol::SOCKET {
            return self.common.get(&*self.ops, name, self.ino);
        }
        self.ops.get(level, name).unwrap_or(Err(self.unknown(level, true)))
    }

    fn new_stat(&self) -> Stat {
        let ((uid, gid), mode) = (self.owner, mode::S_IFSOCK | 0o777);
        Stat { dev: 8, ino: self.ino, nlink: 1, mode, uid, gid, blksize: 4096, ..Stat::default() }
    }

    /// What Linux says to an option that is not there: it depends on the family, and there on who is asked.
    fn unknown(&self, level: i32, get: bool) -> Errno {
        let (domain, _, proto) = self.ops.identity();
        let foreign = level != sol::IP && level != proto as i32;
        match domain {
            af::UNIX => Errno::EOPNOTSUPP,
            af::INET if get && foreign => Errno::EOPNOTSUPP,
            _ => Errno::ENOPROTOOPT,
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.ops.linger();
    }
}

impl FileLike for Socket {
    fn description(&self) -> &Description {
        &self.description
    }
    fn refused_flags(&self) -> OpenFlags {
        OpenFlags::DIRECT | OpenFlags::ASYNC
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        // Unlike recv(), which may wait for data, or take a datagram, with no room for it.
        if dst.left() == 0 {
            return Ok(0);
        }
        self.recv(dst, &mut Incoming::new(Msg::empty()))
    }
    fn write(&self, src: &mut Source<'_>) -> Result<usize> {
        self.send(src, &Outgoing::default())
    }
    fn read_now(&self, dst: &mut Sink<'_>) -> Result<usize> {
        self.recv(dst, &mut Incoming::new(Msg::DONTWAIT))
    }
    fn write_now(&self, src: &mut Source<'_>) -> Result<usize> {
        self.send(src, &Outgoing { flags: Msg::DONTWAIT, ..Outgoing::default() })
    }
    fn pollee(&self) -> Option<&Pollee> {
        Some(self.ops.pollee())
    }
    fn events(&self) -> Events {
        self.ops.events()
    }
    fn tell_edges(&self) {
        self.ops.tell_edges();
    }
    fn stat(&self) -> Result<Stat> {
        Ok(self.shown.lock().as_deref().copied().unwrap_or_else(|| self.new_stat()))
    }
    fn set_attr(&self, attr: &SetAttr) -> Result<()> {
        attr.apply(self.shown.lock().get_or_insert_with(|| Box::new(self.new_stat())));
        Ok(())
    }
    fn ioctl(&self, cmd: u32, arg: IoctlArgument) -> Result<usize> {
        self.ops.ioctl(cmd, arg)
    }
    fn describe(&self) -> String {
        format!("socket:[{}]", self.ino)
    }
}
