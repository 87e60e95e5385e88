//! The socket as a file: what all families have in common.

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
use libos_base::poll::{Events, Pollee, watch_by};
use libos_base::sync::{Mutex, class};
use libos_base::thread::{self, FOREVER};
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
    /// SO_RCVLOWAT: a read from a stream waits for this much.
    pub low: usize,
}

impl Wait {
    /// Blocks until `attempt` succeeds. With a timeout set, a signal gives EINTR, never a restart.
    pub fn block<T>(&self, p: &Pollee, mut attempt: impl FnMut() -> Option<Result<T>>) -> Result<T> {
        match attempt() {
            Some(r) => r,
            None if self.nonblock => Err(Errno::EAGAIN),
            None => self.watch_by(|| thread::park(self.deadline, true), p, attempt),
        }
    }

    /// The rest of [`block`](Self::block), after an attempt in vain, with another way to park.
    pub fn watch_by<T>(
        &self,
        park: impl FnMut() -> thread::Wake,
        p: &Pollee,
        attempt: impl FnMut() -> Option<Result<T>>,
    ) -> Result<T> {
        watch_by(park, p, Errno::EAGAIN, attempt).map_err(|e| match e {
            Errno::ERESTARTSYS if self.deadline != FOREVER => Errno::EINTR,
            e => e,
        })
    }
}

/// What `sendmsg` passes besides the data.
#[derive(Default)]
pub struct Outgoing<'a> {
    pub flags: Msg,
    pub to: Option<&'a [u8]>,
    /// SCM_RIGHTS.
    pub files: Vec<Arc<dyn FileLike>>,
    /// SCM_CREDENTIALS: who the program claims to be.
    pub creds: Option<Ucred>,
    /// Its settings for the IP header.
    pub ip: Header,
}

/// What the program wants in the header of one datagram: IP_PKTINFO, IP_TTL, IP_TOS and their IPv6 counterparts.
#[derive(Clone, Copy, Default)]
pub struct Header {
    /// Source address.
    pub from: Option<smoltcp::wire::IpAddress>,
    /// Index of the interface for a multicast; 0: the socket's setting.
    pub index: u32,
    pub hops: Option<u8>,
    pub tos: Option<u8>,
    /// MSG_DONTROUTE.
    pub direct: bool,
}

/// What `recvmsg` returns besides the data.
pub struct Incoming {
    pub flags: Msg,
    /// Source; empty if the family has none.
    pub from: Addr,
    /// MSG_TRUNC, MSG_EOR, ...
    pub out_flags: Msg,
    /// The whole length of a truncated datagram.
    pub full_len: Option<usize>,
    pub files: Vec<Arc<dyn FileLike>>,
    pub creds: Option<Ucred>,
    /// Control messages of the IP layer: level, type, data.
    pub control: Vec<(i32, i32, Vec<u8>)>,
}

impl Incoming {
    /// An empty message, for a call with these flags.
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
    /// Domain (AF_*), type (SOCK_*) and protocol (IPPROTO_*).
    fn identity(&self) -> (u16, u32, u32);
    fn bind(&self, addr: &[u8]) -> Result<()>;
    fn connect(&self, addr: &[u8], wait: Wait) -> Result<()>;
    fn listen(&self, _backlog: i32) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    /// `accept`: returns the new socket and the peer's address.
    fn accept(&self, _wait: Wait) -> Result<(Box<dyn Ops>, Addr)> {
        Err(Errno::EOPNOTSUPP)
    }
    fn send(&self, src: &mut Source<'_>, msg: &Outgoing<'_>, wait: Wait) -> Result<usize>;
    fn recv(&self, dst: &mut Sink<'_>, msg: &mut Incoming, wait: Wait) -> Result<usize>;
    /// `read`: the same without anything besides data, of which there is room for some.
    fn read(&self, dst: &mut Sink<'_>, wait: Wait) -> Result<usize> {
        self.recv(dst, &mut Incoming::new(Msg::empty()), wait)
    }
    /// `write`.
    fn write(&self, src: &mut Source<'_>, wait: Wait) -> Result<usize> {
        self.send(src, &Outgoing::default(), wait)
    }
    /// `shutdown` for reading, for writing, or for both.
    fn shutdown(&self, rd: bool, wr: bool) -> Result<()>;
    /// `getsockname`: the socket's own address.
    fn local(&self) -> Result<Addr>;
    /// `getpeername`: the peer's address.
    fn peer(&self) -> Result<Addr>;
    /// `setsockopt`; `None`: the family does not act on this option. SOL_SOCKET values have been checked.
    fn set(&self, level: i32, name: i32, value: &[u8]) -> Option<Result<()>>;
    /// `getsockopt`; `None`: the family does not keep this option.
    fn get(&self, level: i32, name: i32) -> Option<Result<Vec<u8>>>;
    fn ioctl(&self, _cmd: u32, _arg: IoctlArgument) -> Result<usize> {
        Err(Errno::ENOTTY)
    }
    /// The current readiness.
    fn events(&self) -> Events;
    /// Where watchers of the readiness register.
    fn pollee(&self) -> &Pollee;
    /// See [`FileLike::tell_edges`].
    fn tell_edges(&self) {}
    /// The last close, with SO_LINGER on: it may have to wait.
    fn linger(&self) {}
    /// Whether a write that nobody will read is a broken pipe (SIGPIPE): streams.
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
    /// User and group of its creator.
    owner: (u32, u32),
    /// What `fstat` shows once attributes have been changed.
    shown: Mutex<Option<Box<Stat>>>,
}

impl Socket {
    /// Wraps a family's socket.
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

    /// What `/proc/net` shows of it: inode and user.
    pub fn shown(&self) -> (u64, u32) {
        (self.ino, self.shown.lock().as_deref().map_or(self.owner.0, |s| s.uid))
    }

    fn wait(&self, timeout: &AtomicU64, msg: Msg) -> Wait {
        let t = timeout.load(Ordering::Relaxed);
        let nonblock = msg.contains(Msg::DONTWAIT) || self.description.nonblock();
        let deadline = if t == 0 || nonblock { FOREVER } else { time::after(t) };
        Wait { nonblock, deadline, low: self.common.low() }
    }

    pub fn connect(&self, addr: &[u8]) -> Result<()> {
        self.ops.connect(addr, self.wait(&self.common.snd_timeout, Msg::empty()))
    }

    /// `accept4`: returns the new socket and the peer's address.
    pub fn accept(&self, nonblock: bool) -> Result<(Arc<Self>, Addr)> {
        let (ops, addr) = self.ops.accept(self.wait(&self.common.rcv_timeout, Msg::empty()))?;
        let new = Self::new(ops, nonblock);
        if self.ops.identity().0 != af::UNIX {
            new.common.inherit(&self.common);
        }
        Ok((new, addr))
    }

    pub fn send(&self, src: &mut Source<'_>, msg: &Outgoing<'_>) -> Result<usize> {
        self.ops.send(src, msg, self.wait(&self.common.snd_timeout, msg.flags))
    }

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

    /// Linux's error for an unknown option, which depends on the family and, within it, on the level.
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
        if self.common.lingers() {
            self.ops.linger();
        }
    }
}

impl FileLike for Socket {
    fn description(&self) -> &Description {
        &self.description
    }
    fn special_flags(&self) -> OpenFlags {
        OpenFlags::DIRECT | OpenFlags::ASYNC
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        // Unlike recv(), which without room may still wait for data or take a datagram.
        if dst.left() == 0 {
            return Ok(0);
        }
        self.ops.read(dst, self.wait(&self.common.rcv_timeout, Msg::empty()))
    }
    fn write(&self, src: &mut Source<'_>) -> Result<usize> {
        self.ops.write(src, self.wait(&self.common.snd_timeout, Msg::empty()))
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
