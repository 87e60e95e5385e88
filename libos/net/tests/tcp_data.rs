//! TCP data between two stacks: in bulk, in small pieces, held back, and over bad wires.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::abi::{In, Out};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::Events;
use libos_net::device::Caps;
use libos_net::socket::{Incoming, Msg, Outgoing, Socket};
use std::sync::Arc;

#[test]
fn bulk_data_both_ways() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    let data = noise(3_000_000);
    transfer(&p, &c, &s, &data, 10 * S);
    transfer(&p, &s, &c, &data, 10 * S);
}

fn connect6(p: &Pair) -> (Arc<Socket>, Arc<Socket>) {
    let (l, c) = (tcp6(&p.b), tcp6(&p.a));
    l.ops().bind(&v6("::", 81)).unwrap();
    l.ops().listen(4).unwrap();
    assert_eq!(c.connect(&v6("fe80::ff:fe00:2", 81)), Err(Errno::EINPROGRESS));
    assert!(p.until(|| l.poll(None).contains(Events::IN)));
    (c, l.accept(true).unwrap().0)
}

#[test]
fn bulk_data_with_offloads() {
    let caps = Caps { tx_checksum: true, tso4: Some(65536), tso6: Some(65536) };
    let p = Pair::with(Options { caps, ..Options::default() });
    let data = noise(3_000_000);
    for (c, s) in [p.connect(80), connect6(&p)] {
        transfer(&p, &c, &s, &data, 10 * S);
        transfer(&p, &s, &c, &data, 10 * S);
    }
}

#[test]
fn loss_reordering_and_duplicates_change_no_byte() {
    for seed in 0..3u64 {
        let weather = Weather { loss: 30, reorder: 100, duplicate: 20, delay: 5 * MS + seed * 1000 };
        let p = Pair::with(Options { weather, ..Options::default() });
        let l = listen(&p.b, 80, 16);
        let c = tcp(&p.a);
        assert_eq!(c.connect(&v4(B, 80)), Err(Errno::EINPROGRESS));
        let mut s = None;
        assert!(p.run_until(now() + 60 * S, || {
            s = s.take().or_else(|| l.accept(true).ok().map(|s| s.0));
            s.is_some() && c.poll(None).contains(Events::OUT)
        }));
        let s = s.unwrap();
        let data = noise(300_000);
        transfer(&p, &c, &s, &data, 20 * S);
        transfer(&p, &s, &c, &data, 20 * S);
    }
}

#[test]
fn a_zero_window_stops_and_reading_resumes() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    let data = noise(1_000_000);
    let mut sent = 0;
    while sent < data.len() {
        match send(&c, &data[sent..]) {
            Ok(n) => sent += n,
            Err(Errno::EAGAIN) => {
                let before = p.ab.lock().unwrap().count;
                p.run(100 * MS);
                if p.ab.lock().unwrap().count == before {
                    break;
                }
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert!(sent < data.len(), "the receiver's window bounds what is taken");
    assert!(!c.poll(None).contains(Events::OUT));
    p.run(120 * S);
    assert_eq!(error_of(&c), 0, "probes keep it alive");
    // Reading opens the window at once: no need to wait for a probe.
    let mut got = Vec::new();
    let start = now();
    assert!(p.run_until(now() + 60 * S, || {
        while let Ok(d) = recv(&s, 65536) {
            got.extend_from_slice(&d);
        }
        while sent < data.len() {
            match send(&c, &data[sent..]) {
                Ok(n) => sent += n,
                Err(_) => break,
            }
        }
        got.len() == data.len()
    }));
    assert!(got == data);
    assert!(now() - start < S, "{} ms", (now() - start) / MS);
}

/// Request and response, like a server with small responses: no delayed ACK may ever be waited for.
#[test]
fn keep_alive_exchanges_do_not_stall() {
    for nodelay in [false, true] {
        let p = Pair::new();
        let (c, s) = p.connect(80);
        for x in [&c, &s] {
            x.set(6, 1, &i32::from(nodelay).to_le_bytes()).unwrap();
        }
        let start = now();
        for i in 0..200 {
            send(&c, &[b'q'; 60]).unwrap();
            assert!(p.until(|| s.poll(None).contains(Events::IN)));
            recv(&s, 100).unwrap();
            // Two writes, and sizes that are and are not multiples of a segment.
            send(&s, &[b'h'; 240]).unwrap();
            let n = 612 + 1460 * (i % 5);
            send(&s, &vec![b'b'; n]).unwrap();
            let mut got = 0;
            assert!(p.until(|| {
                while let Ok(d) = recv(&c, 65536) {
                    got += d.len();
                }
                got == n + 240
            }));
        }
        let each = (now() - start) / 200;
        // Nagle alone may cost a round trip and the client's delayed ACK (10 ms) between the two writes.
        let limit = if nodelay { MS } else { 12 * MS };
        assert!(each < limit, "nodelay {nodelay}: {each} ns an exchange");
    }
}

#[test]
fn one_big_response_needs_no_delayed_ack_at_its_end() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    for n in [1461, 3000, 10_000, 65_536, 100_001] {
        let start = now();
        transfer(&p, &s, &c, &noise(n), S);
        assert!(now() - start < 2 * MS, "{n}: {} us", (now() - start) / 1000);
        p.run(100 * MS);
    }
}

#[test]
fn cork_holds_back_and_lets_go() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    s.set(6, 3, &1i32.to_le_bytes()).unwrap();
    send(&s, b"header ").unwrap();
    p.run(50 * MS);
    assert_eq!(recv(&c, 100), Err(Errno::EAGAIN), "corked");
    let before = p.ba.lock().unwrap().count;
    send(&s, &vec![b'x'; 4000]).unwrap();
    p.run(50 * MS);
    let mut got = recv(&c, 10_000).unwrap();
    assert_eq!(got.len(), 2920, "full segments only");
    assert_eq!(p.ba.lock().unwrap().count - before, 2);
    s.set(6, 3, &0i32.to_le_bytes()).unwrap();
    p.run(5 * MS);
    got.extend(recv(&c, 10_000).unwrap());
    assert_eq!(got.len(), 4007);
    assert!(got.starts_with(b"header xxx"));
    // Nobody uncorks: 200 ms.
    s.set(6, 3, &1i32.to_le_bytes()).unwrap();
    send(&s, b"slow").unwrap();
    p.run(150 * MS);
    assert_eq!(recv(&c, 100), Err(Errno::EAGAIN));
    p.run(100 * MS);
    assert_eq!(recv(&c, 100).unwrap(), b"slow");
    // MSG_MORE is cork for one call; closing lets everything go.
    s.set(6, 3, &0i32.to_le_bytes()).unwrap();
    let more = Outgoing { flags: Msg::MORE, ..Outgoing::default() };
    s.send(&mut Source::kernel(b"a"), &more).unwrap();
    p.run(50 * MS);
    assert_eq!(recv(&c, 100), Err(Errno::EAGAIN));
    send(&s, b"b").unwrap();
    p.run(5 * MS);
    assert_eq!(recv(&c, 100).unwrap(), b"ab");
    s.send(&mut Source::kernel(b"end"), &more).unwrap();
    drop(s);
    p.run(5 * MS);
    assert_eq!(recv(&c, 100).unwrap(), b"end");
    assert_eq!(recv(&c, 100).unwrap(), b"");
}

#[test]
fn corked_bulk_arrives_whole() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    s.set(6, 3, &1i32.to_le_bytes()).unwrap();
    let data = noise(400_000);
    transfer(&p, &s, &c, &data, 60 * S);
}

#[test]
fn peek_waitall_and_trunc() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    send(&c, b"0123456789").unwrap();
    p.run(5 * MS);
    let mut b = [0; 4];
    let n = s.recv(&mut Sink::kernel(&mut b), &mut Incoming::new(Msg::PEEK)).unwrap();
    assert_eq!((n, &b), (4, b"0123"));
    let n = s.recv(&mut Sink::kernel(&mut b), &mut Incoming::new(Msg::TRUNC)).unwrap();
    assert_eq!(n, 4, "thrown away");
    assert_eq!(recv(&s, 100).unwrap(), b"456789");
}

#[test]
fn memory_that_is_not_the_programs_changes_nothing() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    let nowhere = 4096;
    assert_eq!(c.write(&mut Source::user(In::new(nowhere), 100).unwrap()), Err(Errno::EFAULT));
    assert_eq!(send(&c, b"hello"), Ok(5));
    assert!(p.until(|| s.poll(None).contains(Events::IN)));
    for flags in [Msg::PEEK, Msg::empty()] {
        let into = &mut Sink::user(Out::new(nowhere), 100).unwrap();
        assert_eq!(s.recv(into, &mut Incoming::new(flags)), Err(Errno::EFAULT));
    }
    assert_eq!(recv(&s, 10).unwrap(), b"hello");
    assert_eq!(recv(&s, 10), Err(Errno::EAGAIN), "nothing of what could not be read was sent");
}
