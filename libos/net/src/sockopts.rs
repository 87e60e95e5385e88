//! SOL_SOCKET. Most of its options are plain numbers that mean the same in every family: a table says what they may be
//! set to, and the socket keeps them. A family that has to act on one hears of it first and may refuse it
//! ([`Ops::set`]), or keeps it itself ([`Ops::get`]).

use crate::addr::{AF_INET, AF_INET6};
use crate::options::int;
use crate::socket::{Ops, SOL_SOCKET};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};
use libos_base::cred::{cap, capable};
use libos_base::{Errno, Result, time};

/// SO_* that families act on.
pub const SO_REUSEADDR: i32 = 2;
pub const SO_ERROR: i32 = 4;
pub const SO_DONTROUTE: i32 = 5;
pub const SO_BROADCAST: i32 = 6;
pub const SO_SNDBUF: i32 = 7;
pub const SO_RCVBUF: i32 = 8;
pub const SO_KEEPALIVE: i32 = 9;
pub const SO_LINGER: i32 = 13;
pub const SO_REUSEPORT: i32 = 15;
pub const SO_PASSCRED: i32 = 16;
pub const SO_PEERCRED: i32 = 17;
pub const SO_RCVLOWAT: i32 = 18;
pub const SO_BINDTODEVICE: i32 = 25;
pub const SO_TIMESTAMP: i32 = 29;
pub const SO_ACCEPTCONN: i32 = 30;
pub const SO_TIMESTAMPNS: i32 = 35;
pub const SO_BINDTOIFINDEX: i32 = 62;
const SO_DEBUG: i32 = 1;
const SO_TYPE: i32 = 3;
const SO_PRIORITY: i32 = 12;
const SO_RCVTIMEO: i32 = 20;
const SO_SNDTIMEO: i32 = 21;
const SO_SNDBUFFORCE: i32 = 32;
const SO_RCVBUFFORCE: i32 = 33;
const SO_PASSSEC: i32 = 34;
const SO_MARK: i32 = 36;
const SO_PROTOCOL: i32 = 38;
const SO_DOMAIN: i32 = 39;
const SO_PEEK_OFF: i32 = 42;
const SO_COOKIE: i32 = 57;
const SO_ZEROCOPY: i32 = 60;
const SO_TIMESTAMP_NEW: i32 = 63;
const SO_TIMESTAMPNS_NEW: i32 = 64;
const SO_RCVTIMEO_NEW: i32 = 66;
const SO_SNDTIMEO_NEW: i32 = 67;

/// Largest buffer that SO_RCVBUF and SO_SNDBUF may ask for, after Linux's doubling.
const BUF_MAX: i32 = 8 << 20;
/// net.core.rmem_default and wmem_default.
pub const BUF_DEFAULT: i32 = 212_992;

/// What an option may be set to.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// Anything; reads 0 or 1.
    Flag,
    /// Anything.
    Any,
    /// SO_RCVLOWAT: 0 is 1, negative is everything.
    Low,
    /// SO_SNDBUF and SO_RCVBUF: doubled, at least 4608 and 2304 bytes.
    Send,
    Receive,
    /// Anything; reads 0. As on Linux.
    Nothing,
    /// What it is already: what it would turn on is not there.
    Only,
    /// It is for reading.
    Read,
}

/// Rows that have a value of their own come first.
const KEPT: usize = 14;

/// Name, value at first, rule.
static ROWS: [(u8, i8, Rule); 31] = [
    (SO_REUSEADDR as u8, 0, Rule::Flag),
    (SO_DEBUG as u8, 0, Rule::Flag),
    (SO_DONTROUTE as u8, 0, Rule::Flag),
    (SO_BROADCAST as u8, 0, Rule::Flag),
    (SO_SNDBUF as u8, 0, Rule::Send),
    (SO_RCVBUF as u8, 0, Rule::Receive),
    (SO_KEEPALIVE as u8, 0, Rule::Flag),
    (10, 0, Rule::Flag), // SO_OOBINLINE
    (SO_PRIORITY as u8, 0, Rule::Any),
    (SO_REUSEPORT as u8, 0, Rule::Flag),
    (SO_PASSCRED as u8, 0, Rule::Flag),
    (SO_RCVLOWAT as u8, 1, Rule::Low),
    (SO_PASSSEC as u8, 0, Rule::Flag),
    (SO_MARK as u8, 0, Rule::Any),
    (SO_ERROR as u8, 0, Rule::Read),
    (11, 0, Rule::Only),    // SO_NO_CHECK
    (14, 0, Rule::Nothing), // SO_BSDCOMPAT
    (19, 1, Rule::Read),    // SO_SNDLOWAT
    (SO_ACCEPTCONN as u8, 0, Rule::Read),
    (37, 0, Rule::Only),  // SO_TIMESTAMPING
    (40, 0, Rule::Only),  // SO_RXQ_OVFL
    (41, 0, Rule::Only),  // SO_WIFI_STATUS
    (43, 0, Rule::Only),  // SO_NOFCS
    (44, 0, Rule::Only),  // SO_LOCK_FILTER
    (45, 0, Rule::Only),  // SO_SELECT_ERR_QUEUE
    (46, 0, Rule::Only),  // SO_BUSY_POLL
    (47, -1, Rule::Only), // SO_MAX_PACING_RATE
    (49, -1, Rule::Only), // SO_INCOMING_CPU
    (SO_ZEROCOPY as u8, 0, Rule::Only),
    (69, 0, Rule::Only), // SO_PREFER_BUSY_POLL
    (75, 0, Rule::Only), // SO_RCVMARK
];

fn first(i: usize) -> i32 {
    if matches!(ROWS[i].2, Rule::Send | Rule::Receive) { BUF_DEFAULT } else { ROWS[i].1.into() }
}

fn row(name: i32) -> Option<usize> {
    ROWS.iter().position(|r| i32::from(r.0) == name)
}

/// What a socket keeps of this level.
pub struct Common {
    values: [AtomicI32; KEPT],
    /// SO_LINGER: whether, and seconds.
    linger: [AtomicI32; 2],
    /// Which of the SO_TIMESTAMP options is on; 0: none.
    stamp: AtomicU32,
    /// Nanoseconds; 0: for ever.
    pub rcv_timeout: AtomicU64,
    pub snd_timeout: AtomicU64,
}

impl Common {
    /// As `socket` makes it.
    pub fn new() -> Self {
        Self {
            values: core::array::from_fn(|i| AtomicI32::new(first(i))),
            linger: Default::default(),
            stamp: AtomicU32::new(0),
            rcv_timeout: AtomicU64::new(0),
            snd_timeout: AtomicU64::new(0),
        }
    }

    /// What an accepted socket has from the listening one: everything but the priority.
    pub fn inherit(&self, from: &Self) {
        let all = self.values.iter().zip(&from.values).chain(self.linger.iter().zip(&from.linger));
        all.for_each(|(to, from)| to.store(from.load(Relaxed), Relaxed));
        self.put(SO_PRIORITY, 0);
        self.rcv_timeout.store(from.rcv_timeout.load(Relaxed), Relaxed);
        self.snd_timeout.store(from.snd_timeout.load(Relaxed), Relaxed);
    }

    fn put(&self, name: i32, v: i32) {
        if let Some(kept) = row(name).and_then(|i| self.values.get(i)) {
            kept.store(v, Relaxed);
        }
    }

    /// IP_TOS has been set: it says the priority as well (the classes of RFC 1349 as Linux maps them).
    pub fn tos(&self, tos: u8) {
        self.put(SO_PRIORITY, [0, 2, 6, 4][usize::from(tos >> 3 & 3)]);
    }

    /// SO_RCVLOWAT.
    pub fn low(&self) -> usize {
        row(SO_RCVLOWAT).map_or(1, |i| self.values[i].load(Relaxed) as usize)
    }

    /// `setsockopt`.
    pub fn set(&self, ops: &dyn Ops, name: i32, value: &[u8]) -> Result<()> {
        let tell = |name, value: &[u8]| ops.set(SOL_SOCKET, name, value);
        if name == SO_BINDTODEVICE {
            return tell(name, value).unwrap_or(Err(Errno::ENOPROTOOPT));
        }
        let v = int(value)?;
        privileged(name, v)?;
        let (name, v) = match name {
            SO_RCVTIMEO | SO_RCVTIMEO_NEW => return set_timeout(&self.rcv_timeout, value),
            SO_SNDTIMEO | SO_SNDTIMEO_NEW => return set_timeout(&self.snd_timeout, value),
            SO_LINGER => {
                let secs = int(value.get(4..).unwrap_or(&[]))?;
                let _ = tell(name, value);
                self.linger[0].store(i32::from(v != 0), Relaxed);
                // Turning it off leaves the time that it had.
                if v != 0 {
                    self.linger[1].store(secs, Relaxed);
                }
                return Ok(());
            }
            SO_TIMESTAMP | SO_TIMESTAMPNS | SO_TIMESTAMP_NEW | SO_TIMESTAMPNS_NEW => {
                let stamp = if v != 0 { name } else { 0 };
                tell(SO_TIMESTAMP, &stamp.to_le_bytes()).unwrap_or(Ok(()))?;
                self.stamp.store(stamp as u32, Relaxed);
                return Ok(());
            }
            SO_PASSCRED | SO_PASSSEC | SO_PEEK_OFF if unsupported(ops, name) => return Err(Errno::EOPNOTSUPP),
            SO_REUSEPORT if v != 0 && !internet(ops) => return Err(Errno::EOPNOTSUPP),
            SO_SNDBUFFORCE => (SO_SNDBUF, v.max(0)),
            SO_RCVBUFFORCE => (SO_RCVBUF, v.max(0)),
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
            Rule::Only if name == SO_ZEROCOPY => return Err(Errno::EOPNOTSUPP),
            Rule::Only | Rule::Read => return Err(Errno::ENOPROTOOPT),
        };
        tell(name, &v.to_le_bytes()).unwrap_or(Ok(()))?;
        self.put(name, v);
        Ok(())
    }

    /// `getsockopt`. `cookie`: a number that no other socket has.
    pub fn get(&self, ops: &dyn Ops, name: i32, cookie: u64) -> Result<Vec<u8>> {
        let (domain, ty, proto) = ops.identity();
        if let Some(r) = ops.get(SOL_SOCKET, name) {
            return r;
        }
        let n = match name {
            SO_TYPE => ty,
            SO_DOMAIN => u32::from(domain),
            SO_PROTOCOL => proto,
            SO_RCVTIMEO | SO_RCVTIMEO_NEW => return get_timeout(&self.rcv_timeout),
            SO_SNDTIMEO | SO_SNDTIMEO_NEW => return get_timeout(&self.snd_timeout),
            SO_LINGER => return Ok(words(&[0, 1].map(|i| self.linger[i].load(Relaxed) as u32))),
            // Nobody: process 0, and no user or group.
            SO_PEERCRED => return Ok(words(&[0, u32::MAX, u32::MAX])),
            SO_COOKIE => return Ok(words(&[cookie as u32, (cookie >> 32) as u32])),
            SO_TIMESTAMP | SO_TIMESTAMPNS | SO_TIMESTAMP_NEW | SO_TIMESTAMPNS_NEW => {
                u32::from(self.stamp.load(Relaxed) == name as u32)
            }
            SO_PASSCRED | SO_PASSSEC | SO_PEEK_OFF if unsupported(ops, name) => return Err(Errno::EOPNOTSUPP),
            _ => {
                let i = row(name).ok_or(Errno::ENOPROTOOPT)?;
                self.values.get(i).map_or(first(i), |v| v.load(Relaxed)) as u32
            }
        };
        Ok(words(&[n]))
    }
}

/// An option value of this many words.
pub fn words(w: &[u32]) -> Vec<u8> {
    let mut v = Vec::with_capacity(4 * w.len());
    w.iter().for_each(|w| v.extend_from_slice(&w.to_le_bytes()));
    v
}

fn internet(ops: &dyn Ops) -> bool {
    matches!(ops.identity().0, AF_INET | AF_INET6)
}

/// EPERM, or what Linux says, where the value is for those who run the network.
fn privileged(name: i32, v: i32) -> Result<()> {
    let admin = || capable(cap::NET_ADMIN);
    match name {
        SO_DEBUG if v != 0 && !admin() => Err(Errno::EACCES),
        SO_SNDBUFFORCE | SO_RCVBUFFORCE if !admin() => Err(Errno::EPERM),
        SO_PRIORITY if (0..=6).contains(&v) => Ok(()),
        SO_PRIORITY | SO_MARK if !admin() && !capable(cap::NET_RAW) => Err(Errno::EPERM),
        _ => Ok(()),
    }
}

/// What a family does not have at all.
fn unsupported(ops: &dyn Ops, name: i32) -> bool {
    name == SO_PEEK_OFF || internet(ops)
}

fn set_timeout(timeout: &AtomicU64, value: &[u8]) -> Result<()> {
    let v: &[u8; 16] = value.first_chunk().ok_or(Errno::EINVAL)?;
    let half = |i: usize| i64::from_le_bytes(core::array::from_fn(|k| v[i + k]));
    let (sec, usec) = (half(0), half(8));
    if !(0..1_000_000).contains(&usec) {
        return Err(Errno::EDOM);
    }
    // A negative time is "at once" on Linux; zero is never.
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
    let nano = matches!(i32::from(stamp), SO_TIMESTAMPNS | SO_TIMESTAMPNS_NEW);
    (SOL_SOCKET, i32::from(stamp), pair(ns / time::NS, if nano { part } else { part / 1000 }))
}
