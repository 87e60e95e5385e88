//! AF_UNIX sockets: the calls.

use super::core::{Backlog, Core};
use super::name::{self, Host};
use crate::addr::{Addr, family};
use crate::socket::{Incoming, Msg, Ops, Outgoing, Wait};
use crate::sockopts::words;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use libos_base::abi::{IoctlArgument, af, ioctl, so, sock, sol};
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee};
use libos_base::{Errno, Result, memory, user};

/// A socket of AF_UNIX.
pub struct UnixSocket {
    pub(super) core: Arc<Core>,
    pub(super) host: &'static dyn Host,
}

/// `socketpair`.
pub fn pair(kind: u32, host: &'static dyn Host) -> (Box<dyn Ops>, Box<dyn Ops>) {
    let (a, b) = (Core::new(kind), Core::new(kind));
    Core::join(&a, &b, host.creds());
    (Box::new(UnixSocket { core: a, host }), Box::new(UnixSocket { core: b, host }))
}

impl UnixSocket {
    /// What `/proc/net/unix` shows: whether it listens, whether it is connected, and its name.
    pub fn shown(&self) -> (bool, bool, Option<Vec<u8>>) {
        let s = self.core.state.lock();
        (s.backlog.is_some(), s.peer.is_some(), s.name.clone())
    }

    /// `socket(AF_UNIX, kind)`.
    pub fn open(kind: u32, host: &'static dyn Host) -> Box<dyn Ops> {
        Box::new(Self { core: Core::new(kind), host })
    }

    pub(super) fn dgram(&self) -> bool {
        self.core.kind == sock::DGRAM
    }

    fn connect_stream(&self, target: &[u8], wait: Wait) -> Result<()> {
        {
            let s = self.core.state.lock();
            if s.backlog.is_some() {
                return Err(Errno::EINVAL);
            }
            if s.was_connected {
                return Err(Errno::EISCONN);
            }
        }
        let listener = name::find(self.host, target)?;
        if listener.kind != self.core.kind {
            return Err(Errno::EPROTOTYPE);
        }
        wait.block(&listener.pollee, || {
            let mut l = listener.state.lock();
            let (listener_name, pass_creds, theirs) = (l.name.clone(), l.pass_creds, l.peer_creds);
            let Some(b) = l.backlog.as_mut() else { return Some(Err(Errno::ECONNREFUSED)) };
            if b.queue.len() > b.limit {
                b.short |= !wait.nonblock;
                return None;
            }
            if memory::check().is_err() || b.queue.try_reserve(1).is_err() {
                return Some(Err(Errno::ENOMEM));
            }
            let server = Core::new(self.core.kind);
            let creds = self.host.creds();
            // Nobody else can reach it yet, so locking it here cannot block.
            {
                let mut s = server.state.lock_nested(1);
                s.name = listener_name.clone();
                s.peer = Some(Arc::downgrade(&self.core));
                s.peer_creds = Some(creds);
                s.pass_creds = pass_creds;
                s.was_connected = true;
            }
            b.queue.push_back(server.clone());
            drop(l);
            let mut me = self.core.state.lock();
            me.peer = Some(Arc::downgrade(&server));
            me.peer_name = listener_name;
            // The listener's credentials from when it began to listen.
            me.peer_creds = theirs;
            me.was_connected = true;
            let mine = me.name.clone();
            drop(me);
            let mut s = server.state.lock();
            s.peer_name = mine;
            // Read only now that a thread turning edges on can find this end.
            s.peer_edges = self.core.edges.load(Ordering::SeqCst);
            drop(s);
            listener.pollee.notify(Events::IN | Events::RDNORM);
            Some(Ok(()))
        })
    }

    /// The destination of a datagram.
    fn target(&self, to: Option<&[u8]>) -> Result<Arc<Core>> {
        let Some(addr) = to else { return self.core.peer() };
        if !self.dgram() {
            // On Linux EISCONN for a connected stream, EOPNOTSUPP for an unconnected one.
            let connected = self.core.state.lock().was_connected;
            return Err(if connected { Errno::EISCONN } else { Errno::EOPNOTSUPP });
        }
        let t = name::find(self.host, name::parse(addr)?)?;
        if t.kind == sock::DGRAM { Ok(t) } else { Err(Errno::EPROTOTYPE) }
    }
}

impl Ops for UnixSocket {
    fn identity(&self) -> (u16, u32, u32) {
        (af::UNIX, self.core.kind, 0)
    }

    fn bind(&self, addr: &[u8]) -> Result<()> {
        let n = name::parse(addr)?;
        if self.core.state.lock().name.is_some() {
            // Linux first finds out whether the name is taken.
            let taken = n.first().is_some_and(|&b| b != 0) && self.host.find(n).err() != Some(Errno::ENOENT);
            return Err(if taken { Errno::EADDRINUSE } else { Errno::EINVAL });
        }
        let n = name::bind(self.host, n, &self.core)?;
        self.core.state.lock().name = Some(n);
        Ok(())
    }

    fn listen(&self, backlog: i32) -> Result<()> {
        if self.dgram() {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut s = self.core.state.lock();
        if s.name.is_none() || s.was_connected {
            return Err(Errno::EINVAL);
        }
        let limit = crate::stack::listen::limit(backlog);
        match &mut s.backlog {
            Some(b) => b.limit = limit,
            None => s.backlog = Some(Backlog { limit, short: false, queue: VecDeque::new() }),
        }
        s.peer_creds = Some(self.host.creds());
        Ok(())
    }

    fn connect(&self, addr: &[u8], wait: Wait) -> Result<()> {
        if self.dgram() && family(addr)? == af::UNSPEC {
            self.core.set_peer(None, None);
            return Ok(());
        }
        let target = name::parse(addr)?;
        if !self.dgram() {
            return self.connect_stream(target, wait);
        }
        let t = name::find(self.host, target)?;
        if t.kind != sock::DGRAM {
            return Err(Errno::EPROTOTYPE);
        }
        let their_name = {
            let s = t.state.lock();
            if s.peer.is_some() && !s.is_peer(&self.core) {
                return Err(Errno::EPERM);
            }
            s.name.clone()
        };
        self.core.set_peer(Some(&t), their_name);
        Ok(())
    }

    fn accept(&self, wait: Wait) -> Result<(Box<dyn Ops>, Addr)> {
        let (core, short) = wait.block(&self.core.pollee, || {
            let mut s = self.core.state.lock();
            let Some(b) = &mut s.backlog else { return Some(Err(Errno::EINVAL)) };
            b.queue.pop_front().map(|c| Ok((c, core::mem::take(&mut b.short))))
        })?;
        if short {
            // A connect() waiting for room in the backlog watches this, too.
            self.core.pollee.notify(Events::OUT);
        }
        let from = name::encode(core.state.lock().peer_name.as_deref());
        Ok((Box::new(Self { core, host: self.host }), from))
    }

    fn read(&self, dst: &mut Sink<'_>, wait: Wait) -> Result<usize> {
        match self.read_simply(dst, wait.low) {
            Some(done) => done,
            None => self.recv(dst, &mut Incoming::new(Msg::empty()), wait),
        }
    }
    fn write(&self, src: &mut Source<'_>, wait: Wait) -> Result<usize> {
        match self.write_simply(src) {
            Some(done) => done,
            None => self.send(src, &Outgoing::default(), wait),
        }
    }

    fn send(&self, src: &mut Source<'_>, msg: &Outgoing<'_>, wait: Wait) -> Result<usize> {
        if msg.flags.contains(Msg::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        let creds = self.host.sender(msg.creds)?;
        // Before finding out that the peer is gone.
        if self.core.kind == sock::SEQPACKET
            && let Some(e) = self.core.state.lock().error.take()
        {
            return Err(e);
        }
        let to = self.target(msg.to).inspect_err(|_| self.core.tell_watchers())?;
        let stream = self.core.kind == sock::STREAM;
        let all = src.left();
        if !stream && all > self.core.limit() - 32 {
            return Err(Errno::EMSGSIZE);
        }
        let mut total = 0;
        loop {
            let r = wait.block(&self.core.pollee, || {
                let (shut, hung, from) = {
                    let mut s = self.core.state.lock();
                    // Writers of a stream see its end before the reason for it, which is left to readers.
                    if !(stream && (s.tx_shut || s.hung_up))
                        && let Some(e) = s.error.take()
                    {
                        return Some(Err(e));
                    }
                    (s.tx_shut, s.hung_up, s.name.clone())
                };
                if shut || hung {
                    return Some(Err(Errno::EPIPE));
                }
                // An empty piece of a stream would read as its end.
                if stream && all == 0 {
                    return Some(Ok(0));
                }
                let files = (total == 0 && !msg.files.is_empty()).then(|| msg.files.clone());
                to.deliver(&self.core, src.left(), files, from, creds, |b| src.take_whole(b).map(|()| b.len()))
            });
            match r {
                Ok(n) => {
                    total += n;
                    if !stream || src.left() == 0 || n == 0 {
                        return Ok(total);
                    }
                }
                Err(_) if total > 0 => return Ok(total),
                Err(e) => {
                    // As on Linux, a datagram that went nowhere also counts as taken.
                    self.core.tell_watchers();
                    return Err(e);
                }
            }
        }
    }

    fn recv(&self, dst: &mut Sink<'_>, msg: &mut Incoming, wait: Wait) -> Result<usize> {
        if msg.flags.contains(Msg::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        let stream = self.core.kind == sock::STREAM;
        let mut total = 0;
        loop {
            let r = wait.block(&self.core.pollee, || {
                let mut s = self.core.state.lock();
                if !self.dgram() && !s.was_connected {
                    return Some(Err(if stream { Errno::EINVAL } else { Errno::ENOTCONN }));
                }
                // Errors come before packets, but after data in a stream.
                if (s.inbox.is_empty() || !stream)
                    && let Some(e) = s.error.take()
                {
                    return Some(Err(e));
                }
                if s.inbox.is_empty() {
                    // For datagrams only a blocking call sees the end.
                    return ((s.rx_shut || s.ended) && !(self.dgram() && wait.nonblock)).then_some(Ok((0, true)));
                }
                if stream && dst.left() == 0 {
                    return Some(Ok((0, true)));
                }
                let mut gone = None;
                let done = self.recv_once(&mut s, dst, msg, &mut gone);
                if let (Err(e), None) = (done, &gone) {
                    return Some(Err(e));
                }
                let whole = done.is_ok_and(|(_, whole)| whole);
                let peek = msg.flags.contains(Msg::PEEK);
                // Whom to notify of the room.
                let peer = if peek || self.dgram() { None } else { s.peer_gets_room(whole) };
                let senders = (!peek && self.dgram()).then(|| s.queue_shrank());
                drop(s);
                drop(gone);
                for w in peer.iter().chain(senders.iter().flatten()) {
                    Core::tell(w);
                }
                Some(done.map(|(n, _)| (n, !msg.files.is_empty())))
            });
            match r {
                Ok((n, stop)) => {
                    total += n;
                    let wants = msg.flags.contains(Msg::WAITALL) || total < wait.low;
                    let all = stream && wants && !msg.flags.contains(Msg::PEEK);
                    if stop || !all || dst.left() == 0 {
                        return Ok(total);
                    }
                }
                Err(_) if total > 0 => return Ok(total),
                Err(e) => return Err(e),
            }
        }
    }

    fn shutdown(&self, rd: bool, wr: bool) -> Result<()> {
        let peer = {
            let mut s = self.core.state.lock();
            s.rx_shut |= rd;
            s.tx_shut |= wr;
            if rd && s.backlog.take().is_some() {
                // accept() now returns EINVAL.
            }
            s.peer.as_ref().and_then(alloc::sync::Weak::upgrade)
        };
        if wr {
            self.core.leave(true);
        }
        if rd
            && !self.dgram()
            && let Some(p) = &peer
        {
            // From now on the peer's writes fail: on Linux that is a shutdown of its writing side, which poll shows.
            p.state.lock().tx_shut = true;
            p.pollee.notify(Events::OUT | Events::HUP);
        }
        self.core.pollee.notify(Events::IN | Events::OUT | Events::RDHUP | Events::HUP);
        Ok(())
    }

    fn local(&self) -> Result<Addr> {
        Ok(name::encode(self.core.state.lock().name.as_deref()))
    }
    fn peer(&self) -> Result<Addr> {
        let s = self.core.state.lock();
        if s.peer.is_none() {
            return Err(Errno::ENOTCONN);
        }
        Ok(name::encode(s.peer_name.as_deref()))
    }

    fn set(&self, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
        let v = crate::options::int(value).ok().filter(|_| level == sol::SOCKET)?;
        match name {
            so::PASSCRED => self.core.state.lock().pass_creds = v != 0,
            so::TIMESTAMP => self.core.state.lock().stamp = v as u8,
            so::SNDBUF => self.core.sndbuf.store(v as usize, Ordering::Relaxed),
            _ => return None,
        }
        Some(Ok(()))
    }

    fn get(&self, level: i32, name: i32) -> Option<Result<Vec<u8>>> {
        if level != sol::SOCKET {
            return None;
        }
        let mut s = self.core.state.lock();
        let v = match name {
            so::ERROR => s.error.take().map_or(0, |e| e as i32),
            so::PASSCRED => i32::from(s.pass_creds),
            so::ACCEPTCONN => i32::from(s.backlog.is_some()),
            so::PEERCRED => {
                let c = s.peer_creds?;
                return Some(Ok(words(&[c.pid as u32, c.uid, c.gid])));
            }
            _ => return None,
        };
        Some(Ok(words(&[v as u32])))
    }

    fn ioctl(&self, cmd: u32, arg: IoctlArgument) -> Result<usize> {
        let n = match cmd {
            ioctl::FIONREAD => self.core.unread()?,
            ioctl::TIOCOUTQ => self.core.untaken(),
            // Programs ask any socket about interfaces.
            _ => return crate::ifreq::ioctl(self.host.net().ok_or(Errno::ENOTTY)?, cmd, arg),
        };
        user::write(arg.to(), &(n as i32)).map(|()| 0)
    }

    fn events(&self) -> Events {
        let (mut e, peer) = {
            let s = self.core.state.lock();
            let mut e = Events::empty();
            if let Some(b) = &s.backlog {
                return if b.queue.is_empty() { e } else { Events::IN | Events::RDNORM };
            }
            if !s.inbox.is_empty() || s.rx_shut || s.ended {
                e |= Events::IN | Events::RDNORM;
            }
            if s.rx_shut || s.ended {
                e |= Events::RDHUP;
            }
            if s.error.is_some() {
                e |= Events::ERR;
            }
            let closed = !self.dgram() && (!s.was_connected || s.hung_up);
            if closed || (s.tx_shut && (s.rx_shut || s.ended)) {
                e |= Events::HUP;
            }
            (e, s.peer.as_ref().and_then(alloc::sync::Weak::upgrade))
        };
        let writable = match peer {
            _ if self.dgram() && !self.core.may_send() => false,
            Some(p) if self.dgram() => !p.state.lock().queue_full(&self.core),
            Some(p) => {
                let mut s = p.state.lock();
                let ok = s.bytes * 4 <= self.core.limit();
                s.peer_waits |= !ok;
                ok
            }
            None => true,
        };
        if writable {
            e |= Events::OUT | Events::WRNORM;
        }
        e
    }
    fn pollee(&self) -> &Pollee {
        &self.core.pollee
    }
    fn is_stream(&self) -> bool {
        self.core.kind != sock::DGRAM
    }
    fn tell_edges(&self) {
        self.core.tell_edges();
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        self.core.leave(false);
    }
}
