//! No transfer may wait for a probe or a retransmission when nothing was lost, whatever the sizes, whoever reads first,
//! and whoever has ended its side. Time is the test's own, so that "at once" means at once.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::poll::Events;
use libos_net::socket::Socket;
use std::sync::Arc;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, of: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % of
    }
    /// Mostly small, sometimes large.
    fn size(&mut self, most: usize) -> usize {
        let bits = self.roll(most.ilog2() as usize + 1);
        1 + self.roll(1 << bits)
    }
}

/// One direction of a connection.
struct Flow {
    from: Arc<Socket>,
    to: Arc<Socket>,
    data: Vec<u8>,
    sent: usize,
    ended: bool,
    got: Vec<u8>,
    at_end: bool,
}

impl Flow {
    fn new(from: &Arc<Socket>, to: &Arc<Socket>, n: usize) -> Self {
        let (from, to) = (from.clone(), to.clone());
        Self { from, to, data: noise(n), sent: 0, ended: false, got: Vec::new(), at_end: false }
    }
    /// Writes until the buffer is full; then FIN.
    fn pour(&mut self, d: &mut Dice) {
        while self.sent < self.data.len() {
            let n = d.size(65536).min(self.data.len() - self.sent);
            match send(&self.from, &self.data[self.sent..self.sent + n]) {
                Ok(n) => self.sent += n,
                Err(Errno::EAGAIN) => return,
                Err(e) => panic!("send: {e}"),
            }
        }
        if !self.ended {
            self.ended = true;
            self.from.ops().shutdown(false, true).unwrap();
        }
    }
    /// Reads once. Returns whether there was anything.
    fn sip(&mut self, d: &mut Dice) -> bool {
        match recv(&self.to, d.size(70_000)) {
            Ok(data) if data.is_empty() => !std::mem::replace(&mut self.at_end, true),
            Ok(data) => {
                self.got.extend(data);
                true
            }
            Err(Errno::EAGAIN) => false,
            Err(e) => panic!("recv: {e}"),
        }
    }
}

fn connect(p: &Pair, lo: bool, d: &mut Dice) -> (Arc<Socket>, Arc<Socket>) {
    let (host, at) = if lo { (&p.a, [127, 0, 0, 1]) } else { (&p.b, B) };
    let (l, c) = (listen(host, 80, 4), tcp(&p.a));
    for s in [&l, &c] {
        for option in [7, 8] {
            if d.roll(2) == 0 {
                let n = (2048 + d.size(100_000)) as i32;
                s.set(1, option, &n.to_le_bytes()).unwrap();
            }
        }
        s.set(6, 1, &(d.roll(2) as i32).to_le_bytes()).unwrap();
    }
    assert_eq!(c.connect(&v4(at, 80)), Err(Errno::EINPROGRESS));
    assert!(p.until(|| l.poll(None).contains(Events::IN)));
    let s = l.accept(true).unwrap().0;
    (c, s)
}

/// Both ends write; `order` is read to its end first, while the other direction faces a closed window.
fn exchange(seed: u64, lo: bool, most: u64) {
    let p = Pair::new();
    let mut d = Dice(seed);
    p.run(3 * MS + seed * 1_234_567);
    let (c, s) = connect(&p, lo, &mut d);
    let total = d.size(1 << 20);
    let mut flows = [Flow::new(&c, &s, total), Flow::new(&s, &c, total)];
    if d.roll(2) == 0 {
        flows.swap(0, 1);
    }
    // Both windows close, and probes go out for a few seconds.
    for _ in 0..2 {
        flows.iter_mut().for_each(|f| f.pour(&mut d));
        p.run([0, 1500 * MS, 20_000 * MS][d.roll(3)]);
    }
    let alternate = d.roll(3) == 0;
    let start = now();
    while !flows.iter().all(|f| f.at_end) {
        let mut moved = false;
        flows.iter_mut().for_each(|f| f.pour(&mut d));
        let i = usize::from(flows[0].at_end);
        moved |= flows[i].sip(&mut d);
        if alternate {
            moved |= flows[1].sip(&mut d);
        }
        if !moved {
            let before = flows.iter().map(|f| f.got.len()).sum::<usize>();
            let here = now();
            let ready = || {
                let readable = |f: &Flow| !f.at_end && f.to.poll(None).contains(Events::IN);
                let writable = |f: &Flow| !f.ended && f.from.poll(None).contains(Events::OUT);
                readable(&flows[i]) || alternate && readable(&flows[1]) || flows.iter().any(writable)
            };
            let ok = p.run_until(now() + 100_000 * MS, ready);
            assert!(ok, "seed {seed}: stuck at {before} of {}", 2 * total);
            let waited = now() - here;
            assert!(waited <= most, "seed {seed}: {} us of waiting at {before} of {}", waited / 1000, 2 * total);
        }
    }
    for f in &flows {
        assert!(
            f.got == f.data,
            "seed {seed}: {} of {} bytes, sent {} lens {:?}",
            f.got.len(),
            f.data.len(),
            f.sent,
            (f.ended, f.at_end)
        );
    }
    assert!(now() - start < 60_000 * MS);
}

#[test]
fn over_loopback_nothing_waits_for_the_clock() {
    (0..100).for_each(|seed| exchange(seed, true, 0));
}

/// Over a card, only the delayed ACK (10 ms) and Nagle's algorithm may be waited for.
#[test]
fn over_a_card_nothing_waits_for_a_probe() {
    (0..100).for_each(|seed| exchange(seed, false, 25 * MS));
}
