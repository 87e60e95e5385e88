//! TCP and UDP socket options: SOL_SOCKET where the stack acts on it, TCP, UDP. An option is honoured or refused; none
//! is accepted and ignored.

use crate::ipopts;
use crate::multicast::CALLS;
use crate::sockopts::words;
use crate::stack::Stack;
use crate::stack::listen::SOMAXCONN;
use crate::stack::ports::Proto;
use crate::stack::sock::Kind;
use crate::tcp::conn_of;
use alloc::vec::Vec;
use libos_base::abi::{ipv6_option, so, sol, tcp_option, udp_option};
use libos_base::cred::{cap, capable};
use libos_base::poll::Events;
use libos_base::{Errno, Result};
use libos_tcp::State;
use libos_tcp::congestion::Algorithm;

/// The int at the start of an option value. EINVAL if the value is shorter.
pub fn int(v: &[u8]) -> Result<i32> {
    Ok(i32::from_le_bytes(*v.first_chunk::<4>().ok_or(Errno::EINVAL)?))
}

fn out(v: i32) -> Option<Result<Vec<u8>>> {
    Some(Ok(words(&[v as u32])))
}

/// `setsockopt`. `None`: no such option at this level.
pub fn set(st: &mut Stack, sid: u32, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
    let proto = st.sockets.get(sid)?.proto;
    let udp = proto != Proto::Tcp;
    let r = match level {
        sol::SOCKET => set_socket(st, sid, name, value)?,
        sol::TCP if !udp => set_tcp(st, sid, name, value)?,
        sol::UDP if proto == Proto::Udp && name == udp_option::CORK => {
            int(value).and_then(|v| st.udp_cork(sid, v != 0))
        }
        sol::IPV6 if name == ipv6_option::V6ONLY => set_v6only(st, sid, value)?,
        sol::IP | sol::IPV6 if udp && let Some(r) = crate::errqueue::set(st, sid, level, name, value) => r,
        sol::IP | sol::IPV6 => match ipopts::set(st.sockets.get_mut(sid)?, udp, level, name, value) {
            Some(r) => r,
            None => (CALLS.get()?.set)(st, sid, level, name, value)?,
        },
        _ => return None,
    };
    // Corking is the socket's alone, and servers do it for every answer.
    if r.is_ok() && !udp && (level, name) != (sol::TCP, tcp_option::CORK) {
        push_down(st, sid, (level, name) == (sol::TCP, tcp_option::NODELAY));
    }
    Some(r)
}

/// Passes the options of a connected socket on to its connection. `sending`: what has changed matters only to what waits
/// to be sent.
fn push_down(st: &mut Stack, sid: u32, sending: bool) {
    let now = st.now;
    let Some(opts) = st.sockets.get(sid).map(|s| s.opts) else { return };
    if let Some((id, c)) = conn_of(st, sid) {
        c.opts = opts;
        c.apply();
        if !sending || c.tcp().pending(now) {
            st.connections.touch(id);
        }
    }
}

fn set_socket(st: &mut Stack, sid: u32, name: i32, value: &[u8]) -> Option<Result<()>> {
    let v = int(value).unwrap_or(0);
    if matches!(name, so::BINDTODEVICE | so::BINDTOIFINDEX) {
        return Some(set_device(st, sid, name, value));
    }
    let s = st.sockets.get_mut(sid)?;
    match name {
        so::LINGER => {
            let secs = int(&value[4..]).unwrap_or(0).clamp(0, 0xffff) as u32;
            s.opts.linger = (v != 0).then_some(secs);
        }
        so::REUSEADDR | so::REUSEPORT => {
            let flag = if name == so::REUSEADDR { &mut s.opts.reuse.addr } else { &mut s.opts.reuse.port };
            *flag = v != 0;
            let (proto, bound, reuse) = (s.proto, s.bound, s.opts.reuse);
            if let Some((_, port)) = bound
                && let Some(b) = st.ports.find(proto, port, sid)
            {
                b.reuse = reuse;
            }
        }
        so::KEEPALIVE => s.opts.keepalive = v != 0,
        so::DONTROUTE => s.direct = v != 0,
        so::RCVLOWAT => s.opts.rcvlowat = v as u32,
        so::SNDBUF | so::RCVBUF => return Some(set_buffer(st, sid, name == so::RCVBUF, v as usize)),
        _ => match &mut s.kind {
            Kind::Udp(u) if name == so::BROADCAST => u.broadcast = v != 0,
            Kind::Udp(u) if name == so::TIMESTAMP => u.stamp = v as u8,
            // Stream data has no timestamps.
            _ if name == so::TIMESTAMP && v != 0 => return Some(Err(Errno::ENOPROTOOPT)),
            _ => return None,
        },
    }
    Some(Ok(()))
}

/// SO_BINDTODEVICE, which takes a name, and SO_BINDTOIFINDEX.
fn set_device(st: &mut Stack, sid: u32, name: i32, value: &[u8]) -> Result<()> {
    let index = if name == so::BINDTOIFINDEX {
        u32::try_from(int(value)?).map_err(|_| Errno::EINVAL)?
    } else {
        let same = |d: &&[u8]| value.starts_with(d) || value == &d[..d.len().saturating_sub(1)];
        // Every value begins with the empty name, which therefore only matches an empty value.
        DEVICES.iter().rposition(same).filter(|&i| i > 0 || matches!(value, [] | [0, ..])).ok_or(Errno::ENODEV)? as u32
    };
    if index != 0 {
        st.interfaces.by_index(index)?;
    }
    let s = st.sock(sid)?;
    // A socket that is already bound to a device needs the capability to change that.
    if s.device != 0 && !capable(cap::NET_RAW) {
        return Err(Errno::EPERM);
    }
    s.device = index;
    Ok(())
}

/// Interface names by index, as they are read; 0: none.
static DEVICES: [&[u8]; 3] = [b"", b"lo\0", b"eth0\0"];

/// SO_RCVBUF and SO_SNDBUF, bounded by the available memory.
fn set_buffer(st: &mut Stack, sid: u32, receive: bool, n: usize) -> Result<()> {
    let n = n.min(st.memory.budget() / 4);
    if let Some((_, c)) = conn_of(st, sid) {
        if receive {
            c.tcp_mut().set_recv_capacity(n);
        } else {
            c.tcp_mut().set_send_capacity(n);
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
    if name == tcp_option::CONGESTION {
        return Some(set_congestion(st, sid, value));
    }
    let n = match int(value) {
        Ok(n) => n,
        Err(e) => return Some(Err(e)),
    };
    let range = match name {
        tcp_option::KEEPIDLE | tcp_option::KEEPINTVL => 1..=32767,
        tcp_option::KEEPCNT | tcp_option::SYNCNT => 1..=127,
        tcp_option::USER_TIMEOUT | tcp_option::FASTOPEN => 0..=i32::MAX,
        tcp_option::FASTOPEN_CONNECT => 0..=1,
        _ => i32::MIN..=i32::MAX,
    };
    if !range.contains(&n) {
        return Some(Err(Errno::EINVAL));
    }
    let (on, n) = (n != 0, n as u32);
    let s = st.sockets.get_mut(sid)?;
    let late = match s.kind {
        Kind::Conn(_) => matches!(name, tcp_option::FASTOPEN | tcp_option::FASTOPEN_CONNECT),
        Kind::Listen(_) => name == tcp_option::FASTOPEN_CONNECT,
        _ => false,
    };
    if late {
        return Some(Err(Errno::EINVAL));
    }
    let o = &mut s.opts;
    match name {
        // On Linux, setting it also releases corked data... unless cork is on, which wins.
        tcp_option::NODELAY => o.nodelay = on,
        tcp_option::CORK => o.cork = on,
        tcp_option::KEEPIDLE => o.keep_idle = n,
        tcp_option::KEEPINTVL => o.keep_intvl = n,
        tcp_option::KEEPCNT => o.keep_cnt = n,
        tcp_option::SYNCNT => o.syn_count = n as u8,
        tcp_option::DEFER_ACCEPT => o.defer = deferral(n as i32),
        tcp_option::QUICKACK => o.quickack = on,
        tcp_option::USER_TIMEOUT => o.user_timeout = n,
        // Stored only to be read back: nobody has a cookie, so every handshake is an ordinary one.
        tcp_option::FASTOPEN => o.fastopen = n.min(SOMAXCONN as u32) as u16,
        tcp_option::FASTOPEN_CONNECT => o.fastopen_connect = on,
        _ => return None,
    }
    if name == tcp_option::CORK
        && !on
        && let Some((id, c)) = conn_of(st, sid)
        && c.tcp_mut().push()
    {
        st.connections.touch(id);
    }
    Some(Ok(()))
}

/// TCP_CONGESTION: the name of an algorithm.
fn set_congestion(st: &mut Stack, sid: u32, value: &[u8]) -> Result<()> {
    let name = value.split(|&b| b == 0).next().unwrap_or(&[]);
    let algorithm = Algorithm::by_name(name).ok_or(if name.is_empty() { Errno::EINVAL } else { Errno::ENOENT })?;
    st.sock(sid)?.opts.congestion = algorithm.name();
    if let Some((_, c)) = conn_of(st, sid) {
        c.tcp_mut().set_algorithm(algorithm);
    }
    Ok(())
}

/// TCP_DEFER_ACCEPT counts in SYN retransmissions: the time of the fewest whose total reaches the requested seconds.
fn deferral(seconds: i32) -> u32 {
    let (mut sum, mut step) = (0, 1);
    while sum < seconds.min(29_887) {
        sum += step;
        step = (step * 2).min(120);
    }
    sum as u32
}

fn set_v6only(st: &mut Stack, sid: u32, value: &[u8]) -> Option<Result<()>> {
    let s = st.sockets.get_mut(sid).filter(|s| s.v6)?;
    Some(int(value).and_then(|v| {
        if s.bound.is_some_and(|(_, port)| port != 0) || !matches!(s.kind, Kind::Idle | Kind::Udp(_)) {
            return Err(Errno::EINVAL);
        }
        s.v6only = v != 0;
        Ok(())
    }))
}

/// Takes the pending error.
pub fn take_error(st: &mut Stack, sid: u32) -> i32 {
    if let Some((_, c)) = conn_of(st, sid)
        && let Some(e) = c.error.take()
    {
        return e as i32;
    }
    st.sockets.get_mut(sid).and_then(|s| s.error.take()).map_or(0, |e| e as i32)
}

/// `getsockopt`. `None`: no such option at this level.
pub fn get(st: &mut Stack, sid: u32, level: i32, name: i32) -> Option<Result<Vec<u8>>> {
    if (level, name) == (sol::SOCKET, so::ERROR) {
        let e = take_error(st, sid);
        return out(e);
    }
    if level == sol::TCP && name == tcp_option::INFO && st.sockets.get(sid)?.proto == Proto::Tcp {
        return Some(Ok(tcp_info(st, sid)));
    }
    if matches!(level, sol::IP | sol::IPV6)
        && st.sockets.get(sid)?.proto != Proto::Tcp
        && let Some(on) = crate::errqueue::get(st, sid, level, name)
    {
        return out(on.into());
    }
    let (rcv, snd) = st.memory.sizes();
    let conn = conn_of(st, sid).map(|(_, c)| (c.tcp().mss(), c.tcp().recv_capacity(), c.tcp().send_capacity()));
    let s = st.sockets.get_mut(sid)?;
    let udp = s.proto != Proto::Tcp;
    let or = |asked: usize, usual: usize| if asked > 0 { asked } else { usual };
    let (mss, rcvbuf, sndbuf, corked) = match (&s.kind, conn) {
        (Kind::Udp(u), _) => (0, u.rcvbuf, u.sndbuf, u.corked),
        (_, Some((mss, r, s))) => (mss, r, s, false),
        _ => (536, or(s.opts.rcvbuf, rcv), or(s.opts.sndbuf, snd), false),
    };
    let o = &s.opts;
    let v = match (level, name) {
        (sol::SOCKET, so::RCVBUF) => rcvbuf as u32,
        (sol::SOCKET, so::SNDBUF) => sndbuf as u32,
        (sol::SOCKET, so::ACCEPTCONN) => u32::from(matches!(s.kind, Kind::Listen(_))),
        (sol::SOCKET, so::BINDTOIFINDEX) => s.device,
        (sol::SOCKET, so::BINDTODEVICE) => return Some(Ok(DEVICES.get(s.device as usize)?.to_vec())),
        (sol::TCP, _) if udp => return None,
        (sol::TCP, tcp_option::NODELAY) => o.nodelay.into(),
        (sol::TCP, tcp_option::CORK) => o.cork.into(),
        (sol::TCP, tcp_option::MAXSEG) => mss as u32,
        (sol::TCP, tcp_option::KEEPIDLE) => o.keep_idle,
        (sol::TCP, tcp_option::KEEPINTVL) => o.keep_intvl,
        (sol::TCP, tcp_option::KEEPCNT) => o.keep_cnt,
        (sol::TCP, tcp_option::SYNCNT) => o.syn_count.into(),
        (sol::TCP, tcp_option::DEFER_ACCEPT) => o.defer,
        (sol::TCP, tcp_option::QUICKACK) => o.quickack.into(),
        (sol::TCP, tcp_option::USER_TIMEOUT) => o.user_timeout,
        (sol::TCP, tcp_option::FASTOPEN) => o.fastopen.into(),
        (sol::TCP, tcp_option::FASTOPEN_CONNECT) => o.fastopen_connect.into(),
        (sol::TCP, tcp_option::CONGESTION) => {
            let mut name = o.congestion.as_bytes().to_vec();
            name.resize(16, 0);
            return Some(Ok(name));
        }
        (sol::UDP, udp_option::CORK) if s.proto == Proto::Udp => corked.into(),
        (sol::IPV6, ipv6_option::V6ONLY) if s.v6 => s.v6only.into(),
        (sol::IP | sol::IPV6, _) => match ipopts::get(s, udp, level, name) {
            Some(v) => v.into(),
            None => (CALLS.get()?.get)(st, sid, level, name)?,
        },
        _ => return None,
    };
    out(v as i32)
}

/// The known fields of struct tcp_info; the rest is zero. It ends where Linux 4.1's did.
fn tcp_info(st: &mut Stack, sid: u32) -> Vec<u8> {
    let mut v = alloc::vec![0u8; 136];
    let now = st.now;
    let listening = matches!(st.sockets.get(sid).map(|s| &s.kind), Some(Kind::Listen(_)));
    let Some((_, c)) = conn_of(st, sid) else {
        v[0] = if listening { 10 } else { 7 };
        return v;
    };
    // The numbers are those of include/net/tcp_states.h.
    v[0] = match c.tcp().state() {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        // TIME-WAIT belongs to the tuple, not to the socket.
        State::TimeWait | State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Closing => 11,
    };
    let (tcp, us) = (c.tcp(), |ns: u64| u32::try_from(ns / 1000).unwrap_or(u32::MAX));
    v[3] = tcp.probes().min(255) as u8;
    v[4] = tcp.backoff();
    let mut put = |at: usize, n: u32| v[at..at + 4].copy_from_slice(&n.to_le_bytes());
    let (rtt, variation) = tcp.round_trip().unwrap_or((0, 0));
    let (mss, window) = (tcp.mss() as u32, tcp.congestion_window());
    put(8, us(tcp.retransmission_timeout())); // rto
    put(16, mss); // snd_mss
    put(20, mss); // rcv_mss
    put(24, (tcp.send_queue() as u32).div_ceil(mss)); // unacked
    put(52, us(now - tcp.heard_at()) / 1000); // last_data_recv
    put(68, us(rtt)); // rtt
    put(72, us(variation)); // rttvar
    put(76, window.threshold / mss); // snd_ssthresh
    put(80, window.size / mss); // snd_cwnd
    put(84, mss); // advmss
    put(100, tcp.resent()); // total_retrans
    v[104..120].fill(0xff); // pacing_rate, max_pacing_rate: as fast as it can
    let (acked, received) = tcp.counted();
    v[120..128].copy_from_slice(&acked.to_le_bytes());
    v[128..136].copy_from_slice(&received.to_le_bytes());
    v
}

/// Poll bits that a pending error adds.
pub fn error_events(error: &Option<Errno>) -> Events {
    if error.is_some() { Events::ERR } else { Events::empty() }
}
