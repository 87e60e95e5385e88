//! Segments that no honest peer sends, at random: nothing panics, nothing spins, every connection ends and gives its
//! memory back; and what a third party may forge does not change a byte.
mod common;
use common::*;
use libos_tcp::{ACK, FIN, Limits, PSH, RST, SYN, Seq, State, Verdict};

struct Dice(u64);
impl Dice {
    fn roll(&mut self, of: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % u64::from(of)) as u32
    }
    /// Near `at`: exact, a little off, or anywhere.
    fn near(&mut self, at: u32) -> u32 {
        match self.roll(8) {
            0 | 1 => at,
            2 => at.wrapping_add(1),
            3 => at.wrapping_sub(1),
            4 => at.wrapping_add(self.roll(5000)),
            5 => at.wrapping_add(self.roll(100_000)).wrapping_sub(50_000),
            6 => at.wrapping_add(1 << 31).wrapping_add(self.roll(3)).wrapping_sub(1),
            _ => at.wrapping_add(self.roll(u32::MAX)),
        }
    }
    fn sack(&mut self, from: u32) -> Vec<u8> {
        let blocks = 1 + self.roll(4);
        let mut o = vec![1, 1, 5, 2 + 8 * blocks as u8];
        for _ in 0..2 * blocks {
            let edge = if self.roll(4) == 0 { self.near(from) } else { from.wrapping_add(self.roll(30_000)) };
            o.extend(edge.to_be_bytes());
        }
        o
    }
}

/// A segment of any kind for host `i`.
fn forged(w: &World, i: usize, d: &mut Dice) -> Wire {
    let (next, expected) = w.hosts[i].c.next();
    let flags = [ACK, ACK, ACK | PSH, ACK | FIN, SYN, SYN | ACK, RST, RST | ACK, FIN, 0, 63][d.roll(11) as usize];
    let flags = if flags & RST != 0 && d.roll(8) != 0 { ACK } else { flags };
    let options = match d.roll(5) {
        0 => d.sack(next.0.wrapping_sub(20_000)),
        1 => (0..4 * d.roll(9)).map(|_| d.roll(9) as u8).collect(),
        2 => vec![2, 4, 0, d.roll(256) as u8, 3, 3, d.roll(256) as u8, 1],
        _ => Vec::new(),
    };
    let data = if d.roll(3) == 0 { vec![9; d.roll(3000) as usize] } else { Vec::new() };
    let window = [0, 1, 40, d.roll(65536) as u16][d.roll(4) as usize];
    Wire { seq: d.near(expected.0), ack: d.near(next.0), flags, window, options, data }
}

fn inject(w: &mut World, i: usize, s: &Wire) {
    let unread = w.hosts[i].c.state() != State::Established && s.seq & 1 != 0;
    let Host { c, pool, .. } = &mut w.hosts[i];
    match c.on_segment(w.now, &segment(s), unread, pool) {
        Verdict::Challenge => drop(c.position()),
        Verdict::Unwanted => c.abort(pool),
        _ => {}
    }
    w.pump();
    let (c, open) = (&w.hosts[i].c, [State::Established, State::FinWait1, State::FinWait2]);
    assert!(!c.ended() || !open.contains(&c.state()), "its end is announced, but not noticed");
}

#[test]
fn nothing_that_arrives_panics_spins_or_keeps_memory() {
    for seed in 0..env(500) {
        let mut d = Dice(seed * 7919 + 1);
        let weather = Weather { delay: MS, loss: 30, reorder: 50, duplicate: 20, late: 3 * MS, ..Weather::default() };
        let mut w = match d.roll(3) {
            0 => World::connecting(weather),
            1 => World::new(&config(), &config(), weather),
            _ => World::connected(weather),
        };
        w.seed = seed;
        w.most = [0, 60_000][d.roll(2) as usize];
        for _ in 0..d.roll(150) {
            let i = d.roll(2) as usize;
            match d.roll(12) {
                0 if w.hosts[i].c.may_send() => drop(w.write(i, &noise(1 + d.roll(60_000) as usize))),
                1 if w.hosts[i].c.recv_queue() > 0 => drop(w.read(i)),
                2 => w.run(u64::from(d.roll(300)) * MS),
                3 if d.roll(20) == 0 => w.hosts[i].c.finish(w.now),
                4 if d.roll(60) == 0 => {
                    let Host { c, pool, .. } = &mut w.hosts[i];
                    c.abort(pool);
                }
                5 if d.roll(4) == 0 => {
                    let (next, _) = w.hosts[i].c.next();
                    w.hosts[i].c.path_narrows(Seq(d.near(next.0)), 500 + d.roll(1000));
                }
                6 if d.roll(4) == 0 => w.hosts[i].c.set_recv_capacity(d.roll(100_000) as usize),
                _ => {
                    let s = forged(&w, i, &mut d);
                    inject(&mut w, i, &s);
                }
            }
        }
        // The programs close, and the peers are gone.
        w.run(S);
        w.cut = [true; 2];
        for i in 0..2 {
            if w.hosts[i].c.state() == State::SynSent {
                let Host { c, pool, .. } = &mut w.hosts[i];
                c.abort(pool);
            }
            w.hosts[i].c.set_limits(Limits { orphan: true, ..Limits::default() });
            w.hosts[i].c.finish(w.now);
            let now = w.now;
            if w.hosts[i].c.state() == State::FinWait2 {
                w.hosts[i].c.fin_waits(now);
            }
        }
        w.run(500 * S);
        for h in &mut w.hosts {
            let state = h.c.state();
            // The handshake's end is the caller's.
            if !matches!(state, State::SynSent | State::SynReceived) {
                assert!(matches!(state, State::Closed | State::TimeWait), "{seed}: {state:?}");
            }
            h.c.release(&mut h.pool);
            assert_eq!(h.pool.used(), 0, "{seed}");
        }
    }
}

#[test]
fn forged_acknowledgments_windows_and_reports_change_no_byte() {
    for seed in 0..env(50) {
        let mut d = Dice(seed * 104_729 + 3);
        let mut w = World::connected(Weather { delay: 5 * MS, loss: 10, ..Weather::default() });
        w.seed = seed;
        let data = noise(300_000);
        let (mut sent, mut got) = (0, Vec::new());
        let mut forge = true;
        let end = w.now + 100 * S;
        while got.len() < data.len() {
            if w.now > end {
                forge = false;
            }
            assert!(w.now < end + 400 * S, "{seed}: {} of {}", got.len(), data.len());
            sent += w.write(0, &data[sent..]);
            if forge && d.roll(3) == 0 {
                // The sender hears lies, but for one: that data arrived which did not.
                let (una, expected) = (w.hosts[1].c.next().1, w.hosts[0].c.next().1);
                let back = if d.roll(2) == 0 { 0 } else { d.roll(3000) };
                let options = if d.roll(2) == 0 { d.sack(una.0) } else { Vec::new() };
                let window = [0, 1, 40, d.roll(65536) as u16][d.roll(4) as usize];
                let (ack, seq, flags, data) = (una.0.wrapping_sub(back), expected.0, ACK, Vec::new());
                inject(&mut w, 0, &Wire { seq, ack, flags, window, options, data });
            }
            w.run(u64::from(d.roll(30)) * MS);
            got.extend(w.read(1));
        }
        assert!(got == data, "{seed}");
        w.finish();
    }
}

fn env(usual: u64) -> u64 {
    std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}
