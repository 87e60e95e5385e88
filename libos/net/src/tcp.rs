//! TCP sockets: the calls. What they do to the stack's tables is in [`crate::stack`].

use crate::addr::{self, Addr};
use crate::net::Net;
use crate::socket::{Incoming, Msg, Ops, Outgoing, Wait};
use crate::stack::conn::Conn;
use crate::stack::ports::Proto;
use crate::stack::sock::Kind;
use crate::stack::{Shared, Stack};
use crate::transfer::Turns;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::abi::{IoctlArgument, af, ioctl, sock};
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee, block_by, block_on};
use libos_base::thread::FOREVER;
use libos_base::time::{self, NS};
use libos_base::{Errno, Result, user};
use libos_tcp::State;

/// A TCP socket of AF_INET or AF_INET6.
pub struct TcpSocket {
    pub(crate) net: Arc<Net>,
    pub(crate) id: u32,
    pub(crate) v6: bool,
    pub(crate) turns: Turns,
    shared: Arc<Shared>,
}

impl TcpSocket {
    /// `socket(AF_INET or AF_INET6, SOCK_STREAM)`.
    pub fn open(net: &Arc<Net>, v6: bool) -> Result<Box<dyn Ops>> {
        let (id, shared) = net.with(|st| st.socket(Proto::Tcp, v6))?;
        Ok(Self::with(net, id, v6, shared))
    }

    fn with(net: &Arc<Net>, id: u32, v6: bool, shared: Arc<Shared>) -> Box<dyn Ops> {
        Box::new(Self { net: net.clone(), id, v6, turns: Turns::new(), shared })
    }

    fn name(&self, n: crate::stack::sock::Name) -> Addr {
        Addr::inet(n, self.v6, 2)
    }
}

/// Poll bits when there is nothing more to read.
const READ_SHUT: Events = Events::IN.union(Events::RDNORM).union(Events::RDHUP);

/// The connection of a socket.
pub(crate) fn conn_of(st: &mut Stack, sid: u32) -> Option<(u32, &mut Conn)> {
    match st.sockets.get(sid)?.kind {
        Kind::Conn(id) => st.connections.get_mut(id).map(|c| (id, c)),
        _ => None,
    }
}

impl Ops for TcpSocket {
    fn identity(&self) -> (u16, u32, u32) {
        (if self.v6 { af::INET6 } else { af::INET }, sock::STREAM, 6)
    }

    fn bind(&self, a: &[u8]) -> Result<()> {
        bind(&self.net, self.id, self.v6, a)
    }

    fn listen(&self, backlog: i32) -> Result<()> {
        let (ip, port) = self.net.with(|st| {
            st.listen(self.id, backlog)?;
            st.local_name(self.id)
        })?;
        self.net.hooks().listening(false, ip.into(), port);
        Ok(())
    }

    fn connect(&self, a: &[u8], wait: Wait) -> Result<()> {
        if addr::family(a)? == af::UNSPEC {
            return self.disconnect();
        }
        let to = addr::parse_inet(a, self.v6)?;
        let turns = self.turns.all();
        let begun = self.net.with(|st| {
            let s = st.sock(self.id)?;
            if s.v6only && matches!(to.0, smoltcp::wire::IpAddress::Ipv4(_)) {
                return Err(Errno::ENETUNREACH);
            }
            match s.kind {
                Kind::Listen(_) => Err(Errno::EISCONN),
                Kind::Conn(id) => {
                    let connecting = s.connecting;
                    let c = st.connections.get_mut(id).ok_or(Errno::EISCONN)?;
                    match c.tcp().state() {
                        State::SynSent | State::SynReceived if wait.nonblock => Err(Errno::EALREADY),
                        State::SynSent | State::SynReceived => Ok(false),
                        // A failed attempt is reported once; after that the socket may try again.
                        State::Closed | State::TimeWait if connecting => {
                            let e = c.error.take().unwrap_or(Errno::ECONNABORTED);
                            forget(st, self.id, id);
                            Err(e)
                        }
                        State::Closed | State::TimeWait => Err(Errno::EISCONN),
                        _ if connecting => Ok(false),
                        _ => Err(Errno::EISCONN),
                    }
                }
                _ => st.connect(self.id, to).map(|_| true),
            }
        })?;
        drop(turns);
        // Over loopback it is decided by now: as on Linux, poll, SO_ERROR and the next connect() report it.
        if begun && wait.nonblock {
            return Err(Errno::EINPROGRESS);
        }
        let park = || self.net.park(wait.deadline);
        let r = block_by(park, &self.shared.pollee, wait.nonblock, Errno::EINPROGRESS, || {
            self.net.with(|st| {
                let Some((id, c)) = conn_of(st, self.id) else {
                    let shut = st.sock(self.id).ok().and_then(|s| s.error.take());
                    return Some(Err(shut.unwrap_or(Errno::ENOTCONN)));
                };
                match c.tcp().state() {
                    State::SynSent | State::SynReceived => None,
                    State::Closed => {
                        let e = c.error.take().unwrap_or(Errno::ECONNABORTED);
                        forget(st, self.id, id);
                        Some(Err(e))
                    }
                    _ => {
                        if let Ok(s) = st.sock(self.id) {
                            s.connecting = false;
                        }
                        Some(Ok(()))
                    }
                }
            })
        });
        r.map_err(|e| match e {
            Errno::EAGAIN => Errno::EINPROGRESS,
            Errno::ERESTARTSYS if wait.deadline != FOREVER => Errno::EINTR,
            e => e,
        })
    }

    fn accept(&self, wait: Wait) -> Result<(Box<dyn Ops>, Addr)> {
        let (id, shared, peer) = self.net.wait(wait, &self.shared.pollee, || {
            self.net.with(|st| {
                if !matches!(st.sockets.get(self.id)?.kind, Kind::Listen(_)) {
                    return Some(Err(Errno::EINVAL));
                }
                let id = match st.accept(self.id)? {
                    Ok(id) => id,
                    Err(e) => return Some(Err(e)),
                };
                let peer = st.connections.get(id).map(|c| (c.tuple.remote, c.tuple.rport));
                Some(st.adopt(self.id, id).and_then(|(s, sh)| Ok((s, sh, peer.ok_or(Errno::ECONNABORTED)?))))
            })
        })?;
        Ok((Self::with(&self.net, id, self.v6, shared), self.name(peer)))
    }

    fn send(&self, src: &mut Source<'_>, msg: &Outgoing<'_>, wait: Wait) -> Result<usize> {
        if msg.flags.contains(Msg::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        if msg.flags.contains(Msg::FASTOPEN) {
            self.connect_first(msg.to, wait)?;
        }
        if !msg.files.is_empty() {
            return Err(Errno::EINVAL);
        }
        self.send_all(src, msg.flags.contains(Msg::MORE), wait)
    }
    fn write(&self, src: &mut Source<'_>, wait: Wait) -> Result<usize> {
        self.send_all(src, false, wait)
    }

    fn recv(&self, dst: &mut Sink<'_>, msg: &mut Incoming, wait: Wait) -> Result<usize> {
        if msg.flags.contains(Msg::OOB) {
            return Err(Errno::EINVAL);
        }
        if msg.flags.contains(Msg::ERRQUEUE) {
            return Err(Errno::EAGAIN);
        }
        if msg.flags.contains(Msg::PEEK) {
            return self.recv_peek(dst, msg.flags, wait);
        }
        let mut total = 0;
        loop {
            let r = self.net.wait(wait, &self.shared.pollee, || self.try_recv(dst, msg.flags, total > 0));
            match r {
                Ok(n) => {
                    total += n;
                    let all = (msg.flags.contains(Msg::WAITALL) || total < wait.low) && !wait.nonblock;
                    if n == 0 || dst.left() == 0 || !all {
                        return Ok(total);
                    }
                }
                Err(_) if total > 0 => return Ok(total),
                Err(e) => return Err(e),
            }
        }
    }

    fn shutdown(&self, rd: bool, wr: bool) -> Result<()> {
        self.net.with(|st| {
            let now = st.now;
            let s = st.sock(self.id)?;
            let shared = s.shared.clone();
            // Watchers are notified whatever the outcome.
            st.wakes.add(&shared, Events::all());
            let s = st.sock(self.id)?;
            let id = match s.kind {
                Kind::Conn(id) => id,
                Kind::Listen(_) if rd => return stop_listening(st, self.id),
                Kind::Listen(_) => return Ok(()),
                // Linux reports this error, but shuts it down all the same.
                _ => {
                    s.shut = (s.shut.0 | rd, s.shut.1 | wr);
                    return Err(Errno::ENOTCONN);
                }
            };
            let c = st.connections.get_mut(id).ok_or(Errno::ENOTCONN)?;
            let state = c.tcp().state();
            match state {
                State::Closed | State::TimeWait => return Err(Errno::ENOTCONN),
                // On Linux this disconnects it, and it may connect again.
                State::SynSent => {
                    forget(st, self.id, id);
                    st.sock(self.id)?.error = Some(Errno::ECONNRESET);
                    return Ok(());
                }
                _ => {}
            }
            c.shut_read |= rd;
            c.shut_write |= wr;
            if wr {
                c.tcp_mut().finish(now);
            }
            st.connections.touch(id);
            Ok(())
        })
    }

    fn local(&self) -> Result<Addr> {
        self.net.ask(|st| st.local_name(self.id)).map(|n| self.name(n))
    }
    fn peer(&self) -> Result<Addr> {
        self.net.ask(|st| st.peer_name(self.id)).map(|n| self.name(n))
    }
    fn set(&self, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
        self.net.with(|st| crate::options::set(st, self.id, level, name, value))
    }
    fn get(&self, level: i32, name: i32) -> Option<Result<Vec<u8>>> {
        self.net.with(|st| crate::options::get(st, self.id, level, name))
    }

    fn ioctl(&self, cmd: u32, arg: IoctlArgument) -> Result<usize> {
        let n = self.net.with(|st| {
            let Some((_, c)) = conn_of(st, self.id) else {
                let listens = matches!(st.sock(self.id)?.kind, Kind::Listen(_));
                return if listens { Err(Errno::EINVAL) } else { Ok(0) };
            };
            match cmd {
                ioctl::FIONREAD => Ok(c.tcp().recv_queue()),
                ioctl::TIOCOUTQ => Ok(c.tcp().unacknowledged() as usize),
                _ => Err(Errno::ENOTTY),
            }
        });
        match (cmd, n) {
            (ioctl::FIONREAD | ioctl::TIOCOUTQ, n) => user::write(arg.to(), &(n? as i32)).map(|()| 0),
            _ => crate::ifreq::ioctl(&self.net, cmd, arg),
        }
    }

    fn events(&self) -> Events {
        let (e, full) = self.net.ask(|st| self.events_now(st));
        if full.is_none() {
            return e;
        }
        // Whoever sees "not writable" is waiting for room.
        self.net.with(|st| {
            let (e, full) = self.events_now(st);
            if let Some(id) = full {
                st.want_room(id);
            }
            e
        })
    }
    fn pollee(&self) -> &Pollee {
        &self.shared.pollee
    }

    fn linger(&self) {
        let lingers = self.net.ask(|st| {
            let s = st.sockets.get(self.id)?;
            let seconds = s.opts.linger.filter(|&seconds| seconds > 0)?;
            let Kind::Conn(id) = s.kind else { return None };
            // With unread data it is an immediate reset.
            (st.connections.get(id)?.tcp().recv_queue() == 0).then_some(seconds)
        });
        let Some(seconds) = lingers else { return };
        // close() waits until the peer has acknowledged everything including our FIN, or until the time is up.
        let _ = self.shutdown(true, true);
        let deadline = time::after(u64::from(seconds) * NS);
        let _ = block_on(&self.shared.pollee, false, deadline, Errno::ETIMEDOUT, || {
            self.net.with(|st| {
                let Some((id, c)) = conn_of(st, self.id) else { return Some(Ok(())) };
                let ends = matches!(c.tcp().state(), State::FinWait1 | State::Closing | State::LastAck);
                st.want_room(id);
                (!ends).then_some(Ok(()))
            })
        });
    }

    fn is_stream(&self) -> bool {
        true
    }
}

impl TcpSocket {
    /// The current readiness, and the connection's number if it has no room.
    fn events_now(&self, st: &Stack) -> (Events, Option<u32>) {
        let Some(s) = st.sockets.get(self.id) else { return (Events::HUP, None) };
        let e = match &s.kind {
            Kind::Listen(l) if l.queue.is_empty() => Events::empty(),
            Kind::Listen(_) => Events::IN | Events::RDNORM,
            Kind::Conn(id) => {
                let Some(e) = st.connections.get(*id).map(Conn::events) else { return (Events::HUP, None) };
                return (e, (!e.contains(Events::OUT)).then_some(*id));
            }
            _ => {
                let shut = if s.shut.0 { READ_SHUT } else { Events::empty() };
                Events::OUT | Events::WRNORM | Events::HUP | shut | crate::options::error_events(&s.error)
            }
        };
        (e, None)
    }

    /// Sends everything, or as much as there is room for if it may not wait.
    fn send_all(&self, src: &mut Source<'_>, more: bool, wait: Wait) -> Result<usize> {
        let mut total = 0;
        loop {
            let r = self.net.wait(wait, &self.shared.pollee, || self.try_send(src, more, total > 0));
            match r {
                Ok(n) => {
                    total += n;
                    if src.left() == 0 || n == 0 || wait.nonblock {
                        return Ok(total);
                    }
                }
                Err(_) if total > 0 => return Ok(total),
                Err(e) => return Err(e),
            }
        }
    }

    /// MSG_PEEK: waits until as much is there as a read would wait for, and after a timeout or a signal takes what there is.
    #[cold]
    fn recv_peek(&self, dst: &mut Sink<'_>, flags: Msg, wait: Wait) -> Result<usize> {
        let least = match flags.contains(Msg::WAITALL) {
            _ if wait.nonblock => 0,
            true => dst.left(),
            false => wait.low.min(dst.left()),
        };
        let r = self.net.wait(wait, &self.shared.pollee, || self.peek(dst, least));
        match r {
            Err(e) if least > 0 => self.peek(dst, 0).and_then(Result::ok).filter(|&n| n > 0).ok_or(e),
            r => r,
        }
    }

    /// MSG_FASTOPEN without a cookie, which we never have: completes the handshake before sending data.
    fn connect_first(&self, to: Option<&[u8]>, wait: Wait) -> Result<()> {
        match to {
            Some(to) if addr::family(to)? == af::UNSPEC => Err(Errno::EOPNOTSUPP),
            Some(to) => self.connect(to, wait),
            None => match self.net.with(|st| st.sock(self.id).map(|s| matches!(s.kind, Kind::Idle)))? {
                true => Err(Errno::EINVAL),
                false => Err(Errno::EISCONN),
            },
        }
    }

    /// `connect` to AF_UNSPEC.
    fn disconnect(&self) -> Result<()> {
        let _turns = self.turns.all();
        self.net.with(|st| {
            let id = match st.sock(self.id)?.kind {
                Kind::Conn(id) => id,
                Kind::Listen(_) => return stop_listening(st, self.id),
                _ => {
                    let s = st.sock(self.id)?;
                    s.shut = (false, false);
                    let shared = s.shared.clone();
                    st.wakes.add(&shared, Events::ERR);
                    return Ok(());
                }
            };
            // As on Linux, resetting a connection leaves its own socket with ECONNRESET.
            let error = st.connections.get_mut(id).and_then(|c| match c.tcp().state() {
                State::LastAck | State::Closing | State::TimeWait | State::Closed => c.error,
                _ => Some(Errno::ECONNRESET),
            });
            forget(st, self.id, id);
            st.sock(self.id)?.error = error;
            Ok(())
        })
    }
}

/// As on Linux: the socket stays bound to what it asked for, and a blocked accept() gets EINVAL.
fn stop_listening(st: &mut Stack, sid: u32) -> Result<()> {
    let s = st.sock(sid)?;
    let (shared, bound) = (s.shared.clone(), s.bound);
    s.kind = Kind::Idle;
    st.close_listener(sid);
    if let Some((_, p)) = bound
        && let Some(b) = st.ports.find(Proto::Tcp, p, sid)
    {
        b.listening = false;
    }
    st.disconnected(sid);
    st.wakes.add(&shared, Events::IN | Events::ERR | Events::HUP);
    Ok(())
}

/// Detaches a finished connection from its socket, which may then connect again.
fn forget(st: &mut Stack, sid: u32, id: u32) {
    let port = st.connections.get(id).map(|c| c.tuple.lport);
    if let Ok(s) = st.sock(sid) {
        s.kind = Kind::Idle;
        s.connecting = false;
        s.last_port = port.unwrap_or(s.last_port);
        let shared = s.shared.clone();
        st.disconnected(sid);
        st.wakes.add(&shared, Events::OUT | Events::ERR | Events::HUP);
    }
    st.close_conn(id, Some(0));
}

/// `bind` for TCP and UDP.
pub(crate) fn bind(net: &Net, id: u32, v6: bool, a: &[u8]) -> Result<()> {
    let unspec = addr::family(a)? == af::UNSPEC && !v6 && a.len() >= 16 && a[4..8] == [0; 4];
    let (ip, port) = if unspec {
        (smoltcp::wire::IpAddress::v4(0, 0, 0, 0), u16::from_be_bytes([a[2], a[3]]))
    } else {
        // This is the only place where an AF_INET6 socket insists on AF_INET6 addresses.
        if v6 && addr::family(a)? != af::INET6 {
            return Err(if a.len() < 24 { Errno::EINVAL } else { Errno::EAFNOSUPPORT });
        }
        addr::parse_inet(a, v6)?
    };
    let mapped = v6 && matches!(ip, smoltcp::wire::IpAddress::Ipv4(_));
    net.with(|st| {
        if mapped && st.sock(id)?.v6only {
            return Err(Errno::EINVAL);
        }
        let any = ip.is_unspecified() && !mapped;
        let ip = if any { None } else { Some(ip) };
        st.bind(id, ip, port).map(|_| ())
    })
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        self.net.with(|st| st.close(self.id));
    }
}
