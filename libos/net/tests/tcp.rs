//! TCP between two stacks: connect, accept, data, close, and what goes wrong in between.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::Events;
use libos_net::device::Caps;
use libos_net::socket::{Incoming, Msg, Outgoing, Socket};

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

fn error_of(s: &Socket) -> i32 {
    i32::from_le_bytes(s.get(1, 4).unwrap().try_into().unwrap())
}

#[test]
fn a_connection_is_accepted_and_echoes() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    assert_eq!(send(&c, b"hello").unwrap(), 5);
    assert!(p.until(|| s.poll(None).contains(Events::IN)));
    assert_eq!(recv(&s, 100).unwrap(), b"hello");
    send(&s, b"world").unwrap();
    assert!(p.until(|| c.poll(None).contains(Events::IN)));
    assert_eq!(recv(&c, 100).unwrap(), b"world");
    assert_eq!(recv(&c, 100), Err(Errno::EAGAIN));
    drop(s);
    assert!(p.until(|| c.poll(None).contains(Events::RDHUP)));
    assert_eq!(recv(&c, 100).unwrap(), b"");
}

#[test]
fn bulk_data_both_ways() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    let data = noise(3_000_000);
    transfer(&p, &c, &s, &data, 10 * S);
    transfer(&p, &s, &c, &data, 10 * S);
}

#[test]
fn bulk_data_with_offloads() {
    let caps = Caps { tx_checksum: true, tso4: Some(65536) };
    let p = Pair::with(Options { caps, ..Options::default() });
    let (c, s) = p.connect(80);
    let data = noise(3_000_000);
    transfer(&p, &c, &s, &data, 10 * S);
    transfer(&p, &s, &c, &data, 10 * S);
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
        transfer(&p, &c, &s, &data, 900 * S);
        transfer(&p, &s, &c, &data, 900 * S);
    }
}

#[test]
fn poll_bits_follow_linux() {
    let p = Pair::new();
    let fresh = tcp(&p.a);
    assert_eq!(fresh.poll(None), Events::OUT | Events::WRNORM | Events::HUP);
    let l = listen(&p.b, 80, 16);
    assert_eq!(l.poll(None), Events::empty());
    assert_eq!(fresh.connect(&v4(B, 80)), Err(Errno::EINPROGRESS));
    assert_eq!(fresh.poll(None), Events::empty());
    assert_eq!(fresh.connect(&v4(B, 80)), Err(Errno::EALREADY));
    assert!(p.until(|| l.poll(None).contains(Events::IN) && fresh.poll(None).contains(Events::OUT)));
    assert_eq!(fresh.connect(&v4(B, 80)), Ok(()), "reports success once");
    assert_eq!(fresh.connect(&v4(B, 80)), Err(Errno::EISCONN));
    let (s, peer) = l.accept(true).unwrap();
    assert_eq!(peer.as_bytes()[4..8], A);
    assert_eq!(s.poll(None), Events::OUT | Events::WRNORM);
    fresh.ops().shutdown(false, true).unwrap();
    assert!(p.until(|| s.poll(None).contains(Events::RDHUP)));
    assert_eq!(s.poll(None), Events::IN | Events::RDNORM | Events::RDHUP | Events::OUT | Events::WRNORM);
    assert_eq!(recv(&s, 10).unwrap(), b"");
    // The other direction still works.
    send(&s, b"late").unwrap();
    assert!(p.until(|| fresh.poll(None).contains(Events::IN)));
    assert_eq!(recv(&fresh, 10).unwrap(), b"late");
    assert_eq!(send(&fresh, b"x"), Err(Errno::EPIPE));
    s.ops().shutdown(false, true).unwrap();
    assert!(p.until(|| s.poll(None).contains(Events::HUP) && fresh.poll(None).contains(Events::HUP)));
    assert_eq!(error_of(&s), 0);
}

#[test]
fn a_closed_port_refuses() {
    let p = Pair::new();
    let c = tcp(&p.a);
    assert_eq!(c.connect(&v4(B, 81)), Err(Errno::EINPROGRESS));
    assert!(p.until(|| c.poll(None).contains(Events::ERR)));
    assert!(c.poll(None).contains(Events::HUP | Events::IN | Events::OUT));
    assert_eq!(error_of(&c), Errno::ECONNREFUSED as i32);
    assert_eq!(error_of(&c), 0);
    // The socket can try again.
    let _l = listen(&p.b, 81, 1);
    assert!(matches!(c.connect(&v4(B, 81)), Err(Errno::EINPROGRESS | Errno::ECONNABORTED)));
    let _ = c.connect(&v4(B, 81));
    assert!(p.until(|| c.poll(None) == Events::OUT | Events::WRNORM));
}

#[test]
fn unreachable_and_silent_hosts() {
    let p = Pair::new();
    let c = tcp(&p.a);
    assert_eq!(c.connect(&v4([8, 8, 8, 8], 80)), Err(Errno::ENETUNREACH), "no route");
    let d = tcp(&p.a);
    assert_eq!(d.connect(&v4([10, 0, 0, 77], 80)), Err(Errno::EINPROGRESS), "nobody answers ARP");
    let start = now();
    assert!(p.run_until(now() + 200 * S, || d.poll(None).contains(Events::ERR)));
    assert_eq!(error_of(&d), Errno::ETIMEDOUT as i32);
    assert!((100 * S..140 * S).contains(&(now() - start)));
}

#[test]
fn close_with_unread_data_resets() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    send(&c, b"never read").unwrap();
    p.run(10 * MS);
    drop(s);
    assert!(p.until(|| c.poll(None).contains(Events::ERR)));
    assert_eq!(recv(&c, 10), Err(Errno::ECONNRESET));
    assert_eq!(recv(&c, 10).unwrap(), b"");
    assert_eq!(send(&c, b"x"), Err(Errno::EPIPE));
}

#[test]
fn data_before_a_reset_can_still_be_read() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    send(&s, b"last words").unwrap();
    p.run(10 * MS);
    s.set(1, 13, &[1, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    drop(s);
    assert!(p.until(|| c.poll(None).contains(Events::ERR)));
    assert_eq!(recv(&c, 100).unwrap(), b"last words");
    assert_eq!(recv(&c, 100), Err(Errno::ECONNRESET));
}

#[test]
fn names() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    assert_eq!(c.ops().peer().unwrap().as_bytes(), v4(B, 80));
    assert_eq!(s.ops().local().unwrap().as_bytes(), v4(B, 80));
    assert_eq!(c.ops().local().unwrap().as_bytes(), s.ops().peer().unwrap().as_bytes());
    let port = u16::from_be_bytes(c.ops().local().unwrap().as_bytes()[2..4].try_into().unwrap());
    assert!((32768..=60999).contains(&port));
    assert_eq!(tcp(&p.a).ops().peer().err(), Some(Errno::ENOTCONN));
}

#[test]
fn bind_conflicts() {
    let p = Pair::new();
    let bound = |reuse_addr: bool, reuse_port: bool, ip: [u8; 4]| {
        let s = tcp(&p.a);
        s.set(1, 2, &i32::from(reuse_addr).to_le_bytes()).unwrap();
        s.set(1, 15, &i32::from(reuse_port).to_le_bytes()).unwrap();
        s.ops().bind(&v4(ip, 5000)).map(|()| s)
    };
    let any = [0, 0, 0, 0];
    let one = bound(false, false, A).unwrap();
    assert_eq!(bound(true, true, any).err(), Some(Errno::EADDRINUSE));
    assert!(bound(false, false, [127, 0, 0, 1]).is_ok());
    assert_eq!(one.ops().bind(&v4(any, 1)).err(), Some(Errno::EINVAL), "bound twice");
    drop(one);
    let a = bound(true, false, any).unwrap();
    let b = bound(true, false, any).unwrap();
    a.ops().listen(1).unwrap();
    assert_eq!(b.ops().listen(1).err(), Some(Errno::EADDRINUSE));
    assert_eq!(bound(true, false, any).err(), Some(Errno::EADDRINUSE), "somebody listens");
    drop((a, b));
    let a = bound(false, true, any).unwrap();
    let b = bound(false, true, any).unwrap();
    a.ops().listen(1).unwrap();
    b.ops().listen(1).unwrap();
    drop((a, b));
    assert_eq!(bound(false, false, [10, 0, 0, 99]).err(), Some(Errno::EADDRNOTAVAIL));
    let zero = tcp(&p.a);
    zero.ops().bind(&v4(any, 0)).unwrap();
    assert_ne!(zero.ops().local().unwrap().as_bytes()[2..4], [0, 0]);
}

#[test]
fn a_port_with_time_wait_needs_reuseaddr() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    drop(s);
    p.run(10 * MS);
    assert_eq!(recv(&c, 1).unwrap(), b"");
    drop(c);
    p.run(10 * MS);
    assert_eq!(p.b.with(|st| (st.connections.len(), st.connections.waiting())), (0, 1), "only a tuple is left");
    let again = tcp(&p.b);
    let _ = again.ops().bind(&v4([0, 0, 0, 0], 80));
    let l = listen(&p.b, 80, 1);
    let c = tcp(&p.a);
    let _ = c.connect(&v4(B, 80));
    assert!(p.until(|| l.poll(None).contains(Events::IN)));
    drop((l, c, again));
    p.run(70 * S);
    assert_eq!(p.b.with(|st| st.connections.waiting()), 0);
}

#[test]
fn time_wait_knows_of_a_fin_that_a_full_card_kept_from_being_acknowledged() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    drop(s);
    p.run(10 * MS);
    assert_eq!(recv(&c, 1).unwrap(), b"");
    p.ba.lock().unwrap().full = true;
    drop(c);
    p.run(10 * MS);
    p.ba.lock().unwrap().full = false;
    let before = p.ba.lock().unwrap().count;
    p.run(5 * S);
    assert_eq!(p.a.with(|st| st.connections.len()), 0, "the peer has its acknowledgment");
    assert_eq!(p.b.with(|st| (st.connections.len(), st.connections.waiting())), (0, 1));
    assert!(p.ba.lock().unwrap().count - before <= 2, "and there is nothing more to say");
}

#[test]
fn a_new_syn_takes_over_a_time_wait_tuple() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 16);
    for round in 0..3 {
        let c = tcp(&p.a);
        c.set(1, 2, &1i32.to_le_bytes()).unwrap();
        c.ops().bind(&v4(A, 40000)).unwrap();
        let _ = c.connect(&v4(B, 80));
        let mut s = None;
        // A SYN whose number is not above the old one is answered with an ACK, gets an RST, and is repeated.
        let ok = p.run_until(now() + 10 * S, || {
            s = s.take().or_else(|| l.accept(true).ok().map(|s| s.0));
            s.is_some() && c.poll(None).contains(Events::OUT)
        });
        assert!(ok, "round {round}");
        drop(s);
        p.run(10 * MS);
        assert_eq!(recv(&c, 1).unwrap(), b"");
        drop(c);
        p.run(10 * MS);
        assert_eq!(p.b.with(|st| st.connections.waiting()), 1);
    }
}

#[test]
fn backlog_overflow_drops_syns_and_recovers() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 4);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let c = tcp(&p.a);
            let _ = c.connect(&v4(B, 80));
            c
        })
        .collect();
    p.run(500 * MS);
    let up = clients.iter().filter(|c| c.poll(None).contains(Events::OUT)).count();
    assert!((5..20).contains(&up), "{up} got through a backlog of 4");
    // As they are taken, the others come in by repeating their SYNs.
    let mut got = Vec::new();
    assert!(p.run_until(now() + 30 * S, || {
        while let Ok((s, _)) = l.accept(true) {
            got.push(s);
        }
        got.len() == 20
    }));
    assert!(clients.iter().all(|c| c.poll(None).contains(Events::OUT)));
}

#[test]
fn a_thousand_connections_and_churn_leak_nothing() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 4096);
    let mut all = Vec::new();
    for _ in 0..4 {
        let clients: Vec<_> = (0..300)
            .map(|_| {
                let c = tcp(&p.a);
                let _ = c.connect(&v4(B, 80));
                c
            })
            .collect();
        let mut servers = Vec::new();
        assert!(p.run_until(now() + 20 * S, || {
            while let Ok((s, _)) = l.accept(true) {
                servers.push(s);
            }
            servers.len() == 300
        }));
        all.push((clients, servers));
    }
    let n = p.b.with(|st| (st.connections.len(), st.connections.named()));
    assert_eq!(n, (1200, 1200));
    // Every one still works.
    for (clients, servers) in &all {
        for c in clients {
            send(c, b"ping").unwrap();
        }
        p.run(50 * MS);
        for s in servers {
            assert_eq!(recv(s, 10).unwrap(), b"ping");
        }
    }
    // Half are closed by the server, a quarter by the client, a quarter reset.
    for (i, (clients, servers)) in all.into_iter().enumerate() {
        match i {
            0 | 1 => drop(servers),
            2 => drop(clients),
            _ => {
                servers.iter().for_each(|s| s.set(1, 13, &[1, 0, 0, 0, 0, 0, 0, 0]).unwrap());
                drop(servers);
            }
        }
        p.run(100 * MS);
    }
    p.run(3 * S);
    drop(l);
    p.run(70 * S);
    for n in [&p.a, &p.b] {
        n.with(|st| {
            assert_eq!(
                (st.connections.len(), st.connections.named(), st.memory.used, st.connections.waiting()),
                (0, 0, 0, 0)
            );
            assert!(!(0..=u16::MAX).any(|p| st.ports.any_connection(p)));
            assert_eq!(st.connections.next_deadline(), u64::MAX);
        });
    }
}

#[test]
fn many_short_connections() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 128);
    for i in 0..3000 {
        let c = tcp(&p.a);
        let _ = c.connect(&v4(B, 80));
        let mut s = None;
        assert!(p.until(|| {
            s = s.take().or_else(|| l.accept(true).ok().map(|s| s.0));
            s.is_some()
        }));
        let s = s.unwrap();
        send(&c, b"GET").unwrap();
        assert!(p.until(|| s.poll(None).contains(Events::IN)), "{i}");
        recv(&s, 10).unwrap();
        send(&s, &[b'x'; 800]).unwrap();
        drop(s);
        assert!(p.until(|| c.poll(None).contains(Events::RDHUP)));
        assert_eq!(recv(&c, 1000).unwrap().len(), 800);
    }
    p.run(5 * S);
    p.b.with(|st| assert_eq!((st.connections.len(), st.memory.used), (0, 0)));
    assert!(p.b.with(|st| st.connections.waiting()) <= 8192);
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
    // Reading opens the window at once: no probe has to be waited for.
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

/// Request and response, as a server with small responses does: no delayed ACK may ever be waited for.
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
fn keepalive_finds_out_that_the_peer_is_gone() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    for (name, v) in [(4, 10i32), (5, 5), (6, 3)] {
        s.set(6, name, &v.to_le_bytes()).unwrap();
    }
    s.set(1, 9, &1i32.to_le_bytes()).unwrap();
    p.run(300 * S);
    assert_eq!(error_of(&s), 0, "the peer answers");
    assert!(!s.poll(None).contains(Events::ERR));
    p.ab.lock().unwrap().cut = true;
    p.ba.lock().unwrap().cut = true;
    let start = now();
    assert!(p.run_until(now() + 100 * S, || s.poll(None).contains(Events::ERR)));
    assert_eq!(error_of(&s), Errno::ETIMEDOUT as i32);
    let t = (now() - start) / S;
    assert!((15..=30).contains(&t), "{t} s");
    drop(c);
}

#[test]
fn user_timeout_ends_unacknowledged_data() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    c.set(6, 18, &7000i32.to_le_bytes()).unwrap();
    p.run(60 * S);
    assert_eq!(error_of(&c), 0, "an idle connection has nothing to wait for");
    p.ab.lock().unwrap().cut = true;
    send(&c, b"into the void").unwrap();
    let start = now();
    assert!(p.run_until(now() + 100 * S, || c.poll(None).contains(Events::ERR)));
    assert_eq!(error_of(&c), Errno::ETIMEDOUT as i32);
    assert!((7 * S..9 * S).contains(&(now() - start)));
    drop(s);
}

#[test]
fn deferred_accept_waits_for_data() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 16);
    l.set(6, 9, &5i32.to_le_bytes()).unwrap();
    let c = tcp(&p.a);
    let _ = c.connect(&v4(B, 80));
    p.run(S);
    assert!(c.poll(None).contains(Events::OUT));
    assert_eq!(l.accept(true).err(), Some(Errno::EAGAIN));
    send(&c, b"GET").unwrap();
    p.run(10 * MS);
    let s = l.accept(true).unwrap().0;
    assert_eq!(recv(&s, 10).unwrap(), b"GET");
    // Without data: after the time, which is that of whole retransmissions: 1 + 2 + 4 s.
    assert_eq!(l.get(6, 9).unwrap(), [7, 0, 0, 0]);
    let d = tcp(&p.a);
    let _ = d.connect(&v4(B, 80));
    p.run(6 * S);
    assert_eq!(l.accept(true).err(), Some(Errno::EAGAIN));
    p.run(3 * S);
    assert!(l.accept(true).is_ok());
}

#[test]
fn closed_listener_resets_whoever_waits() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 16);
    let c = tcp(&p.a);
    let _ = c.connect(&v4(B, 80));
    p.run(10 * MS);
    drop(l);
    p.run(10 * MS);
    assert_eq!(recv(&c, 1), Err(Errno::ECONNRESET));
    p.b.with(|st| assert_eq!(st.connections.len(), 0));
    let l = listen(&p.b, 80, 16);
    l.ops().shutdown(true, false).unwrap();
    assert_eq!(l.accept(true).err(), Some(Errno::EINVAL));
}

#[test]
fn memory_runs_out_gracefully_and_comes_back() {
    let p = Pair::with(Options { memory: 4 << 20, ..Options::default() });
    let l = listen(&p.b, 80, 4096);
    let mut clients = Vec::new();
    let mut failed = None;
    for _ in 0..2000 {
        let c = tcp(&p.a);
        match c.connect(&v4(B, 80)) {
            Err(Errno::EINPROGRESS) => clients.push(c),
            Err(e) => {
                failed = Some(e);
                break;
            }
            Ok(()) => unreachable!(),
        }
    }
    assert_eq!(failed, Some(Errno::ENOBUFS));
    assert!(clients.len() > 60, "{} connections in 4 MiB", clients.len());
    p.run(3 * S);
    let mut servers = Vec::new();
    while let Ok((s, _)) = l.accept(true) {
        servers.push(s);
    }
    assert!(servers.len() > 30, "{} accepted", servers.len());
    p.b.with(|st| assert!(st.memory.used <= st.memory.budget));
    send(&clients[0], b"still here").unwrap();
    p.run(10 * MS);
    assert!(servers.iter().any(|s| recv(s, 100).is_ok_and(|d| d == b"still here")));
    drop((clients, servers, l));
    p.run(200 * S);
    for n in [&p.a, &p.b] {
        n.with(|st| assert_eq!((st.connections.len(), st.memory.used), (0, 0)));
    }
}

#[test]
fn loopback_by_any_of_our_addresses() {
    let p = Pair::new();
    for ip in [[127, 0, 0, 1], [127, 1, 2, 3], A] {
        let l = listen(&p.a, 90, 8);
        let c = tcp(&p.a);
        assert!(matches!(c.connect(&v4(ip, 90)), Err(Errno::EINPROGRESS) | Ok(())));
        assert!(p.until(|| c.poll(None).contains(Events::OUT)));
        let s = l.accept(true).unwrap().0;
        assert_eq!(s.ops().local().unwrap().as_bytes()[4..8], ip);
        let before = p.ab.lock().unwrap().count;
        transfer(&p, &c, &s, &noise(500_000), S);
        assert!(p.ab.lock().unwrap().count - before <= 3, "nothing but router solicitations on the wire");
        drop((l, c, s));
        p.run(S);
    }
    let c = tcp(&p.a);
    let r = c.connect(&v4([127, 0, 0, 1], 91));
    assert_eq!(r, Err(Errno::EINPROGRESS), "refused at once, but told by poll and so::ERROR, as on Linux");
    assert!(p.until(|| c.poll(None).contains(Events::ERR | Events::HUP)));
    let (sol_socket, so_error, refused) = (1, 4, Errno::ECONNREFUSED as u32);
    assert_eq!(c.get(sol_socket, so_error).unwrap(), refused.to_le_bytes());
}

#[test]
fn ipv6_and_dual_stack() {
    let p = Pair::new();
    let l = tcp6(&p.b);
    l.ops().bind(&v6("::", 80)).unwrap();
    l.ops().listen(8).unwrap();
    let b6 = "fe80::ff:fe00:2";
    let c = tcp6(&p.a);
    assert_eq!(c.connect(&v6(b6, 80)), Err(Errno::EINPROGRESS));
    assert!(p.until(|| c.poll(None).contains(Events::OUT) && l.poll(None).contains(Events::IN)));
    let (s, peer) = l.accept(true).unwrap();
    assert_eq!(peer.as_bytes().len(), 28);
    transfer(&p, &c, &s, &noise(200_000), 5 * S);
    transfer(&p, &s, &c, &noise(200_000), 5 * S);
    // An IPv4 client meets the same listener, with a mapped address.
    let c4 = tcp(&p.a);
    let _ = c4.connect(&v4(B, 80));
    assert!(p.until(|| l.poll(None).contains(Events::IN)));
    let (s4, peer) = l.accept(true).unwrap();
    assert_eq!(peer.as_bytes()[8..24], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]);
    transfer(&p, &c4, &s4, &noise(10_000), 5 * S);
    // IPV6_V6ONLY leaves IPv4 to another socket.
    let only = tcp6(&p.b);
    only.set(41, 26, &1i32.to_le_bytes()).unwrap();
    only.ops().bind(&v6("::", 81)).unwrap();
    only.ops().listen(8).unwrap();
    let v4only = listen(&p.b, 81, 8);
    let c = tcp(&p.a);
    let _ = c.connect(&v4(B, 81));
    p.run(10 * MS);
    assert!(v4only.accept(true).is_ok() && only.accept(true).is_err());
    // ::1
    let lo = tcp6(&p.b);
    let _ = lo.connect(&v6("::1", 81));
    assert!(p.until(|| only.poll(None).contains(Events::IN)));
}

#[test]
fn options_are_honoured_or_refused() {
    let p = Pair::new();
    let s = tcp(&p.a);
    let int = |l, n| i32::from_le_bytes(s.get(l, n).unwrap()[..4].try_into().unwrap());
    for (l, n, v) in [
        (1, 2, 1),
        (1, 15, 1),
        (1, 9, 1),
        (6, 1, 1),
        (6, 3, 1),
        (6, 4, 30),
        (6, 18, 5000),
        (0, 2, 33),
        (0, 1, 0x48),
        (1, 36, 5),
    ] {
        s.set(l, n, &i32::to_le_bytes(v)).unwrap();
        assert_eq!(int(l, n), v, "level {l} option {n}");
    }
    assert_eq!((int(1, 3), int(1, 39), int(1, 38), int(1, 30)), (1, 2, 6, 0));
    s.set(1, 8, &20_000i32.to_le_bytes()).unwrap();
    assert_eq!(int(1, 8), 40_000, "doubled, as on Linux");
    assert_eq!(int(1, 12), 2, "so::PRIORITY, by the type of service");
    // SO_TIMESTAMP, TCP_MAXSEG, SO_NO_CHECK, SO_BUSY_POLL, IP_FREEBIND
    for (l, n) in [(1, 29), (6, 2), (1, 11), (1, 46), (0, 15), (1, 999)] {
        assert_eq!(s.set(l, n, &1i32.to_le_bytes()), Err(Errno::ENOPROTOOPT), "level {l} option {n}");
    }
    assert_eq!(s.set(6, 1, &[1]), Err(Errno::EINVAL));
    assert_eq!(s.set(6, 13, b"cubic\0").err(), Some(Errno::ENOENT));
    // A receive timeout comes back as it was set.
    let mut tv = 2i64.to_le_bytes().to_vec();
    tv.extend(500_000i64.to_le_bytes());
    s.set(1, 20, &tv).unwrap();
    assert_eq!(s.get(1, 20).unwrap(), tv);
}

#[test]
fn listeners_options_are_inherited() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 4);
    l.set(6, 1, &1i32.to_le_bytes()).unwrap();
    l.set(1, 9, &1i32.to_le_bytes()).unwrap();
    l.set(1, 8, &5000i32.to_le_bytes()).unwrap();
    let c = tcp(&p.a);
    let _ = c.connect(&v4(B, 80));
    p.run(10 * MS);
    let s = l.accept(true).unwrap().0;
    assert_eq!(s.get(6, 1).unwrap(), [1, 0, 0, 0]);
    assert_eq!(s.get(1, 9).unwrap(), [1, 0, 0, 0]);
    assert_eq!(i32::from_le_bytes(s.get(1, 8).unwrap().try_into().unwrap()), 10_000);
}

#[test]
fn reuseport_listeners_share_the_load() {
    let p = Pair::new();
    let ls: Vec<_> = (0..2)
        .map(|_| {
            let l = tcp(&p.b);
            l.set(1, 15, &1i32.to_le_bytes()).unwrap();
            l.ops().bind(&v4([0, 0, 0, 0], 80)).unwrap();
            l.ops().listen(128).unwrap();
            l
        })
        .collect();
    let cs: Vec<_> = (0..100)
        .map(|_| {
            let c = tcp(&p.a);
            let _ = c.connect(&v4(B, 80));
            c
        })
        .collect();
    p.run(100 * MS);
    let n: Vec<usize> = ls.iter().map(|l| std::iter::from_fn(|| l.accept(true).ok()).count()).collect();
    assert_eq!(n[0] + n[1], 100);
    assert!(n.iter().all(|&n| n > 20), "{n:?}");
    drop(cs);
}

#[test]
fn initial_sequence_numbers_and_ports_have_no_pattern() {
    let p = Pair::new();
    p.ab.lock().unwrap().tap = Some(Vec::new());
    let _l = listen(&p.b, 80, 4096);
    let cs: Vec<_> = (0..100)
        .map(|_| {
            let c = tcp(&p.a);
            let _ = c.connect(&v4(B, 80));
            c
        })
        .collect();
    p.run(100 * MS);
    let frames = p.ab.lock().unwrap().tap.take().unwrap();
    let syns: Vec<_> =
        frames.iter().filter(|f| f.len() > 47 && f[12..14] == [8, 0] && f[23] == 6 && f[47] == 2).collect();
    let isns: std::collections::HashSet<u32> =
        syns.iter().map(|f| u32::from_be_bytes(f[38..42].try_into().unwrap())).collect();
    let ports: std::collections::HashSet<u16> =
        syns.iter().map(|f| u16::from_be_bytes(f[34..36].try_into().unwrap())).collect();
    assert_eq!((isns.len(), ports.len()), (100, 100));
    let mut steps: Vec<_> = isns.iter().zip(isns.iter().skip(1)).map(|(a, b)| b.wrapping_sub(*a)).collect();
    steps.sort_unstable();
    steps.dedup();
    assert!(steps.len() > 95);
    drop(cs);
}
