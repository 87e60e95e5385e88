//! Bulk data over bad links: every byte, in a time that follows from loss and round trip.
mod common;
use common::*;
use libos_tcp::ACK;

/// What a connection can do with a loss rate and a round trip, in ms for `bytes` (Padhye et al., SIGCOMM 1998, with a
/// timeout 200 ms above the round trip, as Linux has it).
fn model(bytes: f64, loss: f64, rtt: f64) -> u64 {
    let (rtt, rto) = (rtt / 1000.0, rtt / 1000.0 + 0.2);
    let timeouts = rto * (3.0 * (3.0 * loss / 8.0).sqrt()).min(1.0) * loss * (1.0 + 32.0 * loss * loss);
    (bytes / 1460.0 * (rtt * (2.0 * loss / 3.0).sqrt() + timeouts) * 1000.0) as u64
}

#[test]
fn four_megabytes_at_every_loss_and_round_trip() {
    let data = noise(4_000_000);
    for rtt in [20, 200] {
        for loss in [0, 10, 30, 100] {
            let mut times = Vec::new();
            for seed in 0..5 {
                let mut w = World::connected(Weather { delay: rtt * MS / 2, ..Weather::default() });
                w.seed = seed;
                w.weather.loss = loss;
                let (time, _) = w.transfer(0, &data, 1000 * S);
                times.push(time / MS);
                w.finish();
            }
            times.sort_unstable();
            println!("rtt {rtt} ms, loss {loss}/1000: {times:?} ms");
            // Nine doublings of the first window.
            let most = 9 * rtt + model(4e6, loss as f64 / 1000.0, rtt as f64) * 6 / 5;
            assert!(times[2] <= most, "rtt {rtt} ms, loss {loss}/1000: {times:?} ms, at most {most}");
        }
    }
}

#[test]
fn reordering_and_duplicates_stall_nothing() {
    let data = noise(4_000_000);
    for rtt in [1, 20, 200] {
        for seed in 0..5 {
            let delay = rtt * MS / 2;
            let weather =
                Weather { reorder: 250, duplicate: 50, delay, late: delay / 2 + 2 * MS, ..Weather::default() };
            let mut w = World::connected(weather);
            w.seed = seed;
            let (time, pause) = w.transfer(0, &data, 1000 * S);
            println!("rtt {rtt} ms: {} ms, longest pause {} ms", time / MS, pause / MS);
            assert!(pause < S && time < 3 * S + 60 * rtt * MS, "rtt {rtt}: {} ms, pause {}", time / MS, pause / MS);
            w.finish();
        }
    }
}

#[test]
fn a_slow_link_with_a_short_queue_is_kept_busy() {
    let data = noise(4_000_000);
    for queue in [32 << 10, 128 << 10] {
        // A megabyte a second.
        let weather = Weather { delay: 20 * MS, rate: 1_000_000, queue, ..Weather::default() };
        let mut w = World::connected(weather);
        let (time, pause) = w.transfer(0, &data, 100 * S);
        println!("queue {queue}: {} ms, longest pause {} ms", time / MS, pause / MS);
        assert!(time < 5200 * MS && pause < S, "{} ms, pause {}", time / MS, pause / MS);
    }
}

/// The last segments have nothing behind them that would tell of their loss.
#[test]
fn a_lost_tail_is_probed_for() {
    for lost in 1..6 {
        let mut w = World::connected(Weather { delay: 10 * MS, ..Weather::default() });
        w.transfer(0, &noise(30_000), S);
        w.run(S);
        let data = noise(14_600);
        let first = w.hosts[0].c.next().0 + (14_600 - 1460 * lost);
        // Everything from `first` on is dropped the first time.
        let (mut got, mut dropped) = (0, 0);
        w.write(0, &data);
        w.cut = [false; 2];
        w.tail = Some(first);
        let start = w.now;
        assert!(w.until(10 * S, |w| {
            got += w.read(1).len();
            dropped = dropped.max(w.dropped);
            got == data.len()
        }));
        let took = (w.now - start) / MS;
        println!("{lost} lost: {took} ms");
        assert!(dropped == u64::from(lost) && took < if lost == 1 { 300 } else { 200 }, "{lost}: {took} ms, {dropped}");
    }
}

#[test]
fn segmentation_by_the_card_changes_nothing() {
    let data = noise(4_000_000);
    let mut w = World::connected(Weather { delay: 10 * MS, loss: 20, ..Weather::default() });
    w.most = 64_000;
    let (time, _) = w.transfer(0, &data, 1000 * S);
    println!("{} ms", time / MS);
    assert!(time / MS < model(4e6, 0.02, 20.0) * 6 / 5);
    w.finish();
}

/// No way to the peer, or no room in the card.
#[test]
fn a_probe_that_could_not_be_sent_does_not_hold_up_what_follows() {
    let mut w = World::connected(Weather { delay: 10 * MS, ..Weather::default() });
    w.transfer(0, &noise(1000), S);
    w.run(S);
    w.write(0, &noise(4000));
    w.pump();
    w.now = w.hosts[0].c.next_deadline();
    let (now, expected) = (w.now, w.hosts[0].c.next());
    let Host { c, pool, .. } = &mut w.hosts[0];
    c.on_timer(now, pool);
    assert!(c.pending(now), "the probe");
    let (seq, ack, options, data) = (expected.1.0, expected.0.0, Vec::new(), Vec::new());
    let acknowledgment = Wire { seq, ack, flags: ACK, window: 1000, options, data };
    c.on_segment(now, &segment(&acknowledgment), false, pool);
    c.finish(now);
    w.pump();
    assert_eq!(w.hosts[0].sent.last().unwrap().flags & libos_tcp::FIN, libos_tcp::FIN);
}

/// What reordering looks like is a loss at first. Reports tell that it was none, even those that newer acknowledgments
/// overtake and those about data behind a hole; but copies that the network makes do not take back what is a loss.
#[test]
fn only_what_was_no_loss_is_taken_back() {
    let data = noise(4 << 20);
    for loss in [0, 10] {
        for rtt in [20, 200] {
            let mut times = Vec::new();
            for seed in 0..8 {
                let delay = rtt * MS / 2;
                let mut w = World::connected(Weather { delay, ..Weather::default() });
                w.weather = Weather { reorder: 250, duplicate: 50, late: delay / 2 + 2 * MS, loss, ..w.weather };
                w.seed = seed;
                times.push(w.transfer(0, &data, 1000 * S).0 / MS);
            }
            times.sort_unstable();
            println!("rtt {rtt} ms, loss {loss}/1000: {times:?} ms");
            let lossy = model(4e6, loss as f64 / 1000.0, rtt as f64);
            let (least, most) = if loss == 0 { (0, 25 * rtt) } else { (lossy / 2, lossy * 3 / 2) };
            assert!(times[2] >= least && times[7] <= most, "{times:?} ms, at least {least}, at most {most}");
        }
    }
}

#[test]
fn what_arrives_twice_behind_a_hole_is_reported() {
    let mut w = World::connected(Weather { delay: MS, ..Weather::default() });
    let (seq, ack, window) = w.hosts[0].c.position();
    let mut report = |at: u32| {
        let (options, data) = (Vec::new(), vec![0; 1000]);
        let s = Wire { seq: (seq + at).0, ack: ack.0, flags: ACK, window, options, data };
        let (now, Host { c, pool, .. }) = (w.now, &mut w.hosts[1]);
        c.on_segment(now, &segment(&s), false, pool);
        let t = c.transmit(now, 0).unwrap();
        let block = |b: &[u8]| u32::from_be_bytes(b.try_into().unwrap()).wrapping_sub(seq.0);
        t.options.bytes()[4..].chunks(4).map(block).collect::<Vec<_>>()
    };
    assert_eq!(report(1000), [1000, 2000]);
    assert_eq!(report(2000), [1000, 3000]);
    assert_eq!(report(1000), [1000, 2000, 1000, 3000]);
    assert_eq!(report(5000), [5000, 6000, 1000, 3000]);
}
