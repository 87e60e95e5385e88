//! NETLINK_ROUTE sockets: dumps of links, addresses and routes, and notifications of their changes (netlink(7)).

use crate::addr::{Addr, family};
use crate::net::Net;
use crate::options::int;
use crate::rtnetlink::{RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, Record, records};
use crate::socket::{Incoming, Msg, Ops, Outgoing, Socket, Wait};
use crate::sockopts::{BUF_DEFAULT, words};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use libos_base::abi::{IoctlArgument, Ucred, af, so, sock, sol};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee};
use libos_base::sync::{Mutex, Provider, class};
use libos_base::{Errno, Result};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_MULTI: u16 = 2;
const NLM_F_DUMP: u16 = 0x300;
const HEADER: usize = 16;

/// SOL_NETLINK.
const LEVEL: i32 = 270;
const ADD_MEMBERSHIP: i32 = 1;
const DROP_MEMBERSHIP: i32 = 2;
const NO_ENOBUFS: i32 = 5;
const LIST_MEMBERSHIPS: i32 = 9;
/// Behaviour that cannot be changed: one namespace, short error messages, no further explanation of errors.
const LISTEN_ALL_NSID: i32 = 8;
const CAP_ACK: i32 = 10;
const EXT_ACK: i32 = 11;
/// RTNLGRP_MAX.
const GROUPS: i32 = 39;

#[derive(Default)]
struct State {
    groups: u64,
    /// Messages, each with the group it was sent to.
    inbox: VecDeque<(u8, Vec<u8>)>,
    bytes: usize,
    limit: usize,
    /// A notification was lost: ENOBUFS, once.
    lost: bool,
    pass_creds: bool,
    /// Flags by option number.
    flags: u32,
}

/// A socket as seen by the notifier.
pub struct Member {
    /// 0: not bound.
    pub portid: AtomicU32,
    state: Mutex<State>,
    pollee: Pollee,
}

impl Member {
    /// Notifies the socket that a record exists now or, depending on `kind`, no longer does.
    pub fn tell(&self, kind: u16, r: &Record) {
        let mut s = self.state.lock();
        if s.groups >> (r.group - 1) & 1 == 0 {
            return;
        }
        let mut a = Answer { out: Vec::new(), seq: 0, portid: 0 };
        a.message(kind, 0, &r.body);
        if s.push(r.group, a.out).is_err() && s.flags >> NO_ENOBUFS & 1 == 0 {
            s.lost = true;
        }
        drop(s);
        self.pollee.notify(Events::IN | Events::RDNORM | Events::ERR);
    }
}

impl State {
    fn push(&mut self, group: u8, message: Vec<u8>) -> Result<()> {
        if self.bytes + message.len() > self.limit || self.inbox.try_reserve(1).is_err() {
            return Err(Errno::ENOBUFS);
        }
        self.bytes += message.len();
        self.inbox.push_back((group, message));
        Ok(())
    }
}

/// A NETLINK_ROUTE socket.
pub struct NetlinkSocket {
    net: Arc<Net>,
    kind: u32,
    /// The process ID: the first socket's port ID.
    pid: u32,
    member: Arc<Member>,
}

impl NetlinkSocket {
    /// `socket(AF_NETLINK, SOCK_RAW or SOCK_DGRAM, NETLINK_ROUTE)`.
    pub fn open(net: &Arc<Net>, kind: u32, pid: u32) -> Result<Box<dyn Ops>> {
        debug_assert!(kind <= sock::RAW);
        let state = Mutex::new(class::NETLINK, State { limit: BUF_DEFAULT as usize, ..State::default() });
        let member = Arc::new(Member { portid: AtomicU32::new(0), state, pollee: Pollee::new() });
        net.monitor.add(net, &member)?;
        Ok(Box::new(Self { net: net.clone(), kind, pid, member }))
    }

    fn of(file: &dyn FileLike) -> Result<&Self> {
        let ops = file.downcast::<Socket>().map(Socket::ops);
        ops.and_then(|ops| (ops as &dyn Any).downcast_ref()).ok_or(Errno::EINVAL)
    }

    /// Binds to a port ID (0: any) unless bound. EINVAL if it is bound to another one.
    fn take_portid(&self, want: u32) -> Result<u32> {
        let portid = &self.member.portid;
        match portid.load(Relaxed) {
            0 => self.net.monitor.claim(&self.member, want, self.pid)?,
            p if p != want => return Err(Errno::EINVAL),
            _ => {}
        }
        Ok(portid.load(Relaxed))
    }

    fn autobind(&self) -> Result<u32> {
        self.take_portid(self.member.portid.load(Relaxed))
    }
}

/// For message queues, which notify a thread through a netlink socket (mq_notify(3)). Filled where both are linked.
pub struct Cookies {
    /// EINVAL unless the file is a netlink socket.
    pub takes: fn(&dyn FileLike) -> Result<()>,
    /// Gives it a message.
    pub deliver: fn(&dyn FileLike, &[u8]),
}
pub static COOKIES: Provider<Cookies> = Provider::new();

impl Cookies {
    /// What this module has for them.
    pub const NETLINK: Self = Self { takes: |file| NetlinkSocket::of(file).map(|_| ()), deliver };
}

fn deliver(file: &dyn FileLike, message: &[u8]) {
    let Ok(socket) = NetlinkSocket::of(file) else { return };
    // Without room it is lost, as any message to such a socket.
    let _ = socket.member.state.lock().push(0, message.to_vec());
    socket.member.pollee.notify(Events::IN | Events::RDNORM);
}

/// The messages of one answer.
struct Answer {
    out: Vec<u8>,
    seq: u32,
    portid: u32,
}

impl Answer {
    fn message(&mut self, kind: u16, flags: u16, body: &[u8]) {
        self.out.extend_from_slice(&((HEADER + body.len()) as u32).to_le_bytes());
        self.out.extend_from_slice(&kind.to_le_bytes());
        self.out.extend_from_slice(&flags.to_le_bytes());
        self.out.extend_from_slice(&self.seq.to_le_bytes());
        self.out.extend_from_slice(&self.portid.to_le_bytes());
        self.out.extend_from_slice(body);
    }
}

/// struct sockaddr_nl.
fn name(portid: u32, groups: u32) -> Addr {
    let mut b = [0; 12];
    b[0] = af::NETLINK as u8;
    b[4..8].copy_from_slice(&portid.to_le_bytes());
    b[8..].copy_from_slice(&groups.to_le_bytes());
    Addr::from_bytes(&b).unwrap_or(Addr::none())
}

impl Ops for NetlinkSocket {
    fn identity(&self) -> (u16, u32, u32) {
        (af::NETLINK, self.kind, 0)
    }
    fn bind(&self, a: &[u8]) -> Result<()> {
        let word = |at: usize| a.get(at..at + 4).map(int).ok_or(Errno::EINVAL)?;
        let (portid, groups) = (word(4)? as u32, word(8)? as u32);
        if family(a)? != af::NETLINK {
            return Err(Errno::EINVAL);
        }
        self.take_portid(portid)?;
        let mut s = self.member.state.lock();
        s.groups = s.groups >> 32 << 32 | u64::from(groups);
        Ok(())
    }
    fn connect(&self, a: &[u8], _: Wait) -> Result<()> {
        // The other side is always the kernel.
        match family(a)? {
            0 => Ok(()),
            af::NETLINK if a.len() >= 12 && a[4..8] == [0; 4] => self.autobind().map(|_| ()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn send(&self, src: &mut Source<'_>, _: &Outgoing<'_>, _: Wait) -> Result<usize> {
        let mut b = [0; 1024];
        let n = src.left();
        src.take_whole(b.get_mut(..n).ok_or(Errno::EMSGSIZE)?)?;
        let b = &b[..n];
        let half = |o: usize| u16::from_le_bytes([b[o], b[o + 1]]);
        let portid = self.autobind()?;
        if n < HEADER + 1 {
            // Too short to be answered.
            return Ok(n);
        }
        let (kind, flags, want) = (half(4), half(6), u16::from(b[HEADER]));
        let mut a = Answer { out: Vec::new(), seq: u32::from_le_bytes([b[8], b[9], b[10], b[11]]), portid };
        // RTM_GET* is two after RTM_NEW*.
        match kind.wrapping_sub(2) {
            kind @ (RTM_NEWLINK | RTM_NEWADDR | RTM_NEWROUTE) if flags & NLM_F_DUMP == NLM_F_DUMP => {
                for r in records(&self.net).iter().filter(|r| r.kind == kind) {
                    if want == 0 || r.family == 0 || r.family == want {
                        a.message(kind, NLM_F_MULTI, &r.body);
                    }
                }
                a.message(NLMSG_DONE, NLM_F_MULTI, &[0; 4]);
            }
            _ => {
                let mut body = (-(Errno::EOPNOTSUPP as i32)).to_le_bytes().to_vec();
                body.extend_from_slice(&b[..HEADER]);
                a.message(NLMSG_ERROR, 0, &body);
            }
        }
        self.member.state.lock().push(0, a.out)?;
        self.member.pollee.notify(Events::IN | Events::RDNORM);
        Ok(n)
    }

    fn recv(&self, dst: &mut Sink<'_>, msg: &mut Incoming, wait: Wait) -> Result<usize> {
        wait.block(&self.member.pollee, || {
            let mut s = self.member.state.lock();
            if core::mem::take(&mut s.lost) {
                return Some(Err(Errno::ENOBUFS));
            }
            let (group, front) = s.inbox.front()?;
            let n = front.len().min(dst.left());
            if let Err(e) = dst.put_whole(&front[..n]) {
                return Some(Err(e));
            }
            let full = front.len();
            msg.full_len = Some(full);
            if full > n {
                msg.out_flags |= Msg::TRUNC;
            }
            msg.from = name(0, if *group == 0 { 0 } else { 1 << (group - 1) });
            if s.pass_creds {
                msg.creds = Some(Ucred::default());
            }
            if !msg.flags.contains(Msg::PEEK) {
                s.bytes -= full;
                s.inbox.pop_front();
            }
            Some(Ok(if msg.flags.contains(Msg::TRUNC) { full } else { n }))
        })
    }

    fn shutdown(&self, _: bool, _: bool) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    fn local(&self) -> Result<Addr> {
        let s = self.member.state.lock();
        Ok(name(self.member.portid.load(Relaxed), s.groups as u32))
    }
    fn peer(&self) -> Result<Addr> {
        Ok(name(0, 0))
    }

    fn set(&self, level: i32, option: i32, value: &[u8]) -> Option<Result<()>> {
        // A value shorter than an int reads as 0.
        let v = int(value).unwrap_or(0);
        let mut s = self.member.state.lock();
        match (level, option) {
            (sol::SOCKET, so::PASSCRED) => s.pass_creds = v != 0,
            (sol::SOCKET, so::RCVBUF) => s.limit = v as usize,
            (LEVEL, ADD_MEMBERSHIP | DROP_MEMBERSHIP) if !(1..=GROUPS).contains(&v) => return Some(Err(Errno::EINVAL)),
            (LEVEL, ADD_MEMBERSHIP) => s.groups |= 1 << (v - 1),
            (LEVEL, DROP_MEMBERSHIP) => s.groups &= !(1 << (v - 1)),
            (LEVEL, NO_ENOBUFS | LISTEN_ALL_NSID | CAP_ACK | EXT_ACK) => {
                s.flags = s.flags & !(1 << option) | u32::from(v != 0) << option;
            }
            _ => return None,
        }
        Some(Ok(()))
    }
    fn get(&self, level: i32, option: i32) -> Option<Result<Vec<u8>>> {
        let mut s = self.member.state.lock();
        let v = match (level, option) {
            (LEVEL, LIST_MEMBERSHIPS) => return Some(Ok(words(&[s.groups as u32, (s.groups >> 32) as u32]))),
            (LEVEL, NO_ENOBUFS | LISTEN_ALL_NSID | CAP_ACK | EXT_ACK) => s.flags >> option & 1,
            (sol::SOCKET, so::ERROR) if core::mem::take(&mut s.lost) => Errno::ENOBUFS as u32,
            _ => return None,
        };
        Some(Ok(words(&[v])))
    }
    fn ioctl(&self, cmd: u32, arg: IoctlArgument) -> Result<usize> {
        // Programs ask any socket about interfaces.
        crate::ifreq::ioctl(&self.net, cmd, arg)
    }
    fn events(&self) -> Events {
        let s = self.member.state.lock();
        let mut e = Events::OUT | Events::WRNORM;
        if !s.inbox.is_empty() {
            e |= Events::IN | Events::RDNORM;
        }
        if s.lost {
            e |= Events::ERR;
        }
        e
    }
    fn pollee(&self) -> &Pollee {
        &self.member.pollee
    }
}
