//! Socket options of TCP and UDP. An option is honoured or refused (ENOPROTOOPT); none is accepted and ignored.

use crate::stack::Stack;
use crate::stack::ports::Proto;
use crate::stack::sock::Kind;
use crate::tcp::conn_of;
use alloc::vec::Vec;
use libos_base::poll::Events;
use libos_base::{Errno, Result};
use smoltcp::socket::tcp::State;

/// Levels.
pub const IPPROTO_IP: i32 = 0;
pub const IPPROTO_TCP: i32 = 6;
pub const IPPROTO_IPV6: i32 = 41;
use crate::socket::SOL_SOCKET;

const SO_REUSEADDR: i32 = 2;
const SO_ERROR: i32 = 4;
const SO_BROADCAST: i32 = 6;
const SO_SNDBUF: i32 = 7;
const SO_RCVBUF: i32 = 8;
const SO_KEEPALIVE: i32 = 9;
const SO_OOBINLINE: i32 = 10;
const SO_LINGER: i32 = 13;
const SO_REUSEPORT: i32 = 15;
const SO_RCVLOWAT: i32 = 18;
const SO_SNDLOWAT: i32 = 19;
const SO_ACCEPTCONN: i32 = 30;
const SO_SNDBUFFORCE: i32 = 32;
const SO_RCVBUFFORCE: i32 = 33;

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

const IP_TTL: i32 = 2;
const IPV6_UNICAST_HOPS: i32 = 16;
const IPV6_V6ONLY: i32 = 26;

/// Largest buffer that SO_RCVBUF and SO_SNDBUF may ask for (after Linux's doubling).
const BUF_MAX: usize = 4 << 20;

/// The int at the start of an option value. EINVAL when it is shorter.
pub fn int(v: &[u8]) -> Result<i32> {
    Ok(i32::from_le_bytes(*v.first_chunk::<4>().ok_or(Errno::EINVAL)?))
}

fn out(v: i32) -> Option<Result<Vec<u8>>> {
    Some(Ok(v.to_le_bytes().to_vec()))
}

fn seconds(v: i32, most: i32) -> Result<u32> {
    if (1..=most).contains(&v) { Ok(v as u32) } else { Err(Errno::EINVAL) }
}

/// `setsockopt`. `None`: no such option here.
pub fn set(st: &mut Stack, sid: u32, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
    let udp = st.socks.get(sid)?.proto == Proto::Udp;
    let r = match level {
        SOL_SOCKET => set_socket(st, sid, name, value, udp)?,
        IPPROTO_TCP if !udp => set_tcp(st, sid, name, value)?,
        IPPROTO_IP | IPPROTO_IPV6 => set_ip(st, sid, level, name, value, udp)?,
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

fn set_socket(st: &mut Stack, sid: u32, name: i32, value: &[u8], udp: bool) -> Option<Result<()>> {
    if name == SO_LINGER {
        let (Ok(on), Some(secs)) = (int(value), value.get(4..8)) else { return Some(Err(Errno::EINVAL)) };
        let secs = int(secs).unwrap_or(0).clamp(0, 0xffff) as u32;
        st.socks.get_mut(sid)?.opts.linger = (on != 0).then_some(secs);
        return Some(Ok(()));
    }
    let known =
        matches!(name, SO_REUSEADDR | SO_REUSEPORT | SO_KEEPALIVE | SO_BROADCAST | SO_RCVBUF | SO_SNDBUF | SO_RCVLOWAT);
    // Bigger than the limit by privilege: whoever runs here has it.
    let forced = matches!(name, SO_RCVBUFFORCE | SO_SNDBUFFORCE);
    if name == SO_OOBINLINE && !udp {
        // There is no urgent data here; only "out of line", the default, would need a place for it.
        return Some(int(value).and_then(|v| if v == 0 { Ok(()) } else { Err(Errno::ENOPROTOOPT) }));
    }
    if !known && !forced {
        return None;
    }
    let v = match int(value) {
        Ok(v) => v,
        Err(e) => return Some(Err(e)),
    };
    let s = st.socks.get_mut(sid)?;
    match name {
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
        SO_BROADCAST => match &mut s.kind {
            Kind::Udp(u) => u.broadcast = v != 0,
            // A stream has no broadcasts; the bit is kept nowhere, so it is refused.
            _ => return None,
        },
        SO_RCVLOWAT => s.opts.rcvlowat = if v < 0 { i32::MAX as u32 } else { (v as u32).max(1) },
        _ => return Some(set_buffer(st, sid, matches!(name, SO_RCVBUF | SO_RCVBUFFORCE), v)),
    }
    Some(Ok(()))
}

/// SO_RCVBUF and SO_SNDBUF: doubled for bookkeeping, as on Linux, and bounded.
fn set_buffer(st: &mut Stack, sid: u32, receive: bool, v: i32) -> Result<()> {
    let n = (v.max(0) as usize)
        .saturating_mul(2)
        .clamp(if receive { 2304 } else { 4608 }, BUF_MAX.min(st.memory.budget / 4));
    let s = st.sock(sid)?;
    match &mut s.kind {
        Kind::Udp(u) if receive => u.rcvbuf = n,
        Kind::Udp(u) => u.sndbuf = n,
        // smoltcp's buffers have the size they are made with: of an open connection it cannot be changed.
        Kind::Conn(_) => return Err(Errno::ENOPROTOOPT),
        _ if receive => s.opts.rcvbuf = n,
        _ => s.opts.sndbuf = n,
    }
    Ok(())
}

fn set_tcp(st: &mut Stack, sid: u32, name: i32, value: &[u8]) -> Option<Result<()>> {
    let names = [
        TCP_NODELAY,
        TCP_CORK,
        TCP_KEEPIDLE,
        TCP_KEEPINTVL,
        TCP_KEEPCNT,
        TCP_SYNCNT,
        TCP_DEFER_ACCEPT,
        TCP_QUICKACK,
        TCP_USER_TIMEOUT,
    ];
    if name == TCP_CONGESTION {
        let text = value.split(|&b| b == 0).next().unwrap_or(&[]);
        return Some(if text == b"reno" { Ok(()) } else { Err(Errno::ENOENT) });
    }
    if !names.contains(&name) {
        return None;
    }
    let v = match int(value) {
        Ok(v) => v,
        Err(e) => return Some(Err(e)),
    };
    let o = &mut st.socks.get_mut(sid)?.opts;
    let r = match name {
        TCP_NODELAY => {
            o.nodelay = v != 0;
            // Linux: setting it also lets corked data go... unless cork is on, which wins.
            Ok(())
        }
        TCP_CORK => {
            o.cork = v != 0;
            if v == 0
                && let Some((id, c)) = conn_of(st, sid)
            {
                c.uncork();
                st.touch(id);
            }
            Ok(())
        }
        TCP_KEEPIDLE => seconds(v, 32767).map(|s| o.keep_idle = s),
        TCP_KEEPINTVL => seconds(v, 32767).map(|s| o.keep_intvl = s),
        TCP_KEEPCNT => seconds(v, 127).map(|s| o.keep_cnt = s),
        TCP_SYNCNT => seconds(v, 127).map(|s| o.syn_count = s as u8),
        TCP_DEFER_ACCEPT => {
            o.defer = v.max(0) as u32;
            Ok(())
        }
        TCP_QUICKACK => {
            o.quickack = v != 0;
            Ok(())
        }
        _ if v < 0 => Err(Errno::EINVAL),
        _ => {
            o.user_timeout = v as u32;
            Ok(())
        }
    };
    Some(r)
}

fn set_ip(st: &mut Stack, sid: u32, level: i32, name: i32, value: &[u8], udp: bool) -> Option<Result<()>> {
    let s = st.socks.get_mut(sid)?;
    if level == IPPROTO_IPV6 && !s.v6 {
        return None;
    }
    match (level, name) {
        (IPPROTO_IPV6, IPV6_V6ONLY) => Some(int(value).and_then(|v| {
            if s.bound.is_some() || !matches!(s.kind, Kind::Idle | Kind::Udp(_)) {
                return Err(Errno::EINVAL);
            }
            s.v6only = v != 0;
            Ok(())
        })),
        // A single byte will do for IP options, as on Linux.
        (IPPROTO_IP, IP_TTL) => {
            Some(int(value).or_else(|e| value.first().map(|&b| i32::from(b)).ok_or(e)).and_then(|v| {
                s.opts.ttl = match v {
                    -1 => 64,
                    1..=255 => v as u8,
                    _ => return Err(Errno::EINVAL),
                };
                Ok(())
            }))
        }
        (IPPROTO_IPV6, IPV6_UNICAST_HOPS) => Some(int(value).and_then(|v| {
            s.opts.hops = match v {
                -1 => 64,
                1..=255 => v as u8,
                _ => return Err(Errno::EINVAL),
            };
            Ok(())
        })),
        _ if udp => crate::udp::set_ip(s, level, name, value),
        _ => None,
    }
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
    let mss = conn_of(st, sid).map_or(536, |(_, c)| c.mss as i32);
    let buffers = conn_of(st, sid).map(|(_, c)| (c.tcp().recv_capacity(), c.tcp().send_capacity()));
    let s = st.socks.get_mut(sid)?;
    let udp = s.proto == Proto::Udp;
    let (rcvbuf, sndbuf) = match (&s.kind, buffers) {
        (Kind::Udp(u), _) => (u.rcvbuf, u.sndbuf),
        (_, Some(b)) => b,
        _ => (if s.opts.rcvbuf > 0 { s.opts.rcvbuf } else { rcv }, if s.opts.sndbuf > 0 { s.opts.sndbuf } else { snd }),
    };
    let o = &s.opts;
    match (level, name) {
        (SOL_SOCKET, SO_REUSEADDR) => out(i32::from(s.reuse_addr)),
        (SOL_SOCKET, SO_REUSEPORT) => out(i32::from(s.reuse_port)),
        (SOL_SOCKET, SO_KEEPALIVE) => out(i32::from(o.keepalive)),
        (SOL_SOCKET, SO_BROADCAST) => out(match &s.kind {
            Kind::Udp(u) => i32::from(u.broadcast),
            _ => 0,
        }),
        (SOL_SOCKET, SO_RCVBUF) => out(rcvbuf as i32),
        (SOL_SOCKET, SO_SNDBUF) => out(sndbuf as i32),
        (SOL_SOCKET, SO_RCVLOWAT) => out(o.rcvlowat as i32),
        (SOL_SOCKET, SO_SNDLOWAT) => out(1),
        (SOL_SOCKET, SO_OOBINLINE) => out(0),
        (SOL_SOCKET, SO_ACCEPTCONN) => out(i32::from(matches!(s.kind, Kind::Listen(_)))),
        (SOL_SOCKET, SO_LINGER) => {
            let mut v = i32::from(o.linger.is_some()).to_le_bytes().to_vec();
            v.extend_from_slice(&o.linger.unwrap_or(0).to_le_bytes());
            Some(Ok(v))
        }
        (IPPROTO_TCP, _) if udp => None,
        (IPPROTO_TCP, TCP_NODELAY) => out(i32::from(o.nodelay)),
        (IPPROTO_TCP, TCP_CORK) => out(i32::from(o.cork)),
        (IPPROTO_TCP, TCP_MAXSEG) => out(mss),
        (IPPROTO_TCP, TCP_KEEPIDLE) => out(o.keep_idle as i32),
        (IPPROTO_TCP, TCP_KEEPINTVL) => out(o.keep_intvl as i32),
        (IPPROTO_TCP, TCP_KEEPCNT) => out(o.keep_cnt as i32),
        (IPPROTO_TCP, TCP_SYNCNT) => out(i32::from(o.syn_count)),
        (IPPROTO_TCP, TCP_DEFER_ACCEPT) => out(o.defer as i32),
        (IPPROTO_TCP, TCP_QUICKACK) => out(i32::from(o.quickack)),
        (IPPROTO_TCP, TCP_USER_TIMEOUT) => out(o.user_timeout as i32),
        (IPPROTO_TCP, TCP_CONGESTION) => Some(Ok(b"reno\0\0\0\0\0\0\0\0\0\0\0\0".to_vec())),
        (IPPROTO_IP, IP_TTL) => out(i32::from(o.ttl)),
        (IPPROTO_IPV6, IPV6_UNICAST_HOPS) if s.v6 => out(i32::from(o.hops)),
        (IPPROTO_IPV6, IPV6_V6ONLY) if s.v6 => out(i32::from(s.v6only)),
        (IPPROTO_IP | IPPROTO_IPV6, _) if udp => crate::udp::get_ip(s, level, name),
        _ => None,
    }
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
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
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
