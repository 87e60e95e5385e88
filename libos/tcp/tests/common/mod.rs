//! Two connections joined by a link in memory, with a clock driven by the test: the same run every time.
#![allow(dead_code, reason = "each test program uses its own part of this")]

use libos_tcp::{ACK, Config, Connection, Pool, Segment, Seq, State, Transmit, Verdict};
use std::collections::BinaryHeap;

pub const S: u64 = 1_000_000_000;
pub const MS: u64 = 1_000_000;

/// What the link does to segments, out of 1,000.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    pub loss: u64,
    pub reorder: u64,
    pub duplicate: u64,
    /// Nanoseconds each way, and how much later a reordered segment comes.
    pub delay: u64,
    pub late: u64,
    /// Bytes per second; 0: no limit. More than `queue` bytes are not kept waiting.
    pub rate: u64,
    pub queue: u64,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Wire {
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    pub options: Vec<u8>,
    pub data: Vec<u8>,
}

#[derive(PartialEq, Eq)]
struct Arrival(std::cmp::Reverse<(u64, u64)>, usize, Wire);
impl PartialOrd for Arrival {
    fn partial_cmp(&self, o: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(o))
    }
}
impl Ord for Arrival {
    fn cmp(&self, o: &Self) -> std::cmp::Ordering {
        self.0.cmp(&o.0)
    }
}

pub struct Host {
    pub c: Connection,
    pub pool: Pool,
    pub sent: Vec<Wire>,
    /// When the link towards the other one is free.
    free: u64,
}

pub struct World {
    pub now: u64,
    pub hosts: [Host; 2],
    pub weather: Weather,
    pub seed: u64,
    /// Segments on the way to a host.
    air: BinaryHeap<Arrival>,
    count: u64,
    pub segments: u64,
    pub cut: [bool; 2],
    /// What the first host sends from this number on is dropped once; how much was.
    pub tail: Option<Seq>,
    pub dropped: u64,
    /// The card cuts segments of at most this much.
    pub most: usize,
}

pub fn config() -> Config {
    Config {
        mss: 1460,
        receive: (64 << 10, 4 << 20),
        send: (128 << 10, 4 << 20),
        ack_delay: 40 * MS,
        algorithm: Default::default(),
    }
}

impl World {
    /// Two hosts of which the first is about to connect to the second.
    pub fn new(a: &Config, b: &Config, weather: Weather) -> Self {
        let host = |c| Host { c, pool: Pool::new(64 << 20), sent: Vec::new(), free: 0 };
        let now = S;
        let mut hosts = [host(Connection::connect(Seq(u32::MAX - 1000), a, now)), {
            // A place for the connection that the SYN makes.
            host(Connection::connect(Seq(7), b, now))
        }];
        let syn = hosts[0].c.transmit(now, 0).unwrap();
        let wire = wire(&hosts[0].c, &syn, 0, 0);
        hosts[1].c = Connection::accept(Seq(77_777), b, &segment(&wire), now);
        Self {
            now,
            hosts,
            weather,
            seed: 1,
            air: BinaryHeap::new(),
            count: 0,
            segments: 0,
            cut: [false; 2],
            tail: None,
            dropped: 0,
            most: 0,
        }
    }

    /// Both connect to each other.
    pub fn connecting(weather: Weather) -> Self {
        let mut w = Self::new(&config(), &config(), weather);
        w.hosts[0].c = Connection::connect(Seq(u32::MAX - 1000), &config(), w.now);
        w.hosts[1].c = Connection::connect(Seq(7), &config(), w.now);
        w
    }

    pub fn connected(weather: Weather) -> Self {
        let mut w = Self::new(&config(), &config(), weather);
        assert!(w.until(100 * S, |w| w.hosts.iter().all(|h| h.c.state() == State::Established)));
        w
    }

    fn dice(&mut self, of: u64) -> bool {
        self.seed = self.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.seed >> 33) % 1000 < of
    }

    fn send(&mut self, from: usize, s: Wire) {
        self.segments += 1;
        self.hosts[from].sent.push(s.clone());
        let w = self.weather;
        let lost = self.dice(w.loss);
        if let (0, Some(tail)) = (from, self.tail)
            && !Seq(s.seq).before(tail)
            && !s.data.is_empty()
        {
            self.tail = Some(Seq(s.seq) + s.data.len() as u32);
            self.dropped += 1;
            return;
        }
        if lost || self.cut[from] {
            return;
        }
        let mut at = self.now;
        if w.rate > 0 {
            let free = self.hosts[from].free.max(at);
            if (free - at) * w.rate / S > w.queue {
                return;
            }
            at = free + (s.data.len() as u64 + 54) * S / w.rate;
            self.hosts[from].free = at;
        }
        at += w.delay;
        if self.dice(w.reorder) {
            at += w.late;
        }
        let twice = self.dice(w.duplicate);
        for _ in 0..1 + usize::from(twice) {
            self.count += 1;
            self.air.push(Arrival(std::cmp::Reverse((at, self.count)), 1 - from, s.clone()));
        }
    }

    /// Sends what can be sent.
    pub fn pump(&mut self) {
        for i in 0..2 {
            let mut turns = 0;
            while let Some(t) = self.hosts[i].c.transmit(self.now, self.most) {
                turns += 1;
                assert!(turns < 10_000, "it does not stop sending");
                if t.gso == 0 {
                    let s = wire(&self.hosts[i].c, &t, 0, t.len);
                    self.send(i, s);
                    continue;
                }
                for at in (0..t.len).step_by(t.gso.into()) {
                    let n = usize::from(t.gso).min(t.len - at);
                    let s = wire(&self.hosts[i].c, &t, at, n);
                    self.send(i, s);
                }
            }
        }
    }

    /// Until `done`, or for `limit`. Returns whether it is done.
    pub fn until(&mut self, limit: u64, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 5_000_000, "it spins");
            self.pump();
            if done(self) {
                return true;
            }
            self.pump();
            let mut next = self.hosts.iter().map(|h| h.c.next_deadline()).min().unwrap();
            if let Some(a) = self.air.peek() {
                next = next.min(a.0.0.0);
            }
            let arrives = self.air.peek().is_some_and(|a| a.0.0.0 <= self.now);
            let states = self.hosts.each_ref().map(|h| h.c.state());
            assert!(next > self.now || arrives, "a deadline has passed: {states:?}");
            if next > end {
                self.now = end;
                return done(self);
            }
            self.now = next.max(self.now);
            while self.air.peek().is_some_and(|a| a.0.0.0 <= self.now) {
                let Arrival(_, to, s) = self.air.pop().unwrap();
                let h = &mut self.hosts[to];
                if h.c.on_segment(self.now, &segment(&s), false, &mut h.pool) == Verdict::Challenge {
                    let (seq, ack, window) = h.c.position();
                    let (options, data) = (Vec::new(), Vec::new());
                    self.send(to, Wire { seq: seq.0, ack: ack.0, flags: ACK, window, options, data });
                }
                // As a stack does after each batch.
                self.pump();
            }
            for h in &mut self.hosts {
                if h.c.next_deadline() <= self.now {
                    h.c.on_timer(self.now, &mut h.pool);
                }
            }
        }
    }

    pub fn run(&mut self, time: u64) {
        self.until(time, |_| false);
    }

    pub fn write(&mut self, i: usize, data: &[u8]) -> usize {
        let Host { c, pool, .. } = &mut self.hosts[i];
        let most = c.room().min(data.len());
        let mut at = 0;
        c.write(pool, self.now, most, false, |to| {
            to.copy_from_slice(&data[at..at + to.len()]);
            at += to.len();
            to.len()
        })
    }

    pub fn read(&mut self, i: usize) -> Vec<u8> {
        let Host { c, pool, .. } = &mut self.hosts[i];
        let mut got = Vec::new();
        c.read(pool, self.now, |data| {
            got.extend_from_slice(data);
            data.len()
        });
        got
    }

    /// Sends `data` from a host to the other and checks every byte. Returns how long that took, and the longest pause.
    pub fn transfer(&mut self, from: usize, data: &[u8], limit: u64) -> (u64, u64) {
        let (start, mut sent, mut got) = (self.now, 0, Vec::new());
        let (mut last, mut pause) = (self.now, 0);
        let done = self.until(limit, |w| {
            while sent < data.len() {
                let n = w.write(from, &data[sent..]);
                sent += n;
                if n == 0 {
                    break;
                }
            }
            let more = w.read(1 - from);
            if !more.is_empty() {
                pause = pause.max(w.now - last);
                last = w.now;
                got.extend(more);
            }
            got.len() >= data.len()
        });
        assert!(done, "{} of {} bytes after {} ms", got.len(), data.len(), limit / MS);
        assert!(got == data, "bytes differ");
        (self.now - start, pause)
    }

    /// Both sides end; nothing is left.
    pub fn finish(mut self) {
        for i in 0..2 {
            self.hosts[i].c.finish(self.now);
        }
        let over = |c: &Connection| matches!(c.state(), State::Closed | State::TimeWait);
        assert!(self.until(300 * S, |w| w.hosts.iter().all(|h| over(&h.c))), "{:?}", self.hosts[0].c.state());
        for h in &mut self.hosts {
            h.c.release(&mut h.pool);
            assert_eq!(h.pool.used(), 0);
        }
    }
}

pub fn wire(c: &Connection, t: &Transmit, at: usize, n: usize) -> Wire {
    let mut data = vec![0; n];
    c.copy(t.offset + at, &mut data);
    let flags = if at + n < t.len { t.flags & !9 } else { t.flags };
    let options = t.options.bytes().to_vec();
    assert!(n + options.len() <= 1460, "longer than the MTU");
    assert_eq!(options.len() % 4, 0);
    Wire { seq: (t.seq + at as u32).0, ack: t.ack.0, flags, window: t.window, options, data }
}

pub fn segment(w: &Wire) -> Segment<'_> {
    let Wire { seq, ack, flags, window, options, data } = w;
    Segment { seq: Seq(*seq), ack: Seq(*ack), flags: *flags, window: *window, options, data }
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
