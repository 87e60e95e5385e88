//! The objects behind socket descriptors, and the calls on them that need the stack's tables.

use super::conn::{COST, Conn, Owner, TcpOpts, patience};
use super::interface::InterfaceId;
use super::listen::{Listener, limit};
use super::ports::{Bound, Local, Proto};
use super::udp::Udp;
use super::{Shared, Stack};
use crate::frame::Tuple;
use alloc::sync::Arc;
use libos_base::cred::{cap, capable};
use libos_base::memory::try_box;
use libos_base::{Errno, Result};
use libos_tcp::{Connection, State};
use smoltcp::wire::IpAddress;

/// What the socket has become.
pub enum Kind {
    /// Neither listening nor connected.
    Idle,
    Listen(Listener),
    /// Connected, connecting, or once connected.
    Conn(u32),
    Udp(alloc::boxed::Box<Udp>),
}

/// An address and a port.
pub type Name = (IpAddress, u16);

/// See the module.
pub struct Sock {
    pub shared: Arc<Shared>,
    pub proto: Proto,
    /// Whether it is AF_INET6.
    pub v6: bool,
    pub v6only: bool,
    /// SO_DONTROUTE.
    pub direct: bool,
    /// SO_BINDTODEVICE: an interface index; 0: any.
    pub device: u32,
    /// With port 0, only the address that bind() asked for is left: the socket is no longer bound.
    pub bound: Option<(Local, u16)>,
    /// Whether bind() asked for the port, too.
    pub port_asked: bool,
    /// The last port of a TCP socket, shown if it has no other.
    pub last_port: u16,
    /// shutdown() without a connection, for reading and for writing.
    pub shut: (bool, bool),
    pub opts: TcpOpts,
    pub kind: Kind,
    pub error: Option<Errno>,
    /// A connect() returned EINPROGRESS, and no later connect() has reported success yet.
    pub connecting: bool,
}

impl Sock {
    fn any(&self) -> Local {
        match (self.v6, self.v6only) {
            (false, _) => Local::Any4,
            (true, true) => Local::Any6,
            (true, false) => Local::Any,
        }
    }
}

impl Stack {
    /// Makes a new socket.
    pub fn socket(&mut self, proto: Proto, v6: bool) -> Result<(u32, Arc<Shared>)> {
        let kind = match proto {
            Proto::Tcp => Kind::Idle,
            Proto::Udp | Proto::Raw | Proto::Ping => Kind::Udp(alloc::boxed::Box::new(Udp::new())),
        };
        self.add_socket(proto, v6, kind, &TcpOpts::default())
    }

    fn add_socket(&mut self, proto: Proto, v6: bool, kind: Kind, opts: &TcpOpts) -> Result<(u32, Arc<Shared>)> {
        let shared = Arc::new(Shared::default());
        let id = self.sockets.insert(try_box(Sock {
            shared: shared.clone(),
            proto,
            v6,
            v6only: false,
            direct: false,
            device: 0,
            bound: None,
            port_asked: false,
            last_port: 0,
            shut: (false, false),
            opts: *opts,
            kind,
            error: None,
            connecting: false,
        })?)?;
        Ok((id, shared))
    }

    /// The socket with this number. EBADF.
    pub fn sock(&mut self, sid: u32) -> Result<&mut Sock> {
        self.sockets.get_mut(sid).map(|s| &mut **s).ok_or(Errno::EBADF)
    }

    /// `bind`; without an address, to any.
    pub fn bind(&mut self, sid: u32, addr: Option<IpAddress>, port: u16) -> Result<u16> {
        let s = self.sockets.get(sid).ok_or(Errno::EBADF)?;
        if s.bound.is_some_and(|(_, port)| port != 0) || !matches!(s.kind, Kind::Idle | Kind::Udp(_)) {
            return Err(Errno::EINVAL);
        }
        let local = match addr {
            None => s.any(),
            Some(a) if a.is_multicast() || a.is_broadcast() => {
                if s.proto == Proto::Tcp {
                    return Err(Errno::EADDRNOTAVAIL);
                }
                Local::One(a)
            }
            Some(a) if self.interfaces.is_local(&a) || self.interfaces.is_subnet_broadcast(&a) => Local::One(a),
            Some(_) => return Err(Errno::EADDRNOTAVAIL),
        };
        // net.ipv4.ip_unprivileged_port_start
        if (1..1024).contains(&port) && !capable(cap::NET_BIND_SERVICE) {
            return Err(Errno::EACCES);
        }
        let given = self.bind_local(sid, local, port)?;
        self.sock(sid)?.port_asked = port != 0;
        Ok(given)
    }

    fn bind_local(&mut self, sid: u32, local: Local, port: u16) -> Result<u16> {
        let s = self.sockets.get(sid).ok_or(Errno::EBADF)?;
        let b = Bound { sock: sid, local, reuse: s.opts.reuse, listening: false };
        let port = self.ports.bind(s.proto, port, b, &self.connections)?;
        self.sock(sid)?.bound = Some((local, port));
        Ok(port)
    }

    /// Binds to any free port unless already bound.
    pub fn autobind(&mut self, sid: u32) -> Result<u16> {
        let s = self.sockets.get(sid).ok_or(Errno::EBADF)?;
        match s.bound {
            Some((_, p)) if p != 0 => Ok(p),
            bound => {
                let local = bound.map_or(s.any(), |(local, _)| local);
                self.bind_local(sid, local, 0).map_err(|e| if e == Errno::EADDRINUSE { Errno::EAGAIN } else { e })
            }
        }
    }

    /// A socket no longer has a connection and does not listen: it can be shut down again, and a port that bind() did
    /// not ask for is given back, but not an address (Linux's tcp_disconnect() and __udp_disconnect()).
    pub fn disconnected(&mut self, sid: u32) {
        let Some(s) = self.sockets.get_mut(sid) else { return };
        s.shut = (false, false);
        if let Some((local, port)) = s.bound
            && port != 0
            && !s.port_asked
        {
            s.bound = matches!(local, Local::One(_)).then_some((local, 0));
            s.last_port = port;
            self.ports.release(s.proto, port, sid);
        }
    }

    pub fn listen(&mut self, sid: u32, backlog: i32) -> Result<()> {
        match &mut self.sock(sid)?.kind {
            Kind::Listen(l) => {
                l.backlog = limit(backlog);
                return Ok(());
            }
            Kind::Idle => {}
            Kind::Conn(_) => return Err(Errno::EINVAL),
            Kind::Udp(_) => return Err(Errno::EOPNOTSUPP),
        }
        let port = self.autobind(sid)?;
        self.ports.listen(port, sid)?;
        self.sock(sid)?.kind = Kind::Listen(Listener::new(backlog));
        Ok(())
    }

    /// Interface and source address for a socket that may require a certain interface or (`direct`: this once) no
    /// router.
    pub fn route_for(&self, sid: u32, to: &IpAddress, direct: bool) -> Result<(InterfaceId, IpAddress)> {
        let (ifc, source) = self.interfaces.route(to)?;
        let s = self.sockets.get(sid).ok_or(Errno::EBADF)?;
        let routed = ifc == InterfaceId::Eth
            && !(to.is_multicast() || to.is_broadcast())
            && self.interfaces.eth.as_ref().is_some_and(|e| !e.on_link(to));
        if !self.on_device(sid, ifc) || ((direct || s.direct) && routed) {
            return Err(Errno::ENETUNREACH);
        }
        Ok((ifc, source))
    }

    /// Whether a socket uses an interface. Not inlined: called for each candidate, in three places.
    #[inline(never)]
    pub fn on_device(&self, sid: u32, ifc: InterfaceId) -> bool {
        self.sockets.get(sid).is_some_and(|s| s.device == 0 || s.device == ifc.index())
    }

    /// Starts a connection.
    pub fn connect(&mut self, sid: u32, to: Name) -> Result<u32> {
        let addr = match to.0 {
            IpAddress::Ipv4(a) if a.is_unspecified() => IpAddress::v4(127, 0, 0, 1),
            IpAddress::Ipv6(a) if a.is_unspecified() => IpAddress::v6(0, 0, 0, 0, 0, 0, 0, 1),
            a => a,
        };
        let (ifc, source) = self.route_for(sid, &addr, false)?;
        if !addr.is_unicast() || to.1 == 0 || self.interfaces.is_subnet_broadcast(&addr) {
            return Err(if to.1 == 0 { Errno::ECONNREFUSED } else { Errno::ENETUNREACH });
        }
        let s = self.sockets.get(sid).ok_or(Errno::EBADF)?;
        let (bound, opts) = (s.bound, s.opts);
        let source = match bound {
            Some((Local::One(a), _)) => a,
            _ => source,
        };
        if source.version() != addr.version() {
            return Err(Errno::ENETUNREACH);
        }
        let tuple = |lport| Tuple { local: source, lport, remote: addr, rport: to.1 };
        let lport = match bound {
            Some((_, p)) if p != 0 => {
                if self.connections.taken(&tuple(p)) {
                    return Err(Errno::EADDRNOTAVAIL);
                }
                p
            }
            _ => self
                .ports
                .pick(|p| !self.ports.any(Proto::Tcp, p) && !self.connections.taken(&tuple(p)))
                .ok_or(Errno::EADDRNOTAVAIL)?,
        };
        self.open(sid, ifc, tuple(lport), opts)
    }

    fn open(&mut self, sid: u32, ifc: InterfaceId, t: Tuple, opts: TcpOpts) -> Result<u32> {
        let now = self.now;
        let hash = self.connections.hash(&t);
        self.connections.reserve(hash)?;
        self.memory.charge(COST)?;
        let tcp = Connection::connect(self.sequence.isn(&t, now), &self.config(&opts, ifc, &t.local), now);
        let mut c = Conn::new(tcp, (t, hash), ifc, Owner::Sock(sid), opts, now);
        c.set_deadline(now + patience(opts.syn_count));
        let s = self.sock(sid)?;
        c.shared = Some(s.shared.clone());
        (c.shut_read, c.shut_write) = s.shut;
        let id = self.add_conn(try_box(c))?;
        let s = self.sock(sid)?;
        s.kind = Kind::Conn(id);
        s.error = None;
        s.connecting = true;
        self.connections.touch(id);
        Ok(id)
    }

    /// Makes a socket for an accepted connection.
    pub fn adopt(&mut self, listener: u32, id: u32) -> Result<(u32, Arc<Shared>)> {
        let (v6, device, direct, bound) = self.sock(listener).map(|s| (s.v6, s.device, s.direct, s.bound))?;
        let c = self.connections.get(id).ok_or(Errno::ECONNABORTED)?;
        let opts = TcpOpts { fastopen: 0, ..c.opts };
        let (sid, shared) = self.add_socket(Proto::Tcp, v6, Kind::Conn(id), &opts)?;
        if let Some(c) = self.connections.get_mut(id) {
            c.owner = Owner::Sock(sid);
            c.shared = Some(shared.clone());
        }
        let s = self.sock(sid)?;
        (s.device, s.direct) = (device, direct);
        s.bound = bound.filter(|(local, _)| matches!(local, Local::One(_))).map(|(local, _)| (local, 0));
        Ok((sid, shared))
    }

    /// The last close.
    pub fn close(&mut self, sid: u32) {
        let Some(s) = self.sockets.remove(sid).map(|s| *s) else { return };
        if let Some((_, port)) = s.bound {
            self.ports.release(s.proto, port, sid);
        }
        match s.kind {
            Kind::Idle => {}
            Kind::Listen(_) => self.close_listener(sid),
            Kind::Conn(id) => self.close_conn(id, s.opts.linger),
            Kind::Udp(u) => {
                self.memory.release(u.charged);
                self.leave_all(sid);
                if let Some(raw) = u.raw {
                    (raw.closed)(self, raw);
                }
            }
        }
    }

    /// Local address and port.
    pub fn local_name(&self, sid: u32) -> Result<Name> {
        let s = self.sockets.get(sid).ok_or(Errno::EBADF)?;
        let zero = if s.v6 { IpAddress::v6(0, 0, 0, 0, 0, 0, 0, 0) } else { IpAddress::v4(0, 0, 0, 0) };
        if let Kind::Conn(id) = s.kind
            && let Some(c) = self.connections.get(id)
        {
            return Ok((c.tuple.local, c.tuple.lport));
        }
        if let Kind::Udp(u) = &s.kind
            && let (Some(from), Some((_, p))) = (u.source, s.bound)
        {
            return Ok((from, p));
        }
        let last = if s.proto == Proto::Tcp { s.last_port } else { 0 };
        Ok(match s.bound {
            Some((Local::One(a), 0)) => (a, last),
            Some((Local::One(a), p)) => (a, p),
            Some((_, p)) => (zero, p),
            None => (zero, last),
        })
    }

    /// The peer's address and port. ENOTCONN.
    pub fn peer_name(&self, sid: u32) -> Result<Name> {
        let s = self.sockets.get(sid).ok_or(Errno::EBADF)?;
        match &s.kind {
            Kind::Conn(id) => {
                let c = self.connections.get(*id).ok_or(Errno::ENOTCONN)?;
                match c.tcp().state() {
                    State::SynSent | State::Closed | State::TimeWait => Err(Errno::ENOTCONN),
                    _ => Ok((c.tuple.remote, c.tuple.rport)),
                }
            }
            Kind::Udp(u) => u.peer.ok_or(Errno::ENOTCONN),
            _ => Err(Errno::ENOTCONN),
        }
    }
}
