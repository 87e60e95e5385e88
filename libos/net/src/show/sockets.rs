//! Sockets.

use super::{Open, end_line, words};
use crate::net::Net;
use crate::packet::Taps;
use crate::socket::Socket;
use crate::stack::Shared;
use crate::stack::conn::Owner;
use crate::stack::ports::Proto;
use crate::stack::sock::{Kind, Name};
use crate::unix::UnixSocket;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::fmt::Write;
use libos_base::abi::{af, sock};
use libos_tcp::State;
use smoltcp::wire::IpAddress;

const LISTENS: u8 = 10;
const CLOSED: u8 = 7;

/// The numbers of include/net/tcp_states.h.
fn number(s: State) -> u8 {
    match s {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => CLOSED,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Closing => 11,
    }
}

/// The open socket with this state, whose inode and owner are shown: a connection that was closed has neither.
fn owner(open: &Open, shared: Option<&Arc<Shared>>) -> (u64, u32) {
    let same =
        |s: &&Arc<Socket>| shared.is_some_and(|shared| core::ptr::eq(s.ops().pollee(), &raw const shared.pollee));
    open.iter().find(same).map_or((0, 0), |s| s.shown())
}

/// One line: the columns that all have.
struct Line {
    local: Name,
    remote: Name,
    state: u8,
    queues: (usize, usize),
    probes: u32,
    owner: (u64, u32),
}

impl Line {
    fn put(&self, out: &mut String, n: usize, width: usize, v6: bool) {
        let _ = write!(out, "{n:width$}: ");
        for (a, port) in [self.local, self.remote] {
            words(out, &a, v6);
            let _ = write!(out, ":{port:04X} ");
        }
        let (send, receive) = self.queues;
        let (ino, uid) = self.owner;
        let probes = self.probes;
        let _ =
            write!(out, "{:02X} {send:08X}:{receive:08X} 00:00000000 {probes:08X} {uid:5} {:8} {ino}", self.state, 0);
    }
}

fn none(v6: bool) -> Name {
    (if v6 { IpAddress::v6(0, 0, 0, 0, 0, 0, 0, 0) } else { IpAddress::v4(0, 0, 0, 0) }, 0)
}

/// `tcp` and `tcp6`: what listens first, as on Linux. TIME-WAIT is not shown: only its tuples are left.
pub fn tcp(net: &Net, open: &Open, v6: bool) -> String {
    let mut out = String::from(if v6 {
        "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    } else {
        ""
    });
    if !v6 {
        out.push_str(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
        );
        end_line(&mut out, 0, 149);
    }
    let mut n = 0;
    let mut line = |l: &Line, rest: &str| {
        let from = out.len();
        l.put(&mut out, n, 4, v6);
        out.push_str(rest);
        end_line(&mut out, from, if v6 { 0 } else { 149 });
        n += 1;
    };
    net.ask(|st| {
        for sid in 0..st.sockets.end() {
            let Some(s) = st.sockets.get(sid).filter(|s| s.v6 == v6) else { continue };
            let Kind::Listen(l) = &s.kind else { continue };
            let local = st.local_name(sid).unwrap_or(none(v6));
            let (queues, owner) = ((0, l.queue.len()), owner(open, Some(&s.shared)));
            line(
                &Line { local, remote: none(v6), state: LISTENS, queues, probes: 0, owner },
                " 1 0000000000000000 100 0 0 10 0",
            );
        }
        for c in st.connections.all() {
            let six = match c.owner {
                Owner::Sock(sid) => st.sockets.get(sid).is_some_and(|s| s.v6),
                _ => matches!(c.tuple.local, IpAddress::Ipv6(_)),
            };
            if six != v6 {
                continue;
            }
            let (t, tcp) = (c.tuple, c.tcp());
            let (local, remote) = ((t.local, t.lport), (t.remote, t.rport));
            // The peer's FIN is something to be read, too.
            let ended = matches!(tcp.state(), State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
            let queues = (tcp.send_queue(), tcp.recv_queue() + usize::from(ended));
            // One that nobody has accepted yet is nobody's.
            let owned = matches!(c.owner, Owner::Sock(_));
            let owner = owner(open, c.shared.as_ref().filter(|_| owned));
            let l = Line { local, remote, state: number(tcp.state()), queues, probes: tcp.probes(), owner };
            let window = tcp.congestion_window();
            let mss = tcp.mss().max(1) as u32;
            // Jiffies, of which there are a hundred in a second.
            let rto = tcp.retransmission_timeout() / 10_000_000;
            let threshold = if window.threshold == u32::MAX { -1 } else { i64::from(window.threshold / mss) };
            line(&l, &alloc::format!(" 1 0000000000000000 {rto} 4 0 {} {threshold}", window.size / mss));
        }
    });
    out
}

const DATAGRAMS: &str =
    "local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";
const DATAGRAMS6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";

/// Datagram sockets of a kind.
fn datagrams(net: &Net, open: &Open, v6: bool, kind: Proto, head: usize, (width, line): (usize, usize)) -> String {
    let mut out = String::new();
    if v6 {
        out.push_str(DATAGRAMS6);
    } else {
        let _ = write!(out, "{:>head$}  {DATAGRAMS}", "sl");
        end_line(&mut out, 0, line);
    }
    net.ask(|st| {
        for sid in 0..st.sockets.end() {
            let Some(s) = st.sockets.get(sid).filter(|s| s.v6 == v6 && s.proto == kind) else { continue };
            let Kind::Udp(u) = &s.kind else { continue };
            // Only sockets that have a port can be found by others.
            let Some((_, port)) = s.bound.filter(|b| b.1 != 0) else { continue };
            let local = st.local_name(sid).unwrap_or(none(v6));
            let l = Line {
                local,
                remote: u.peer.unwrap_or(none(v6)),
                state: if u.peer.is_some() { 1 } else { CLOSED },
                queues: (u.unsent(), u.queued),
                probes: 0,
                owner: owner(open, Some(&s.shared)),
            };
            let from = out.len();
            l.put(&mut out, port.into(), width, v6);
            let _ = write!(out, " 2 0000000000000000 {}", u.dropped);
            end_line(&mut out, from, if v6 { 0 } else { line });
        }
    });
    out
}

/// `udp` and `udp6`.
pub fn udp(net: &Net, open: &Open, v6: bool) -> String {
    datagrams(net, open, v6, Proto::Udp, 5, (5, 127))
}

/// `raw` and `raw6`, and those of ping sockets.
pub fn raw(net: &Net, open: &Open, v6: bool, ping: bool) -> String {
    if ping {
        return datagrams(net, open, v6, Proto::Ping, 4, (5, 127));
    }
    datagrams(net, open, v6, Proto::Raw, 4, (if v6 { 5 } else { 4 }, 0))
}

fn count(net: &Net, v6: bool, kind: Proto) -> usize {
    net.ask(|st| {
        let all = (0..st.sockets.end()).filter_map(|sid| st.sockets.get(sid));
        all.filter(|s| s.v6 == v6 && s.proto == kind && (kind == Proto::Raw || s.bound.is_some_and(|b| b.1 != 0)))
            .count()
    })
}

/// How many sockets there are, and how many pages they hold.
pub fn sockstat(net: &Net, open: &Open) -> String {
    let (mut used, mut orphans) = (0, 0);
    let (waiting, pages) = net.ask(|st| {
        for c in st.connections.all() {
            let four = matches!(c.tuple.local, IpAddress::Ipv4(_));
            used += usize::from(four);
            orphans += usize::from(four && c.shared.is_none());
        }
        (st.connections.waiting(), st.memory.used() / 4096)
    });
    let listening = tcp_listeners(net, false);
    let (udp, raw) = (count(net, false, Proto::Udp), count(net, false, Proto::Raw));
    let all = open.len();
    alloc::format!(
        "sockets: used {all}\nTCP: inuse {} orphan {orphans} tw {waiting} alloc {} mem {pages}\nUDP: inuse {udp} mem 0\nUDPLITE: inuse 0\nRAW: inuse {raw}\nFRAG: inuse 0 memory 0\n",
        used + listening,
        used + listening,
    )
}

fn tcp_listeners(net: &Net, v6: bool) -> usize {
    net.ask(|st| {
        let all = (0..st.sockets.end()).filter_map(|sid| st.sockets.get(sid));
        all.filter(|s| s.v6 == v6 && matches!(s.kind, Kind::Listen(_))).count()
    })
}

/// The same of IPv6.
pub fn sockstat6(net: &Net, _: &Open) -> String {
    let connections =
        net.ask(|st| st.connections.all().filter(|c| matches!(c.tuple.local, IpAddress::Ipv6(_))).count());
    let (udp, raw) = (count(net, true, Proto::Udp), count(net, true, Proto::Raw));
    let tcp = connections + tcp_listeners(net, true);
    alloc::format!(
        "TCP6: inuse {tcp}\nUDP6: inuse {udp}\nUDPLITE6: inuse 0\nRAW6: inuse {raw}\nFRAG6: inuse 0 memory 0\n"
    )
}

/// AF_UNIX sockets that are open: those that nobody has accepted yet are not among them.
pub fn unix(_: &Net, open: &Open) -> String {
    let mut out = String::from("Num       RefCount Protocol Flags    Type St Inode Path\n");
    for s in open {
        let (domain, kind, _) = s.ops().identity();
        if domain != af::UNIX {
            continue;
        }
        let Some(u) = (s.ops() as &dyn Any).downcast_ref::<UnixSocket>() else { continue };
        let (listens, connected, name) = u.shown();
        let flags = if listens { 0x10000 } else { 0 };
        let state = if connected { 3 } else { 1 };
        let _ = write!(
            out,
            "0000000000000000: {:08X} {:08X} {flags:08X} {kind:04X} {state:02X} {:5}",
            2 + u32::from(connected),
            0,
            s.shown().0
        );
        if let Some(name) = name {
            out.push(' ');
            // An abstract name begins with a NUL, and each is shown as @.
            name.iter().for_each(|&b| out.push(if b == 0 { '@' } else { b.into() }));
        }
        out.push('\n');
    }
    out
}

/// Packet sockets.
pub fn packet(net: &Net, open: &Open) -> String {
    let mut out = String::from("sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n");
    let Some(taps) = net.ask(Taps::of) else { return out };
    for s in open.iter().filter(|s| s.ops().identity().0 == af::PACKET) {
        let Some((protocol, index, queued)) = taps.shown(s.ops().pollee()) else { continue };
        let kind = if s.ops().identity().1 == sock::RAW { 3 } else { 2 };
        let (ino, uid) = s.shown();
        let runs = u8::from(protocol != 0);
        let _ = writeln!(
            out,
            "0000000000000000 {:<6} {kind:<4} {protocol:04x}   {index:<5} {runs:1} {queued:<6} {uid:<6} {ino:<6}",
            3
        );
    }
    out
}
