//! Enough of NETLINK_ROUTE for getifaddrs() and if_nameindex(): dumps of links and addresses (rtnetlink(7)).

use crate::addr::{AF_INET, AF_INET6, AF_NETLINK, Addr, family};
use crate::ifreq::{IfInfo, interfaces};
use crate::net::Net;
use crate::socket::{Incoming, Msg, Ops, Outgoing, SOCK_RAW, Wait};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee};
use libos_base::sync::Mutex;
use libos_base::{Errno, Result};
use smoltcp::wire::IpCidr;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLM_F_MULTI: u16 = 2;
const NLM_F_DUMP: u16 = 0x300;
const HEADER: usize = 16;

const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;

/// A NETLINK_ROUTE socket.
pub struct NetlinkSocket {
    net: Arc<Net>,
    kind: u32,
    inbox: Mutex<VecDeque<Vec<u8>>>,
    pollee: Pollee,
}

impl NetlinkSocket {
    /// `socket(AF_NETLINK, SOCK_RAW or SOCK_DGRAM, NETLINK_ROUTE)`.
    pub fn open(net: &Arc<Net>, kind: u32) -> Box<dyn Ops> {
        debug_assert!(kind <= SOCK_RAW);
        Box::new(Self { net: net.clone(), kind, inbox: Mutex::new(VecDeque::new()), pollee: Pollee::new() })
    }
}

/// Messages of one answer.
struct Answer {
    out: Vec<u8>,
    seq: u32,
}

impl Answer {
    fn begin(&mut self, kind: u16, flags: u16) -> usize {
        let at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(&kind.to_le_bytes());
        self.out.extend_from_slice(&flags.to_le_bytes());
        self.out.extend_from_slice(&self.seq.to_le_bytes());
        self.out.extend_from_slice(&PORT.to_le_bytes());
        at
    }
    fn end(&mut self, at: usize) {
        let n = (self.out.len() - at) as u32;
        self.out[at..at + 4].copy_from_slice(&n.to_le_bytes());
    }
    fn attr(&mut self, kind: u16, data: &[u8]) {
        self.out.extend_from_slice(&(4 + data.len() as u16).to_le_bytes());
        self.out.extend_from_slice(&kind.to_le_bytes());
        self.out.extend_from_slice(data);
        self.out.resize(self.out.len().next_multiple_of(4), 0);
    }
    fn name(&mut self, kind: u16, name: &str) {
        let mut b = [0; 17];
        b[..name.len()].copy_from_slice(name.as_bytes());
        self.attr(kind, &b[..name.len() + 1]);
    }

    fn link(&mut self, i: &IfInfo) {
        let at = self.begin(RTM_NEWLINK, NLM_F_MULTI);
        let kind: u16 = if i.index == 1 { 772 } else { 1 };
        // struct ifinfomsg
        self.out.extend_from_slice(&[0, 0]);
        self.out.extend_from_slice(&kind.to_le_bytes());
        self.out.extend_from_slice(&i.index.to_le_bytes());
        self.out.extend_from_slice(&i.flags.to_le_bytes());
        self.out.extend_from_slice(&u32::MAX.to_le_bytes());
        self.name(IFLA_IFNAME, i.name);
        self.attr(IFLA_MTU, &i.mtu.to_le_bytes());
        self.attr(IFLA_ADDRESS, &i.mac);
        self.attr(IFLA_BROADCAST, &[if i.index == 1 { 0 } else { 0xff }; 6]);
        self.end(at);
    }

    fn addr(&mut self, i: &IfInfo, c: &IpCidr) {
        let at = self.begin(RTM_NEWADDR, NLM_F_MULTI);
        let (f, scope) = match c {
            IpCidr::Ipv4(c) => (AF_INET, if c.address().is_loopback() { 254 } else { 0 }),
            IpCidr::Ipv6(c) if c.address().is_loopback() => (AF_INET6, 254),
            IpCidr::Ipv6(c) if c.address().segments()[0] & 0xffc0 == 0xfe80 => (AF_INET6, 253),
            IpCidr::Ipv6(_) => (AF_INET6, 0),
        };
        // struct ifaddrmsg; IFA_F_PERMANENT
        self.out.extend_from_slice(&[f as u8, c.prefix_len(), 0x80, scope]);
        self.out.extend_from_slice(&i.index.to_le_bytes());
        match c {
            IpCidr::Ipv4(c) => {
                self.attr(IFA_ADDRESS, &c.address().octets());
                self.attr(IFA_LOCAL, &c.address().octets());
                if let Some(b) = c.broadcast().filter(|_| i.index != 1) {
                    self.attr(IFA_BROADCAST, &b.octets());
                }
                self.name(IFA_LABEL, i.name);
            }
            IpCidr::Ipv6(c) => self.attr(IFA_ADDRESS, &c.address().octets()),
        }
        self.end(at);
    }
}

/// The port id that requests and answers carry: there is one process.
const PORT: u32 = 1;

impl Ops for NetlinkSocket {
    fn identity(&self) -> (u16, u32, u32) {
        (AF_NETLINK, self.kind, 0)
    }
    fn bind(&self, a: &[u8]) -> Result<()> {
        let groups = a.get(8..12).ok_or(Errno::EINVAL)?;
        // Notifications are not sent, so nobody may wait for them.
        if family(a)? != AF_NETLINK || groups != [0; 4] { Err(Errno::EINVAL) } else { Ok(()) }
    }
    fn connect(&self, a: &[u8], _: Wait) -> Result<()> {
        self.bind(a)
    }

    fn send(&self, src: &mut Source<'_>, _: &Outgoing<'_>, _: Wait) -> Result<usize> {
        let mut b = [0; 1024];
        let n = src.left();
        src.take(b.get_mut(..n).ok_or(Errno::EMSGSIZE)?)?;
        let b = &b[..n];
        let half = |o: usize| u16::from_le_bytes([b[o], b[o + 1]]);
        if n < HEADER + 1 {
            return Err(Errno::EINVAL);
        }
        let (kind, flags, want) = (half(4), half(6), u16::from(b[HEADER]));
        let mut a = Answer { out: Vec::new(), seq: u32::from_le_bytes([b[8], b[9], b[10], b[11]]) };
        match kind {
            RTM_GETLINK | RTM_GETADDR if flags & NLM_F_DUMP == NLM_F_DUMP => {
                for i in interfaces(&self.net) {
                    if kind == RTM_GETLINK {
                        a.link(&i);
                    } else {
                        let wanted = |c: &&IpCidr| match c {
                            IpCidr::Ipv4(_) => want == 0 || want == AF_INET,
                            IpCidr::Ipv6(_) => want == 0 || want == AF_INET6,
                        };
                        i.addrs.iter().filter(wanted).for_each(|c| a.addr(&i, c));
                    }
                }
                let at = a.begin(NLMSG_DONE, NLM_F_MULTI);
                a.out.extend_from_slice(&[0; 4]);
                a.end(at);
            }
            _ => {
                let at = a.begin(NLMSG_ERROR, 0);
                a.out.extend_from_slice(&(-(Errno::EOPNOTSUPP as i32)).to_le_bytes());
                a.out.extend_from_slice(&b[..HEADER]);
                a.end(at);
            }
        }
        let mut inbox = self.inbox.lock();
        inbox.try_reserve(1)?;
        if inbox.len() >= 16 {
            return Err(Errno::ENOBUFS);
        }
        inbox.push_back(a.out);
        drop(inbox);
        self.pollee.notify(Events::IN | Events::RDNORM);
        Ok(n)
    }

    fn recv(&self, dst: &mut Sink<'_>, msg: &mut Incoming, wait: Wait) -> Result<usize> {
        wait.block(&self.pollee, || {
            let mut inbox = self.inbox.lock();
            let front = inbox.front()?;
            let n = match dst.put(front) {
                Ok(n) => n,
                Err(e) => return Some(Err(e)),
            };
            let full = front.len();
            msg.full_len = Some(full);
            if full > n {
                msg.out_flags |= Msg::TRUNC;
            }
            if !msg.flags.contains(Msg::PEEK) {
                inbox.pop_front();
            }
            msg.from = kernel();
            Some(Ok(if msg.flags.contains(Msg::TRUNC) { full } else { n }))
        })
    }

    fn shutdown(&self, _: bool, _: bool) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    fn local(&self) -> Result<Addr> {
        let mut b = [0; 12];
        b[0] = AF_NETLINK as u8;
        b[4..8].copy_from_slice(&PORT.to_le_bytes());
        Addr::from_bytes(&b)
    }
    fn peer(&self) -> Result<Addr> {
        Ok(kernel())
    }
    fn set(&self, _: i32, _: i32, _: &[u8]) -> Option<Result<()>> {
        None
    }
    fn get(&self, _: i32, _: i32) -> Option<Result<Vec<u8>>> {
        None
    }
    fn events(&self) -> Events {
        let readable = !self.inbox.lock().is_empty();
        Events::OUT | Events::WRNORM | if readable { Events::IN | Events::RDNORM } else { Events::empty() }
    }
    fn pollee(&self) -> &Pollee {
        &self.pollee
    }
}

/// The address of the other side: port 0.
fn kernel() -> Addr {
    let mut b = [0; 12];
    b[0] = AF_NETLINK as u8;
    Addr::from_bytes(&b).unwrap_or(Addr::none())
}
