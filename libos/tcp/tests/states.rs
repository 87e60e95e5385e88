//! The state machine: handshakes, ends, closed windows, silent peers.
mod common;
use common::*;
use libos_tcp::{ACK, End, FIN, Limits, RST, SYN, State};

#[test]
fn a_handshake_survives_the_loss_of_any_of_its_segments() {
    for seed in 0..200 {
        let mut w = World::new(&config(), &config(), Weather { delay: 10 * MS, loss: 250, ..Weather::default() });
        w.seed = seed * 77;
        assert!(w.until(200 * S, |w| w.hosts.iter().all(|h| h.c.state() == State::Established)), "{seed}");
        w.weather.loss = 0;
        w.transfer(0, &noise(10_000), 10 * S);
        w.transfer(1, &noise(10_000), 10 * S);
        w.finish();
    }
}

#[test]
fn both_may_connect_at_once() {
    let mut w = World::connecting(Weather { delay: 10 * MS, ..Weather::default() });
    assert!(w.until(10 * S, |w| w.hosts.iter().all(|h| h.c.state() == State::Established)));
    w.transfer(0, &noise(100_000), 10 * S);
    w.transfer(1, &noise(100_000), 10 * S);
    w.finish();
}

#[test]
fn both_may_end_at_once_or_one_after_the_other() {
    for (first, second) in [(0, 0), (0, 5), (0, 100)] {
        for loss in [0, 300] {
            let mut w = World::connected(Weather { delay: 10 * MS, ..Weather::default() });
            w.weather.loss = loss;
            w.run(first * MS);
            w.hosts[0].c.finish(w.now);
            w.run(second * MS);
            w.write(1, b"late");
            w.hosts[1].c.finish(w.now);
            let heard = |w: &mut World| w.hosts[0].c.ended() && w.hosts[0].c.recv_queue() == 4;
            assert!(w.until(300 * S, heard), "{second} {loss} {:?}", w.hosts.each_ref().map(|h| h.c.state()));
            assert_eq!(w.read(0), b"late");
            w.finish();
        }
    }
}

#[test]
fn a_reset_is_heard_and_what_came_before_it_can_be_read() {
    let mut w = World::connected(Weather { delay: MS, ..Weather::default() });
    w.write(0, b"last words");
    w.run(10 * MS);
    let Host { c, pool, .. } = &mut w.hosts[0];
    c.abort(pool);
    w.run(10 * MS);
    assert_eq!(w.hosts[0].sent.last().unwrap().flags, RST | ACK);
    assert_eq!((w.hosts[1].c.state(), w.hosts[1].c.end()), (State::Closed, End::Reset));
    assert_eq!(w.read(1), b"last words");
}

#[test]
fn a_closed_window_is_probed_and_opens_at_once() {
    let mut w = World::connected(Weather { delay: 10 * MS, ..Weather::default() });
    let data = noise(1_000_000);
    let mut sent = 0;
    for _ in 0..50 {
        sent += w.write(0, &data[sent..]);
        w.run(20 * MS);
    }
    assert!(sent < data.len());
    let before = w.segments;
    w.run(600 * S);
    assert!((10..100).contains(&(w.segments - before)), "{} segments in ten minutes", w.segments - before);
    assert_eq!((w.hosts[0].c.resent(), w.hosts[0].c.end()), (0, End::Normal));
    let (start, mut got) = (w.now, Vec::new());
    assert!(w.until(10 * S, |w| {
        got.extend(w.read(1));
        sent += w.write(0, &data[sent..]);
        got.len() == data.len()
    }));
    assert!(got == data && w.now - start < S, "{} ms", (w.now - start) / MS);
    w.finish();
}

#[test]
fn a_silent_peer_is_given_up() {
    let silent = |limits: Limits, write: bool, from: u64, to: u64| {
        let mut w = World::connected(Weather { delay: 10 * MS, ..Weather::default() });
        w.hosts[0].c.set_limits(limits);
        w.run(S);
        w.cut = [true; 2];
        if write {
            w.write(0, b"unheard");
        }
        let start = w.now;
        assert!(w.until(2000 * S, |w| w.hosts[0].c.state() == State::Closed));
        assert_eq!(w.hosts[0].c.end(), End::TimedOut);
        assert!((from..=to).contains(&((w.now - start) / S)), "{} s", (w.now - start) / S);
    };
    silent(Limits::default(), true, 900, 1000);
    silent(Limits { user_timeout: 7 * S, ..Limits::default() }, true, 7, 8);
    silent(Limits { orphan: true, ..Limits::default() }, true, 95, 110);
    silent(Limits { keep_alive: Some((10 * S, 5 * S, 3)), ..Limits::default() }, false, 22, 26);
}

#[test]
fn small_segments_wait_for_each_other_and_for_what_was_announced() {
    let mut w = World::connected(Weather { delay: 10 * MS, ..Weather::default() });
    let count = |w: &World| w.hosts[0].sent.iter().filter(|s| !s.data.is_empty()).count();
    w.write(0, b"one");
    w.pump();
    w.write(0, b"two");
    w.pump();
    w.write(0, b"three");
    w.pump();
    assert_eq!(count(&w), 1, "Nagle");
    w.run(S);
    assert_eq!((count(&w), w.read(1)), (2, b"onetwothree".to_vec()));
    w.hosts[0].c.set_nodelay(true);
    for _ in 0..3 {
        w.write(0, b"now");
        w.pump();
    }
    assert_eq!(count(&w), 5);
    w.run(S);
    w.read(1);
    let Host { c, pool, .. } = &mut w.hosts[0];
    c.write(pool, w.now, 3000, true, |to| {
        to.fill(7);
        to.len()
    });
    w.run(100 * MS);
    assert_eq!(w.read(1).len(), 2920, "whole segments");
    w.run(150 * MS);
    assert_eq!(w.read(1).len(), 80);
}

#[test]
fn a_fin_goes_with_the_last_data() {
    let mut w = World::connected(Weather { delay: 10 * MS, ..Weather::default() });
    w.write(0, &noise(2000));
    w.hosts[0].c.finish(w.now);
    w.run(100 * MS);
    let last = w.hosts[0].sent.iter().rfind(|s| !s.data.is_empty()).unwrap();
    assert_eq!((last.data.len(), last.flags & FIN), (540, FIN));
    assert_eq!((w.hosts[1].c.state(), w.hosts[0].c.state()), (State::CloseWait, State::FinWait2));
    assert_eq!(w.hosts[0].sent[0].flags & SYN, 0, "the SYN was not counted");
}

/// Windows, options, and the initial window on the wire.
#[test]
fn the_first_flight_has_ten_segments() {
    let mut w = World::connected(Weather { delay: 100 * MS, ..Weather::default() });
    w.run(S);
    let before = w.hosts[0].sent.len();
    w.write(0, &noise(100_000));
    w.pump();
    assert_eq!(w.hosts[0].sent.len() - before, 10);
}

#[test]
fn a_larger_window_is_found_out_by_reading_fast() {
    let mut w = World::connected(Weather { delay: 100 * MS, ..Weather::default() });
    let before = w.hosts[1].c.recv_capacity();
    w.transfer(0, &noise(8_000_000), 10 * S);
    assert!(w.hosts[1].c.recv_capacity() >= 8 * before);
    assert!(w.hosts[0].c.send_capacity() > 1 << 20);
    w.run(S);
    assert_eq!((w.hosts[0].pool.used(), w.hosts[1].pool.used()), (0, 0), "idle connections hold nothing");
}

#[test]
fn a_narrower_path_makes_segments_smaller_if_the_report_is_genuine() {
    let mut w = World::connected(Weather { delay: 10 * MS, ..Weather::default() });
    let data = noise(100_000);
    w.write(0, &data);
    w.pump();
    let (next, window) = (w.hosts[0].c.next().0, w.hosts[0].c.congestion_window().size);
    assert!(!w.hosts[0].c.path_narrows(next, 960), "it was never sent");
    let c = &mut w.hosts[0].c;
    assert!(c.path_narrows(c.isn() + 1, 960) && c.mss() == 960);
    assert!(!c.path_narrows(c.isn() + 1, 1460), "wider");
    let before = w.hosts[0].sent.len();
    let mut got = Vec::new();
    assert!(w.until(S, |w| {
        got.extend(w.read(1));
        got.len() == data.len()
    }));
    assert!(got == data && w.hosts[0].sent[before..].iter().all(|s| s.data.len() <= 960));
    assert!(w.hosts[0].c.congestion_window().size >= window, "nothing was congested");
}

/// What the peer repeats has a lower number than what it sent before, and may be the only one to say that its window has
/// opened.
#[test]
fn a_window_in_a_repeated_segment_counts() {
    let mut w = World::connected(Weather { delay: 10 * MS, ..Weather::default() });
    w.write(0, &noise(1_000));
    w.pump();
    let (next, expected) = w.hosts[0].c.next();
    let mut hear = |seq: u32, ack: u32, window: u16| {
        let data = vec![1; 100];
        let s = Wire { seq, ack, flags: ACK, window, options: Vec::new(), data };
        let Host { c, pool, .. } = &mut w.hosts[0];
        c.on_segment(w.now, &segment(&s), false, pool);
    };
    // The first of two is lost, the second says that the window is closed.
    hear(expected.0.wrapping_add(100), next.0.wrapping_sub(1_000), 0);
    hear(expected.0, next.0, 1000);
    let before = w.hosts[0].sent.len();
    w.write(0, &noise(1_000));
    w.pump();
    assert!(w.hosts[0].sent[before..].iter().any(|s| s.data.len() == 1_000), "it waits for a closed window");
}

#[test]
fn nothing_follows_a_fin_that_arrived_early() {
    let mut w = World::connected(Weather { delay: 10 * MS, ..Weather::default() });
    let (next, expected) = w.hosts[0].c.next();
    let hear = |w: &mut World, at: u32, flags: u8, n: usize| {
        let (seq, data) = (expected.0.wrapping_add(at), vec![1; n]);
        let s = Wire { seq, ack: next.0, flags, window: 1000, options: Vec::new(), data };
        let Host { c, pool, .. } = &mut w.hosts[0];
        c.on_segment(w.now, &segment(&s), false, pool);
    };
    hear(&mut w, 100, ACK | FIN, 0);
    hear(&mut w, 0, ACK, 200);
    assert_eq!((w.hosts[0].c.state(), w.hosts[0].c.ended()), (State::CloseWait, true));
    assert_eq!(w.read(0).len(), 100);
}
