//! Socket options of TCP and UDP: SOL_SOCKET as far as the stack acts on it, TCP, UDP. An option is honoured or
//! refused; none is accepted and ignored.

use crate::ipopts;
use crate::socket::SOL_SOCKET;
use crate::sockopts::{
    SO_ACCEPTCONN, SO_BINDTODEVICE, SO_BINDTOIFINDEX, SO_BROADCAST, SO_DONTROUTE, SO_ERROR, SO_KEEPALIVE, SO_LINGER,
    SO_RCVBUF, SO_RCVLOWAT, SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF, SO_TIMESTAMP, words,
};
use crate::stack::Stack;
use crate::stack::listen::SOMAXCONN;
use crate::stack::ports::Proto;
use crate::stack::sock::Kind;
use crate::tcp::conn_of;
use alloc::vec::Vec;
use libos_base::cred::{cap, capable};
use libos_base::poll::Events;
use libos_base::{Errno, Result};
use smoltcp::socket::tcp::State;

/// Levels.
pub const IPPROTO_IP: i32 = 0;
pub const IPPROTO_TCP: i32 = 6;
pub const IPPROTO_IPV6: i32 = 41;
pub const IPPROTO_UDP: i32 = 17;

pub use crate::ipopts::IP_TOS;

const TCP_NODELAY: i32 = 1;
const TCP_MAXSEG: i32 = 2;
const TCP_CORK: i32 = 3;
const TCP_KEEPIDLE: i32 = 4;
const TCP_KEEPINTVL: i32 = 5;
const TCP_KEEPCNT: i32 = 6;
const TCP_SYNCNT: i32 = 7;
const TCP_DEFER_ACCEPT: i32 = 9;
const TCP_INFO: i32 = 11;
const TCP_QUICKACK: i32 = 12;
const TCP_CONGESTION: i32 = 13;
const TCP_USER_TIMEOUT: i32 = 18;
const TCP_FASTOPEN: i32 = 23;
const TCP_FASTOPEN_CONNECT: i32 = 30;

const UDP_CORK: i32 = 1;

const IPV6_V6ONLY: i32 = 26;

/// The int at the start of an option value. EINVAL when it is shorter.
pub fn int(v: &[u8]) -> Result<i32> {
    Ok(i32::from_le_bytes(*v.first_chunk::<4>().ok_or(Errno::EINVAL)?))
}

fn out(v: i32) -> Option<Result<Vec<u8>>> {
    Some(Ok(words(&[v as u32])))
}

/// `setsockopt`. `None`: no such option here.
pub fn set(st: &mut Stack, sid: u32, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
    let udp = st.socks.get(sid)?.proto == Proto::Udp;
    let r = match level {
        SOL_SOCKET => set_socket(st, sid, name, value)?,
        IPPROTO_TCP if !udp => set_tcp(st, sid, name, value)?,
        IPPROTO_UDP if udp && name == UDP_CORK => int(value).and_then(|v| st.udp_cork(sid, v != 0)),
        IPPROTO_IPV6 if name == IPV6_V6ONLY => set_v6only(st, sid, value)?,
        IPPROTO_IP | IPPROTO_IPV6 => match ipopts::set(st.socks.get_mut(sid)?, udp, level, name, value) {
            Some(r) => r,
            None => crate::multicast::set(st, sid, level, name, value)?,
        },
        _ => return None,
    };
    if r.is_ok() && !udp {
        push_down(st, sid);
    }
    Some(r)
}

/// Carries the options of a connected socket to its connection.
fn push_down(st: &mut Stack, sid: u32) {
    let Some(opts) = st.socks.get(sid).map(|s| s.opts) else { return };
    if let Some((id, c)) = conn_of(st, sid) {
        c.opts = opts;
        if !opts.keepalive {
            c.tcp_mut().set_keep_alive(None);
            c.probes = 0;
        }
        c.apply();
        st.touch(id);
    }
}

fn set_socket(st: &mut Stack, sid: u32, name: i32, value: &[u8]) -> Option<Result<()>> {
    let v = int(value).unwrap_or(0);
    if matches!(name, SO_BINDTODEVICE | SO_BINDTOIFINDEX) {
        return Some(set_device(st, sid, name, value));
    }
    let s = st.socks.get_mut(sid)?;
    match name {
        SO_LINGER => {
            let secs = int(&value[4..]).unwrap_or(0).clamp(0, 0xffff) as u32;
            s.opts.linger = (v != 0).then_some(secs);
        }
        SO_REUSEADDR | SO_REUSEPORT => {
            if name == SO_REUSEADDR {
                s.reuse_addr = v != 0
            } else {
                s.reuse_port = v != 0
            }
            let (proto, bound, a, p) = (s.proto, s.bound, s.reuse_addr, s.reuse_port);
            if let Some((_, port)) = bound
                && let Some(b) = st.ports.find(proto, port, sid)
            {
                (b.reuse_addr, b.reuse_port) = (a, p);
            }
        }
        SO_KEEPALIVE => s.opts.keepalive = v != 0,
        SO_DONTROUTE => s.direct = v != 0,
        SO_RCVLOWAT => s.opts.rcvlowat = v as u32,
        SO_SNDBUF | SO_RCVBUF => return Some(set_buffer(st, sid, name == SO_RCVBUF, v as usize)),
        _ => match &mut s.kind {
            Kind::Udp(u) if name == SO_BROADCAST => u.broadcast = v != 0,
            Kind::Udp(u) if name == SO_TIMESTAMP => u.stamp = v as u8,
            // What arrives of a stream has no times.
            _ if name == SO_TIMESTAMP && v != 0 => return Some(Err(Errno::ENOPROTOOPT)),
            _ => return None,
        },
    }
    Some(Ok(()))
}

/// SO_BINDTODEVICE, a name, and SO_BINDTOIFINDEX.
fn set_device(st: &mut Stack, sid: u32, name: i32, value: &[u8]) -> Result<()> {
    let index = if name == SO_BINDTOIFINDEX {
        u32::try_from(int(value)?).map_err(|_| Errno::EINVAL)?
    } else {
        let same = |d: &&[u8]| value.starts_with(d) || value == &d[..d.len().saturating_sub(1)];
        // The empty name begins them all.
        DEVICES.iter().rposition(same).filter(|&i| i > 0 || matches!(value, [] | [0, ..])).ok_or(Errno::ENODEV)? as u32
    };
    if index != 0 {
        st.by_index(index)?;
    }
    let s = st.sock(sid)?;
    // Who is bound already must not change it himself.
    if s.device != 0 && !capable(cap::NET_RAW) {
        return Err(Errno::EPERM);
    }
    s.device = index;
    Ok(())
}

/// Names by index, as they are read; 0: none.
static DEVICES: [&[u8]; 3] = [b"", b"lo\0", b"eth0\0"];

/// SO_RCVBUF and SO_SNDBUF, bounded by the memory there is.
fn set_buffer(st: &mut Stack, sid: u32, receive: bool, n: usize) -> Result<()> {
    let n = n.min(st.memory.budget / 4);
    // smoltcp's buffers have the size they are made with. Of an open connection the least and the most that can be had
    // is therefore what there is, but for sending less of it can be used.
    if let Some((_, c)) = conn_of(st, sid) {
        if !receive {
            c.send_limit = n;
        }
        return Ok(());
    }
    let s = st.sock(sid)?;
    match &mut s.kind {
        Kind::Udp(u) if receive => u.rcvbuf = n,
        Kind::Udp(u) => u.sndbuf = n,
        _ if receive => s.opts.rcvbuf = n,
        _ => s.opts.sndbuf = n,
    }
    Ok(())
}

fn set_tcp(st: &mut Stack, sid: u32, name: i32, value: &[u8]) -> Option<Result<()>> {
    if name == TCP_CONGESTION {
        let text = value.split(|&b| b == 0).next().unwrap_or(&[]);
        return Some(if text == b"reno" { Ok(()) } else { Err(Errno::ENOENT) });
    }
    let n = match int(value) {
        Ok(n) => n,
        Err(e) => return Some(Err(e)),
    };
    let range = match name {
        TCP_KEEPIDLE | TCP_KEEPINTVL => 1..=32767,
        TCP_KEEPCNT | TCP_SYNCNT => 1..=127,
        TCP_USER_TIMEOUT | TCP_FASTOPEN => 0..=i32::MAX,
        TCP_FASTOPEN_CONNECT => 0..=1,
        _ => i32::MIN..=i32::MAX,
    };
    if !range.contains(&n) {
        return Some(Err(Errno::EINVAL));
    }
    let (on, n) = (n != 0, n as u32);
    let s = st.socks.get_mut(sid)?;
    let late = match s.kind {
        Kind::Conn(_) => matches!(name, TCP_FASTOPEN | TCP_FASTOPEN_CONNECT),
        Kind::Listen(_) => name == TCP_FASTOPEN_CONNECT,
        _ => false,
    };
    if late {
        return Some(Err(Errno::EINVAL));
    }
    let o = &mut s.opts;
    match name {
        // Linux: setting it also lets corked data go... unless cork is on, which wins.
        TCP_NODELAY => o.nodelay = on,
        TCP_CORK => o.cork = on,
        TCP_KEEPIDLE => o.keep_idle = n,
        TCP_KEEPINTVL => o.keep_intvl = n,
        TCP_KEEPCNT => o.keep_cnt = n,
        TCP_SYNCNT => o.syn_count = n as u8,
        TCP_DEFER_ACCEPT => o.defer = deferral(n as i32),
        TCP_QUICKACK => o.quickack = on,
        TCP_USER_TIMEOUT => o.user_timeout = n,
        // Kept to be read: nobody has a cookie, so every handshake is an ordinary one.
        TCP_FASTOPEN => o.fastopen = n.min(SOMAXCONN as u32) as u16,
        TCP_FASTOPEN_CONNECT => o.fastopen_connect = on,
        _ => return None,
    }
    if name == TCP_CORK
        && !on
        && let Some((id, c)) = conn_of(st, sid)
    {
        c.uncork();
        st.touch(id);
    }
    Some(Ok(()))
}

/// TCP_DEFER_ACCEPT counts in retransmissions of a SYN: the time that as many take as reach the seconds asked for.
fn deferral(seconds: i32) -> u32 {
    let (mut sum, mut step) = (0, 1);
    while sum < seconds.min(29_887) {
        sum += step;
        step = (step * 2).min(120);
    }
    sum as u32
}

fn set_v6only(st: &mut Stack, sid: u32, value: &[u8]) -> Option<Result<()>> {
    let s = st.socks.get_mut(sid).filter(|s| s.v6)?;
    Some(int(value).and_then(|v| {
        if s.bound.is_some_and(|(_, port)| port != 0) || !matches!(s.kind, Kind::Idle | Kind::Udp(_)) {
            return Err(Errno::EINVAL);
        }
        s.v6only = v != 0;
        Ok(())
    }))
}

/// The pending error, once.
pub fn take_error(st: &mut Stack, sid: u32) -> i32 {
    if let Some((_, c)) = conn_of(st, sid)
        && let Some(e) = c.error.take()
    {
        return e as i32;
    }
    st.socks.get_mut(sid).and_then(|s| s.error.take()).map_or(0, |e| e as i32)
}

/// `getsockopt`.
pub fn get(st: &mut Stack, sid: u32, level: i32, name: i32) -> Option<Result<Vec<u8>>> {
    if (level, name) == (SOL_SOCKET, SO_ERROR) {
        let e = take_error(st, sid);
        return out(e);
    }
    if level == IPPROTO_TCP && name == TCP_INFO && st.socks.get(sid)?.proto == Proto::Tcp {
        return Some(Ok(tcp_info(st, sid)));
    }
    let (rcv, snd) = st.memory.sizes();
    let conn = conn_of(st, sid).map(|(_, c)| (c.mss, c.tcp().recv_capacity(), c.send_capacity()));
    let s = st.socks.get_mut(sid)?;
    let udp = s.proto == Proto::Udp;
    let or = |asked: usize, usual: usize| if asked > 0 { asked } else { usual };
    let (mss, rcvbuf, sndbuf, corked) = match (&s.kind, conn) {
        (Kind::Udp(u), _) => (0, u.rcvbuf, u.sndbuf, u.corked),
        (_, Some((mss, r, s))) => (mss, r, s, false),
        _ => (536, or(s.opts.rcvbuf, rcv), or(s.opts.sndbuf, snd), false),
    };
    let o = &s.opts;
    let v = match (level, name) {
        (SOL_SOCKET, SO_RCVBUF) => rcvbuf as u32,
        (SOL_SOCKET, SO_SNDBUF) => sndbuf as u32,
        (SOL_SOCKET, SO_ACCEPTCONN) => u32::from(matches!(s.kind, Kind::Listen(_))),
        (SOL_SOCKET, SO_BINDTOIFINDEX) => s.device,
        (SOL_SOCKET, SO_BINDTODEVICE) => return Some(Ok(DEVICES.get(s.device as usize)?.to_vec())),
        (IPPROTO_TCP, _) if udp => return None,
        (IPPROTO_TCP, TCP_NODELAY) => o.nodelay.into(),
        (IPPROTO_TCP, TCP_CORK) => o.cork.into(),
        (IPPROTO_TCP, TCP_MAXSEG) => mss as u32,
        (IPPROTO_TCP, TCP_KEEPIDLE) => o.keep_idle,
        (IPPROTO_TCP, TCP_KEEPINTVL) => o.keep_intvl,
        (IPPROTO_TCP, TCP_KEEPCNT) => o.keep_cnt,
        (IPPROTO_TCP, TCP_SYNCNT) => o.syn_count.into(),
        (IPPROTO_TCP, TCP_DEFER_ACCEPT) => o.defer,
        (IPPROTO_TCP, TCP_QUICKACK) => o.quickack.into(),
        (IPPROTO_TCP, TCP_USER_TIMEOUT) => o.user_timeout,
        (IPPROTO_TCP, TCP_FASTOPEN) => o.fastopen.into(),
        (IPPROTO_TCP, TCP_FASTOPEN_CONNECT) => o.fastopen_connect.into(),
        (IPPROTO_TCP, TCP_CONGESTION) => return Some(Ok(b"reno\0\0\0\0\0\0\0\0\0\0\0\0".to_vec())),
        (IPPROTO_UDP, UDP_CORK) if udp => corked.into(),
        (IPPROTO_IPV6, IPV6_V6ONLY) if s.v6 => s.v6only.into(),
        (IPPROTO_IP | IPPROTO_IPV6, _) => match ipopts::get(s, udp, level, name) {
            Some(v) => v.into(),
            None => crate::multicast::get(st, sid, level, name)?,
        },
        _ => return None,
    };
    out(v as i32)
}

/// struct tcp_info as far as it can be told; the rest is zero.
fn tcp_info(st: &mut Stack, sid: u32) -> Vec<u8> {
    let mut v = alloc::vec![0u8; 104];
    let now = st.now;
    let listening = matches!(st.socks.get(sid).map(|s| &s.kind), Some(Kind::Listen(_)));
    let Some((_, c)) = conn_of(st, sid) else {
        v[0] = if listening { 10 } else { 7 };
        return v;
    };
    // The order of include/net/tcp_states.h.
    v[0] = match c.tcp().state() {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        // TIME-WAIT is the tuple's, not the socket's.
        State::TimeWait | State::Closed => 7,
        State::CloseWait if !c.fin_due => 8,
        State::CloseWait | State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    };
    v[3] = c.probes.min(255) as u8;
    let mut put = |at: usize, n: u32| v[at..at + 4].copy_from_slice(&n.to_le_bytes());
    put(16, c.mss as u32); // snd_mss
    put(20, c.mss as u32); // rcv_mss
    put(24, (c.tcp().send_queue().div_ceil(c.mss.max(1))) as u32); // unacked
    put(52, ((now - c.heard_at) / 1_000_000) as u32); // last_data_recv
    put(100, c.retransmits); // total_retrans
    v
}

/// Poll bits that a pending error adds.
pub fn error_events(error: &Option<Errno>) -> Events {
    if error.is_some() { Events::ERR } else { Events::empty() }
}
