//! Two stacks joined by a wire in memory, with a clock driven by the test: minutes of protocol in milliseconds, and the
//! same run every time.
#![allow(dead_code, reason = "each test program uses its own part of this")]

pub mod raw;

use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::Events;
use libos_base::{Errno, Result};
use libos_net::addr::Addr;
use libos_net::config::{Ip4, Ip6, NetConfig, NoHooks};
use libos_net::device::{Caps, NetDevice, TxMeta};
use libos_net::net::Net;
use libos_net::socket::Socket;
use libos_net::tcp::TcpSocket;
use libos_net::udp::UdpSocket;
use smoltcp::wire::{IpAddress, Ipv4Address};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

pub const S: u64 = 1_000_000_000;
pub const MS: u64 = 1_000_000;

std::thread_local! { static CLOCK: Cell<u64> = const { Cell::new(1_000_000_000) }; }

pub fn now() -> u64 {
    CLOCK.get()
}

/// What the wire does to frames.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    /// Frames lost, out of 1,000.
    pub loss: u64,
    pub reorder: u64,
    pub duplicate: u64,
    /// Nanoseconds each way.
    pub delay: u64,
}

#[derive(Default)]
pub struct Direction {
    frames: VecDeque<(u64, Vec<u8>)>,
    pub weather: Weather,
    seed: u64,
    pub count: u64,
    pub cut: bool,
    /// The sender's card has no room.
    pub full: bool,
    /// The receiver's cable is unplugged, as its card reports it.
    pub down: bool,
    /// Copies of frames, if asked for.
    pub tap: Option<Vec<Vec<u8>>>,
}

impl Direction {
    fn dice(&mut self, of: u64) -> bool {
        self.seed = self.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.seed >> 33) % 1000 < of
    }
    pub fn push(&mut self, f: Vec<u8>) {
        self.count += 1;
        if let Some(t) = &mut self.tap {
            t.push(f.clone());
        }
        let w = self.weather;
        if self.cut || self.dice(w.loss) {
            return;
        }
        let mut at = now() + w.delay;
        if self.dice(w.reorder) {
            at += w.delay / 2 + 2_000_000;
        }
        if self.dice(w.duplicate) {
            self.frames.push_back((at, f.clone()));
        }
        self.frames.push_back((at, f));
    }
    fn pop(&mut self) -> Option<Vec<u8>> {
        let i = self.frames.iter().position(|f| f.0 <= now())?;
        self.frames.remove(i).map(|f| f.1)
    }
    fn next(&self) -> u64 {
        self.frames.iter().map(|f| f.0).min().unwrap_or(u64::MAX)
    }
}

pub type Half = Arc<Mutex<Direction>>;

pub struct Wire {
    pub mac: [u8; 6],
    pub rx: Half,
    pub tx: Half,
    pub caps: Caps,
    pub kicks: Arc<Mutex<u64>>,
}

impl NetDevice for Wire {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }
    fn mtu(&self) -> usize {
        1500
    }
    fn caps(&self) -> Caps {
        self.caps
    }
    fn receive(&mut self, f: &mut dyn FnMut(&[u8], bool)) -> bool {
        let Some(frame) = self.rx.lock().unwrap().pop() else { return false };
        f(&frame, false);
        true
    }
    fn tx_ready(&mut self) -> bool {
        let tx = self.tx.lock().unwrap();
        tx.frames.len() < 4096 && !tx.full
    }
    fn transmit(&mut self, len: usize, fill: &mut dyn FnMut(&mut [u8]) -> TxMeta) -> bool {
        let mut b = vec![0; len];
        let meta = fill(&mut b);
        for f in offload(b, meta) {
            assert!(f.len() <= 1514, "longer than the MTU: {}", f.len());
            self.tx.lock().unwrap().push(f);
        }
        true
    }
    fn flush(&mut self) {
        *self.kicks.lock().unwrap() += 1;
    }
    fn arm(&mut self, _: bool) -> bool {
        self.rx.lock().unwrap().next() <= now()
    }
    fn link_up(&self) -> bool {
        !self.rx.lock().unwrap().down
    }
}

/// What a card with offloads does: cuts segments, fills in checksums.
fn offload(frame: Vec<u8>, m: TxMeta) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    if m.gso_size == 0 {
        out.push(frame);
    } else {
        let h = m.header_len as usize;
        let tcp = m.csum_start as usize;
        let n = (frame.len() - h).div_ceil(m.gso_size as usize);
        for (i, part) in frame[h..].chunks(m.gso_size as usize).enumerate() {
            let mut f = frame[..h].to_vec();
            f.extend_from_slice(part);
            if f[12] == 8 {
                let ip_len = (f.len() - 14) as u16;
                f[16..18].copy_from_slice(&ip_len.to_be_bytes());
                f[24..26].fill(0);
                let sum = !sum(&f[14..34], 0);
                f[24..26].copy_from_slice(&sum.to_be_bytes());
            } else {
                let payload = (f.len() - 54) as u16;
                f[18..20].copy_from_slice(&payload.to_be_bytes());
            }
            let seq = u32::from_be_bytes(f[tcp + 4..tcp + 8].try_into().unwrap()) + i as u32 * u32::from(m.gso_size);
            f[tcp + 4..tcp + 8].copy_from_slice(&seq.to_be_bytes());
            if i + 1 < n {
                f[tcp + 13] &= !(1 | 8);
            }
            // The pseudo header has the length of the whole: correct it to this segment's.
            let whole = frame.len() - tcp;
            let mine = f.len() - tcp;
            let old = u16::from_be_bytes([f[tcp + 16], f[tcp + 17]]);
            let fixed = fold(u32::from(old) + u32::from(!(whole as u16)) + mine as u32);
            f[tcp + 16..tcp + 18].copy_from_slice(&fixed.to_be_bytes());
            out.push(f);
        }
    }
    if m.csum_start != 0 {
        for f in &mut out {
            let s = m.csum_start as usize;
            let c = !sum(&f[s..], 0);
            let at = s + m.csum_offset as usize;
            f[at..at + 2].copy_from_slice(&c.to_be_bytes());
        }
    }
    out
}

fn fold(mut s: u32) -> u16 {
    while s > 0xffff {
        s = (s & 0xffff) + (s >> 16);
    }
    s as u16
}

/// The one's complement sum, from `start` (RFC 1071).
pub fn sum(b: &[u8], start: u32) -> u16 {
    let mut s = start;
    for c in b.chunks(2) {
        s += u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0));
        s = u32::from(fold(s));
    }
    fold(s)
}

/// Two hosts: 10.0.0.1 and 10.0.0.2, and IPv6 link-local.
pub struct Pair {
    pub a: Arc<Net>,
    pub b: Arc<Net>,
    /// From a to b.
    pub ab: Half,
    /// From b to a.
    pub ba: Half,
}

pub const A: [u8; 4] = [10, 0, 0, 1];
pub const B: [u8; 4] = [10, 0, 0, 2];

pub struct Options {
    pub caps: Caps,
    pub weather: Weather,
    pub memory: usize,
    /// Whether the first host asks for its IPv4 address.
    pub dhcp: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            caps: Caps::default(),
            weather: Weather { delay: 50_000, ..Weather::default() },
            memory: 256 << 20,
            dhcp: false,
        }
    }
}

impl Pair {
    pub fn new() -> Self {
        Self::with(Options::default())
    }
    pub fn with(o: Options) -> Self {
        libos_net::multicast::provide();
        let dir = |seed| Arc::new(Mutex::new(Direction { weather: o.weather, seed, ..Direction::default() }));
        let (ab, ba) = (dir(1), dir(2));
        let host = |n: u8, rx: &Half, tx: &Half| {
            let w =
                Wire { mac: [2, 0, 0, 0, 0, n], rx: rx.clone(), tx: tx.clone(), caps: o.caps, kicks: Arc::default() };
            let config = NetConfig {
                ip4: match n {
                    1 if o.dhcp => Ip4::Dhcp,
                    _ => Ip4::Static { addr: Ipv4Address::new(10, 0, 0, n), prefix: 24, gateway: None },
                },
                ip6: Ip6::Auto,
                memory: o.memory,
                ..NetConfig::default()
            };
            Net::with_clock(&config, Some(Box::new(w)), Arc::new(NoHooks), now)
        };
        Self { a: host(1, &ba, &ab), b: host(2, &ab, &ba), ab, ba }
    }

    /// Lets time pass.
    pub fn run(&self, ns: u64) {
        let end = now() + ns;
        self.run_until(end, || false);
    }

    /// Runs until `done`, or until `end`. Returns whether it was done.
    pub fn run_until(&self, end: u64, mut done: impl FnMut() -> bool) -> bool {
        let mut turns = 0u64;
        loop {
            turns += 1;
            assert!(turns < 3_000_000, "the stacks spin");
            self.a.poll();
            self.b.poll();
            // Time stands still while the program has something to do.
            let before = self.moved();
            if done() {
                return true;
            }
            let mut next = self.a.poll().min(self.b.poll());
            if self.moved() != before {
                continue;
            }
            next = next.min(self.ab.lock().unwrap().next()).min(self.ba.lock().unwrap().next());
            if next > now() {
                if next >= end {
                    CLOCK.set(end);
                    self.a.poll();
                    self.b.poll();
                    return done();
                }
                CLOCK.set(next);
            }
        }
    }

    fn moved(&self) -> u64 {
        let n = |n: &Net| n.with(|st| st.stats.rx + st.stats.lo + st.stats.tx);
        n(&self.a) + n(&self.b)
    }

    /// For one second at most.
    pub fn until(&self, done: impl FnMut() -> bool) -> bool {
        self.run_until(now() + 1_000_000_000, done)
    }

    /// A connected pair of sockets: the client on a, the server on b.
    pub fn connect(&self, port: u16) -> (Arc<Socket>, Arc<Socket>) {
        let l = listen(&self.b, port, 16);
        let c = tcp(&self.a);
        assert_eq!(c.connect(&v4(B, port)), Err(Errno::EINPROGRESS));
        let mut s = None;
        assert!(self.until(|| {
            s = s.take().or_else(|| l.accept(true).ok().map(|s| s.0));
            s.is_some() && c.poll(None).contains(Events::OUT)
        }));
        (c, s.unwrap())
    }
}

pub fn v4(ip: [u8; 4], port: u16) -> Vec<u8> {
    Addr::inet((IpAddress::v4(ip[0], ip[1], ip[2], ip[3]), port), false, 0).as_bytes().to_vec()
}

pub fn v6(ip: &str, port: u16) -> Vec<u8> {
    Addr::inet((IpAddress::Ipv6(ip.parse().unwrap()), port), true, 2).as_bytes().to_vec()
}

pub fn tcp(n: &Arc<Net>) -> Arc<Socket> {
    Socket::new(TcpSocket::open(n, false).unwrap(), true)
}

pub fn tcp6(n: &Arc<Net>) -> Arc<Socket> {
    Socket::new(TcpSocket::open(n, true).unwrap(), true)
}

pub fn udp(n: &Arc<Net>) -> Arc<Socket> {
    Socket::new(UdpSocket::open(n, false).unwrap(), true)
}

pub fn listen(n: &Arc<Net>, port: u16, backlog: i32) -> Arc<Socket> {
    let l = tcp(n);
    l.set(1, 2, &1i32.to_le_bytes()).unwrap();
    l.ops().bind(&v4([0, 0, 0, 0], port)).unwrap();
    l.ops().listen(backlog).unwrap();
    l
}

pub fn send(s: &Socket, data: &[u8]) -> Result<usize> {
    s.write(&mut Source::kernel(data))
}

pub fn recv(s: &Socket, max: usize) -> Result<Vec<u8>> {
    let mut b = vec![0; max];
    let n = s.read(&mut Sink::kernel(&mut b))?;
    b.truncate(n);
    Ok(b)
}

/// Moves `data` from one socket to the other and checks every byte.
pub fn transfer(p: &Pair, from: &Socket, to: &Socket, data: &[u8], limit: u64) {
    let mut sent = 0;
    let mut got = Vec::new();
    let ok = p.run_until(now() + limit, || {
        while sent < data.len() {
            match send(from, &data[sent..]) {
                Ok(n) => sent += n,
                Err(Errno::EAGAIN) => break,
                Err(e) => panic!("send: {e}"),
            }
        }
        loop {
            match recv(to, 70_000) {
                Ok(d) => got.extend_from_slice(&d),
                Err(Errno::EAGAIN) => break,
                Err(e) => panic!("recv: {e}"),
            }
        }
        got.len() >= data.len()
    });
    assert!(ok, "{} of {} bytes arrived, {} were taken", got.len(), data.len(), sent);
    assert!(got == data, "bytes differ");
}

pub fn noise(n: usize) -> Vec<u8> {
    let mut x = 88172645463325252u64;
    (0..n)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x as u8
        })
        .collect()
}

pub fn error_of(s: &Socket) -> i32 {
    i32::from_le_bytes(s.get(1, 4).unwrap().try_into().unwrap())
}
