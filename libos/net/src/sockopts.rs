//! SOL_SOCKET. Most of its options are plain numbers that mean the same in every family: a table says what they may be
//! set to, and the socket keeps them. A family that acts on an option is asked first and may refuse it ([`Ops::set`]),
//! or it keeps the option itself ([`Ops::get`]).

use crate::options::int;
use crate::socket::Ops;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};
use libos_base::abi::{af, so, sol};
use libos_base::cred::{cap, capable};
use libos_base::{Errno, Result, time};

/// Largest buffer that SO_RCVBUF and SO_SNDBUF may ask for, after Linux's doubling.
const BUF_MAX: i32 = 8 << 20;
/// net.core.rmem_default and wmem_default.
pub const BUF_DEFAULT: i32 = 212_992;

/// What an option may be set to.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// Anything; reads as 0 or 1.
    Flag,
    /// Anything.
    Any,
    /// SO_RCVLOWAT: 0 means 1, and a negative value the largest.
    Low,
    /// SO_SNDBUF and SO_RCVBUF: doubled, at least 4608 and 2304 bytes.
    Send,
    Receive,
    /// Anything; reads as 0. As on Linux.
    Nothing,
    /// Only its current value: what it would turn on does not exist.
    Only,
    /// Read-only.
    Read,
}

/// Rows with a value of their own come first.
const KEPT: usize = 14;

/// Name, initial value, rule.
static ROWS: [(u8, i8, Rule); 31] = [
    (so::REUSEADDR as u8, 0, Rule::Flag),
    (so::DEBUG as u8, 0, Rule::Flag),
    (so::DONTROUTE as u8, 0, Rule::Flag),
    (so::BROADCAST as u8, 0, Rule::Flag),
    (so::SNDBUF as u8, 0, Rule::Send),
    (so::RCVBUF as u8, 0, Rule::Receive),
    (so::KEEPALIVE as u8, 0, Rule::Flag),
    (so::OOBINLINE as u8, 0, Rule::Flag),
    (so::PRIORITY as u8, 0, Rule::Any),
    (so::REUSEPORT as u8, 0, Rule::Flag),
    (so::PASSCRED as u8, 0, Rule::Flag),
    (so::RCVLOWAT as u8, 1, Rule::Low),
    (so::PASSSEC as u8, 0, Rule::Flag),
    (so::MARK as u8, 0, Rule::Any),
    (so::ERROR as u8, 0, Rule::Read),
    (so::NO_CHECK as u8, 0, Rule::Only),
    (so::BSDCOMPAT as u8, 0, Rule::Nothing),
    (so::SNDLOWAT as u8, 1, Rule::Read),
    (so::ACCEPTCONN as u8, 0, Rule::Read),
    (so::TIMESTAMPING as u8, 0, Rule::Only),
    (so::RXQ_OVFL as u8, 0, Rule::Only),
    (so::WIFI_STATUS as u8, 0, Rule::Only),
    (so::NOFCS as u8, 0, Rule::Only),
    (so::LOCK_FILTER as u8, 0, Rule::Only),
    (so::SELECT_ERR_QUEUE as u8, 0, Rule::Only),
    (so::BUSY_POLL as u8, 0, Rule::Only),
    (so::MAX_PACING_RATE as u8, -1, Rule::Only),
    (so::INCOMING_CPU as u8, -1, Rule::Only),
    (so::ZEROCOPY as u8, 0, Rule::Only),
    (so::PREFER_BUSY_POLL as u8, 0, Rule::Only),
    (so::RCVMARK as u8, 0, Rule::Only),
];

const fn first(i: usize) -> i32 {
    if matches!(ROWS[i].2, Rule::Send | Rule::Receive) { BUF_DEFAULT } else { ROWS[i].1 as i32 }
}

/// The values of a new socket.
static FIRST: [i32; KEPT] = {
    let (mut values, mut i) = ([0; KEPT], 0);
    while i < KEPT {
        values[i] = first(i);
        i += 1;
    }
    values
};

const fn row(name: i32) -> Option<usize> {
    let mut i = 0;
    while i < ROWS.len() {
        if ROWS[i].0 as i32 == name {
            return Some(i);
        }
        i += 1;
    }
    None
}

/// Where the value of an option is kept.
const fn kept(name: i32) -> usize {
    match row(name) {
        Some(i) if i < KEPT => i,
        _ => panic!("it is not"),
    }
}
/// For what is looked at in every call, and in every socket.
const LOW: usize = kept(so::RCVLOWAT);
const PRIORITY: usize = kept(so::PRIORITY);

/// The values that a socket keeps at this level.
pub struct Common {
    values: [AtomicI32; KEPT],
    /// SO_LINGER: whether it is on, and the seconds.
    linger: [AtomicI32; 2],
    /// Which of the SO_TIMESTAMP options is on; 0: none.
    stamp: AtomicU32,
    /// Nanoseconds; 0: no timeout.
    pub rcv_timeout: AtomicU64,
    pub snd_timeout: AtomicU64,
}

impl Common {
    /// The values of a new socket.
    pub fn new() -> Self {
        Self {
            values: core::array::from_fn(|i| AtomicI32::new(FIRST[i])),
            linger: Default::default(),
            stamp: AtomicU32::new(0),
            rcv_timeout: AtomicU64::new(0),
            snd_timeout: AtomicU64::new(0),
        }
    }

    /// What an accepted socket takes over from the listening one: everything except the priority.
    pub fn inherit(&self, from: &Self) {
        let all = self.values.iter().zip(&from.values).chain(self.linger.iter().zip(&from.linger));
        all.for_each(|(to, from)| to.store(from.load(Relaxed), Relaxed));
        self.values[PRIORITY].store(0, Relaxed);
        self.rcv_timeout.store(from.rcv_timeout.load(Relaxed), Relaxed);
        self.snd_timeout.store(from.snd_timeout.load(Relaxed), Relaxed);
    }

    fn put(&self, name: i32, v: i32) {
        if let Some(kept) = row(name).and_then(|i| self.values.get(i)) {
            kept.store(v, Relaxed);
        }
    }

    /// IP_TOS was set: it also determines the priority (the classes of RFC 1349 as Linux maps them).
    pub fn tos(&self, tos: u8) {
        self.values[PRIORITY].store([0, 2, 6, 4][usize::from(tos >> 3 & 3)], Relaxed);
    }

    /// SO_RCVLOWAT.
    pub fn low(&self) -> usize {
        self.values[LOW].load(Relaxed) as usize
    }

    /// Whether SO_LINGER is on.
    pub fn lingers(&self) -> bool {
        self.linger[0].load(Relaxed) != 0
    }

    pub fn set(&self, ops: &dyn Ops, name: i32, value: &[u8]) -> Result<()> {
        let tell = |name, value: &[u8]| ops.set(sol::SOCKET, name, value);
        if name == so::BINDTODEVICE {
            return tell(name, value).unwrap_or(Err(Errno::ENOPROTOOPT));
        }
        let v = int(value)?;
        privileged(name, v)?;
        let (name, v) = match name {
            so::RCVTIMEO | so::RCVTIMEO_NEW => return set_timeout(&self.rcv_timeout, value),
            so::SNDTIMEO | so::SNDTIMEO_NEW => return set_timeout(&self.snd_timeout, value),
            so::LINGER => {
                let secs = int(value.get(4..).unwrap_or(&[]))?;
                let _ = tell(name, value);
                self.linger[0].store(i32::from(v != 0), Relaxed);
                // Turning it off keeps the previous time.
                if v != 0 {
                    self.linger[1].store(secs, Relaxed);
                }
                return Ok(());
            }
            so::TIMESTAMP | so::TIMESTAMPNS | so::TIMESTAMP_NEW | so::TIMESTAMPNS_NEW => {
                let stamp = if v != 0 { name } else { 0 };
                tell(so::TIMESTAMP, &stamp.to_le_bytes()).unwrap_or(Ok(()))?;
                self.stamp.store(stamp as u32, Relaxed);
                return Ok(());
            }
            so::PASSCRED | so::PASSSEC | so::PEEK_OFF if unsupported(ops, name) => return Err(Errno::EOPNOTSUPP),
            so::REUSEPORT if v != 0 && !internet(ops) => return Err(Errno::EOPNOTSUPP),
            so::SNDBUFFORCE => (so::SNDBUF, v.max(0)),
            so::RCVBUFFORCE => (so::RCVBUF, v.max(0)),
            _ => (name, v),
        };
        let Some(i) = row(name) else { return tell(name, value).unwrap_or(Err(Errno::ENOPROTOOPT)) };
        let v = match ROWS[i].2 {
            Rule::Flag => i32::from(v != 0),
            Rule::Any => v,
            Rule::Low if v < 0 => i32::MAX,
            Rule::Low => v.max(1),
            // A negative size is a huge one.
            rule @ (Rule::Send | Rule::Receive) => {
                let least = if rule == Rule::Send { 4608 } else { 2304 };
                ((v as u32).min(BUF_MAX as u32 / 2) as i32 * 2).max(least)
            }
            Rule::Nothing => return Ok(()),
            Rule::Only if v == first(i) => return Ok(()),
            Rule::Only if name == so::ZEROCOPY => return Err(Errno::EOPNOTSUPP),
            Rule::Only | Rule::Read => return Err(Errno::ENOPROTOOPT),
        };
        tell(name, &v.to_le_bytes()).unwrap_or(Ok(()))?;
        self.put(name, v);
        Ok(())
    }

    /// `getsockopt`. `cookie`: a number that no other socket has.
    pub fn get(&self, ops: &dyn Ops, name: i32, cookie: u64) -> Result<Vec<u8>> {
        let (domain, ty, proto) = ops.identity();
        if let Some(r) = ops.get(sol::SOCKET, name) {
            return r;
        }
        let n = match name {
            so::TYPE => ty,
            so::DOMAIN => u32::from(domain),
            so::PROTOCOL => proto,
            so::RCVTIMEO | so::RCVTIMEO_NEW => return get_timeout(&self.rcv_timeout),
            so::SNDTIMEO | so::SNDTIMEO_NEW => return get_timeout(&self.snd_timeout),
            so::LINGER => return Ok(words(&[0, 1].map(|i| self.linger[i].load(Relaxed) as u32))),
            // Nobody: process 0, and no user or group.
            so::PEERCRED => return Ok(words(&[0, u32::MAX, u32::MAX])),
            so::COOKIE => return Ok(words(&[cookie as u32, (cookie >> 32) as u32])),
            so::TIMESTAMP | so::TIMESTAMPNS | so::TIMESTAMP_NEW | so::TIMESTAMPNS_NEW => {
                u32::from(self.stamp.load(Relaxed) == name as u32)
            }
            so::PASSCRED | so::PASSSEC | so::PEEK_OFF if unsupported(ops, name) => return Err(Errno::EOPNOTSUPP),
            _ => {
                let i = row(name).ok_or(Errno::ENOPROTOOPT)?;
                self.values.get(i).map_or(first(i), |v| v.load(Relaxed)) as u32
            }
        };
        Ok(words(&[n]))
    }
}

/// An option value made of these words.
pub fn words(w: &[u32]) -> Vec<u8> {
    let mut v = Vec::with_capacity(4 * w.len());
    w.iter().for_each(|w| v.extend_from_slice(&w.to_le_bytes()));
    v
}

fn internet(ops: &dyn Ops) -> bool {
    matches!(ops.identity().0, af::INET | af::INET6)
}

/// EPERM, or Linux's error, if the value is reserved to administrators.
fn privileged(name: i32, v: i32) -> Result<()> {
    let admin = || capable(cap::NET_ADMIN);
    match name {
        so::DEBUG if v != 0 && !admin() => Err(Errno::EACCES),
        so::SNDBUFFORCE | so::RCVBUFFORCE if !admin() => Err(Errno::EPERM),
        so::PRIORITY if (0..=6).contains(&v) => Ok(()),
        so::PRIORITY | so::MARK if !admin() && !capable(cap::NET_RAW) => Err(Errno::EPERM),
        _ => Ok(()),
    }
}

/// Whether a family does not have the option at all.
fn unsupported(ops: &dyn Ops, name: i32) -> bool {
    name == so::PEEK_OFF || internet(ops)
}

fn set_timeout(timeout: &AtomicU64, value: &[u8]) -> Result<()> {
    let v: &[u8; 16] = value.first_chunk().ok_or(Errno::EINVAL)?;
    let half = |i: usize| i64::from_le_bytes(core::array::from_fn(|k| v[i + k]));
    let (sec, usec) = (half(0), half(8));
    if !(0..1_000_000).contains(&usec) {
        return Err(Errno::EDOM);
    }
    // On Linux a negative time means "at once", and zero "never".
    let ns = if sec < 0 { 1 } else { (sec as u64).saturating_mul(time::NS).saturating_add(usec as u64 * 1000) };
    timeout.store(ns, Relaxed);
    Ok(())
}

fn get_timeout(timeout: &AtomicU64) -> Result<Vec<u8>> {
    let ns = timeout.load(Relaxed);
    Ok(pair(ns / time::NS, ns % time::NS / 1000))
}

/// struct timeval or timespec.
fn pair(seconds: u64, part: u64) -> Vec<u8> {
    words(&[seconds as u32, (seconds >> 32) as u32, part as u32, 0])
}

/// The control message that a SO_TIMESTAMP option asks for: level, type, struct timeval or timespec.
pub fn stamp_message(stamp: u8, ns: u64) -> (i32, i32, Vec<u8>) {
    let part = ns % time::NS;
    let nano = matches!(i32::from(stamp), so::TIMESTAMPNS | so::TIMESTAMPNS_NEW);
    (sol::SOCKET, i32::from(stamp), pair(ns / time::NS, if nano { part } else { part / 1000 }))
}
