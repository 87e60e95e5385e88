//! What must not hurt: malformed frames, floods, impossible addresses, blind attacks.
mod common;
use common::raw::*;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::poll::Events;
use libos_net::socket::Socket;

fn dice(x: &mut u64) -> u64 {
    *x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *x >> 33
}

fn alive(p: &Pair) {
    let (c, s) = p.connect(8080);
    transfer(p, &c, &s, &noise(10_000), 10 * S);
}

#[test]
fn a_hundred_thousand_malformed_frames() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    let good = {
        p.ab.lock().unwrap().tap = Some(Vec::new());
        send(&c, &noise(600)).unwrap();
        let u = udp(&p.a);
        let _ = u.send(
            &mut libos_base::io::Source::kernel(b"udp"),
            &libos_net::socket::Outgoing { to: Some(&v4(B, 53)), ..Default::default() },
        );
        let six = tcp6(&p.a);
        let _ = six.connect(&v6("fe80::ff:fe00:2", 80));
        p.run(50 * MS);
        p.ab.lock().unwrap().tap.take().unwrap()
    };
    assert!(good.len() >= 3);
    let mut x = 7;
    for i in 0..100_000u64 {
        let mut f = if i % 4 == 0 {
            let n = dice(&mut x) as usize % 61;
            let mut f: Vec<u8> = (0..n).map(|_| dice(&mut x) as u8).collect();
            if n >= 14 {
                f[..6].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
                f[12..14].copy_from_slice(&[[8u8, 0], [8, 6], [0x86, 0xdd], [0x81, 0]][dice(&mut x) as usize % 4]);
            }
            f
        } else {
            good[dice(&mut x) as usize % good.len()].clone()
        };
        for _ in 0..dice(&mut x) % 4 {
            if !f.is_empty() {
                let at = dice(&mut x) as usize % f.len();
                f[at] = dice(&mut x) as u8;
            }
        }
        if dice(&mut x).is_multiple_of(5) {
            f.truncate(dice(&mut x) as usize % (f.len() + 1));
        }
        // Half of the IPv4 ones get a correct header checksum, so that the rest is looked at.
        if f.len() >= 34 && f[12..14] == [8, 0] && i % 2 == 0 {
            f[24..26].fill(0);
            let c = checksum(&f[14..34], 0);
            f[24..26].copy_from_slice(&c.to_be_bytes());
        }
        inject(&p, f);
        if i % 500 == 0 {
            p.run(MS);
        }
    }
    p.run(S);
    assert!(p.b.with(|st| st.stats.bad) > 10_000);
    drop((c, s));
    p.run(200 * S);
    alive(&p);
}

#[test]
fn valid_segments_with_random_fields_never_panic() {
    let p = Pair::new();
    let _l = listen(&p.b, 80, 64);
    let mut x = 99;
    let mut seqs = vec![0u32];
    for i in 0..60_000 {
        let flags = [2, 0x10, 0x18, 0x11, 4, 0x14, 0x12, 0x29, 0, 0x3f, 1, 3][dice(&mut x) as usize % 12];
        let pick = |x: &mut u64, s: &[u32]| {
            s[dice(x) as usize % s.len()].wrapping_add([0, 1, 2, 1460, 0x8000_0000, u32::MAX][dice(x) as usize % 6])
        };
        let (seq, ack) = (pick(&mut x, &seqs), pick(&mut x, &seqs));
        let n = [0, 0, 1, 100, 1460][dice(&mut x) as usize % 5];
        inject(&p, segment(A, 1000 + dice(&mut x) as u16 % 8, 80, seq, ack, flags, &vec![0; n]));
        if i % 20 == 0 {
            p.ba.lock().unwrap().tap = Some(Vec::new());
            p.run(MS);
            // Learns the numbers that the other side uses, so that half of the segments fit somewhere.
            for f in p.ba.lock().unwrap().tap.take().unwrap() {
                if f.len() >= 54 && f[12..14] == [8, 0] {
                    seqs.push(u32::from_be_bytes(f[38..42].try_into().unwrap()));
                    seqs.push(u32::from_be_bytes(f[42..46].try_into().unwrap()));
                }
            }
            let from = seqs.len().saturating_sub(40);
            seqs.drain(..from);
        }
    }
    p.run(300 * S);
    alive(&p);
}

/// The IP packets with which b answers these frames.
fn answers(p: &Pair, frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    p.run(10 * MS);
    heard(p);
    for f in frames {
        inject(p, f);
    }
    p.run(10 * MS);
    let mut heard = heard(p);
    // Router solicitations are sent regardless.
    heard.retain(|f| !(f[12..14] == [0x86, 0xdd] && f[54] == 133));
    heard
}

#[test]
fn impossible_addresses_are_ignored() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 64);
    alive(&p);
    const MARTIANS: [[u8; 4]; 10] = [
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [255, 255, 255, 255],
        [10, 0, 0, 255],
        [224, 0, 0, 1],
        [239, 1, 1, 1],
        [127, 0, 0, 1],
        [127, 9, 9, 9],
        [240, 0, 0, 1],
        B,
    ];
    for src in MARTIANS {
        let frames = [
            segment(src, 1234, 80, 1, 0, SYN, &[]),
            segment(src, 1234, 81, 1, 0, SYN, &[]),
            segment(src, 1234, 80, 1, 1, ACK, &[]),
            ping(src, B),
            datagram(src, B, 7, b"to a closed port"),
            ip4(src, B, 99, b"an unknown protocol"),
        ];
        assert_eq!(answers(&p, frames), [[0u8; 0]; 0], "{src:?}");
    }
    // To loopback addresses, which are never on a wire, and TCP to a broadcast Ethernet address.
    for dst in [[127, 0, 0, 1], [127, 0, 0, 2], [0, 0, 0, 0]] {
        assert_eq!(answers(&p, [ping(A, dst), datagram(A, dst, 7, b"x")]), [[0u8; 0]; 0], "{dst:?}");
    }
    let mut f = segment(A, 1234, 80, 1, 0, SYN, &[]);
    f[..6].fill(255);
    assert_eq!(answers(&p, [f]), [[0u8; 0]; 0]);
    let b = "fe80::ff:fe00:2";
    for src in ["::", "::1", "ff02::1", "ff0e::1", "::ffff:10.0.0.1", b] {
        let mut syn = vec![0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, SYN, 0x20, 0, 0, 0, 0, 0];
        let open = sealed(ip6(src, b, 6, 64, &syn), 16);
        syn[3] = 81;
        let closed = sealed(ip6(src, b, 6, 64, &syn), 16);
        let udp = sealed(ip6(src, b, 17, 64, &[1, 1, 0, 7, 0, 9, 0, 0, b'x']), 6);
        let other = ip6(src, b, 99, 64, b"an unknown protocol");
        assert_eq!(answers(&p, [open, closed, ping6(src, b), udp, other]), [[0u8; 0]; 0], "{src}");
    }
    p.b.with(|st| assert_eq!(st.connections.len(), st.connections.named()));
    assert_eq!(l.accept(true).err(), Some(Errno::EAGAIN));
    alive(&p);
}

#[test]
fn what_is_sent_to_many_is_not_answered() {
    let p = Pair::new();
    alive(&p);
    let (a, b) = ("fe80::ff:fe00:1", "fe80::ff:fe00:2");
    let to_all = |mut f: Vec<u8>| {
        f[..6].fill(255);
        f
    };
    for dst in [[255, 255, 255, 255], [10, 0, 0, 255], [224, 0, 0, 1]] {
        let frames = [ping(A, dst), to_all(ping(A, dst)), to_all(datagram(A, dst, 7, b"x")), ip4(A, dst, 99, b"?")];
        assert_eq!(answers(&p, frames), [[0u8; 0]; 0], "{dst:?}");
    }
    assert_eq!(answers(&p, [to_all(datagram(A, B, 7, b"x")), ip6(a, "ff02::1", 99, 64, b"?")]), [[0u8; 0]; 0]);
    // The same addressed to us alone is answered; and so is an IPv6 ping of everybody, as on Linux.
    for f in [ping(A, B), datagram(A, B, 7, b"x"), ip4(A, B, 99, b"?"), ping6(a, b), ping6(a, "ff02::1")] {
        assert_eq!(answers(&p, [f.clone()]).len(), 1, "{f:?}");
    }
}

#[test]
fn scans_of_an_open_port_learn_nothing() {
    let p = Pair::new();
    let _l = listen(&p.b, 80, 64);
    alive(&p);
    let scan = |port, flags| {
        let seen = segments(&answers(&p, [segment(A, 1235, port, 100, 7, flags, b"abc")]), 1235);
        assert!(seen.len() <= 1);
        seen.first().map(|s| (s.flags, s.seq, s.ack))
    };
    // FIN, null, Xmas tree, SYN with FIN, RST: LISTEN ignores them.
    for flags in [FIN, 0, 0x29, SYN | FIN, RST, SYN | RST, RST | ACK, 0x3f] {
        assert_eq!(scan(80, flags), None, "{flags:#x}");
    }
    // An ACK belongs to a connection that does not exist.
    for flags in [ACK, FIN | ACK, SYN | ACK] {
        assert_eq!(scan(80, flags), Some((RST, 7, 0)), "{flags:#x}");
    }
    p.b.with(|st| assert_eq!(st.connections.len(), 0));
    // A closed port answers everything except RST (RFC 9293 section 3.10.7.1).
    for (flags, more) in [(FIN, 1), (0, 0), (0x29, 1), (SYN, 1), (SYN | FIN, 2)] {
        assert_eq!(scan(99, flags), Some((RST | ACK, 0, 103 + more)), "{flags:#x}");
    }
    assert_eq!(scan(99, ACK), Some((RST, 7, 0)));
    assert_eq!((scan(99, RST), scan(99, 0x3f)), (None, None));
}

/// Somebody on the internet.
fn anybody(x: &mut u64) -> ([u8; 4], u16) {
    let r = dice(x);
    ([11, r as u8, (r >> 8) as u8, (r >> 16) as u8 | 1], (r >> 7) as u16 | 1)
}

/// `n` SYNs to port 80, each from a different host, and the 10 ms that they take.
fn syns(p: &Pair, n: usize, x: &mut u64) {
    for _ in 0..n {
        let (src, port) = anybody(x);
        inject(p, segment(src, port, 80, dice(x) as u32, 0, SYN, &[]));
    }
    p.run(10 * MS);
}

/// A client of a listening socket gets through and is served.
fn served(p: &Pair, l: &Socket, port: u16, limit: u64) {
    let c = tcp(&p.a);
    let _ = c.connect(&v4(B, port));
    let mut s = None;
    let up = p.run_until(now() + limit, || {
        s = s.take().or_else(|| l.accept(true).ok().map(|s| s.0));
        s.is_some()
    });
    assert!(up, "port {port} is not served: {:?}", c.get(1, 4));
    transfer(p, &c, &s.unwrap(), &noise(5000), 5 * S);
}

#[test]
fn a_syn_flood_leaves_room_for_others() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 511);
    let (c0, s0) = p.connect(81);
    let mut x = 5;
    for round in 0..300 {
        // 10,000 per second.
        syns(&p, 100, &mut x);
        // In the first second of a flood, which may be a burst, SYNs are dropped.
        if round % 50 == 25 {
            served(&p, &l, 80, if round < 120 { 5 * S } else { 100 * MS });
            transfer(&p, &c0, &s0, &noise(5000), 5 * S);
        }
    }
    p.b.with(|st| {
        let (connections, asked) = (st.connections.len(), st.connections.asked());
        assert!(connections < 40 && asked < 1200, "{connections} and {asked}");
        assert!(st.memory.used() <= st.memory.budget());
    });
    p.run(200 * S);
    p.b.with(|st| {
        assert!(st.connections.len() < 20, "{} left", st.connections.len());
        assert_eq!((st.memory.half, st.connections.asked()), (0, 0));
    });
}

/// A handful of handshakes may take all the memory there is, and datagrams what those leave: yet connecting clients are
/// served, whatever the port.
#[test]
fn floods_of_one_port_starve_no_other() {
    let p = Pair::with(Options { memory: 16 << 20, ..Options::default() });
    let (l, other) = (listen(&p.b, 80, 4096), listen(&p.b, 81, 128));
    let sinks: Vec<_> = (0..40)
        .map(|i| {
            let u = udp(&p.b);
            u.ops().bind(&v4([0; 4], 9000 + i)).unwrap();
            u
        })
        .collect();
    let mut x = 5;
    for _ in 0..200 {
        syns(&p, 100, &mut x);
    }
    served(&p, &other, 81, 100 * MS);
    served(&p, &l, 80, 100 * MS);
    for i in 0..20_000 {
        inject(&p, datagram(anybody(&mut x).0, B, 9000 + i % 40, &[0; 1000]));
        if i % 100 == 0 {
            p.run(10 * MS);
        }
    }
    assert!(p.b.with(|st| st.stats.udp_dropped) > 0, "not all memory was asked for");
    served(&p, &other, 81, 100 * MS);
    served(&p, &l, 80, 100 * MS);
    drop((l, other, sinks));
    p.run(100 * S);
    p.b.with(|st| assert_eq!((st.memory.used(), st.memory.half, st.connections.len()), (0, 0, 0)));
}

#[test]
fn a_burst_of_clients_within_the_backlog_waits_for_nothing() {
    let p = Pair::with(Options { memory: 16 << 20, ..Options::default() });
    let l = listen(&p.b, 80, 511);
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let c = tcp(&p.a);
            let _ = c.connect(&v4(B, 80));
            c
        })
        .collect();
    let mut servers = Vec::new();
    let all = p.run_until(now() + 100 * MS, || {
        servers.extend(std::iter::from_fn(|| l.accept(true).ok().map(|s| s.0)));
        servers.len() == 200
    });
    assert!(all, "{} of 200 in 100 ms", servers.len());
    clients.iter().for_each(|c| assert_eq!(send(c, b"hello"), Ok(5)));
    p.run(50 * MS);
    assert!(servers.iter().all(|s| recv(s, 10).is_ok_and(|d| d == b"hello")));
}

#[test]
fn a_cookie_is_good_for_its_connection_only() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 1);
    let mut peer = Peer::new(&p, 5000);
    // Before there was a cookie, nobody's ACK is taken for one.
    assert_eq!(peer.say(ACK, 1, 1, &[])[0].flags, RST);
    let mut x = 5;
    for _ in 0..110 {
        syns(&p, 20, &mut x);
    }
    heard(&p);
    let conns = p.b.with(|st| st.connections.len());
    let cookie = |peer: &mut Peer<'_>, port: u16| {
        peer.port = port;
        let answer = peer.say(SYN, 999, 0, &[]);
        assert_eq!((answer.len(), answer[0].flags, answer[0].ack), (1, SYN | ACK, 1000), "{answer:?}");
        answer[0].seq.wrapping_add(1)
    };
    let good = cookie(&mut peer, 5000);
    assert_eq!(p.b.with(|st| st.connections.len()), conns, "something was kept");
    for (port, seq, ack) in
        [(5001, 1000, good), (5000, 1001, good), (5000, 1000, good ^ 1), (5000, 1000, good ^ 1 << 27)]
    {
        peer.port = port;
        assert_eq!(peer.say(ACK, seq, ack, &[])[0].flags, RST);
    }
    // The ACK is lost; the first data brings the cookie, and more follows in the same batch.
    peer.port = 5000;
    inject(&p, segment(A, 5000, 80, 1000, good, ACK, b"hello, "));
    peer.say(ACK, 1007, good, b"world");
    let s = l.accept(true).unwrap().0;
    assert_eq!(recv(&s, 100).unwrap(), b"hello, world");
    send(&s, b"welcome").unwrap();
    let sent = peer.hear();
    assert!(sent.iter().any(|t| (t.seq, t.len, t.ack) == (good, 7, 1012)), "{sent:?}");
    // Valid for a minute or two, not forever.
    let late = cookie(&mut peer, 5002);
    p.run(59 * S);
    heard(&p);
    peer.say(ACK, 1000, late, &[]);
    assert!(l.accept(true).is_ok(), "not even a minute");
    let old = {
        let mut x = 5;
        for _ in 0..110 {
            syns(&p, 20, &mut x);
        }
        heard(&p);
        cookie(&mut peer, 5003)
    };
    p.run(121 * S);
    heard(&p);
    assert_eq!(peer.say(ACK, 1000, old, &[])[0].flags, RST);
}

#[test]
fn blind_resets_and_data_do_not_hurt() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    let port = u16::from_be_bytes(c.ops().local().unwrap().as_bytes()[2..4].try_into().unwrap());
    let mut x = 1;
    let before = p.ba.lock().unwrap().count;
    for _ in 0..2000 {
        let seq = dice(&mut x) as u32;
        inject(&p, segment(A, port, 80, seq, seq ^ 77, 4, &[]));
        inject(&p, segment(A, port, 80, seq, 0, 2, &[]));
        inject(&p, segment(A, port, 80, seq, seq, 0x10, b"evil"));
        p.run(MS);
    }
    let answers = p.ba.lock().unwrap().count - before;
    assert!(answers < 2300, "{answers} answers to 6000 segments");
    transfer(&p, &c, &s, &noise(50_000), 10 * S);
    transfer(&p, &s, &c, &noise(50_000), 10 * S);
}

#[test]
fn closed_ports_answer_with_reset() {
    let p = Pair::new();
    alive(&p);
    p.run(100 * S);
    let l = listen(&p.b, 8080, 1);
    drop(l);
    let c = tcp(&p.a);
    let _ = c.connect(&v4(B, 8080));
    p.run(10 * MS);
    p.ba.lock().unwrap().tap = Some(Vec::new());
    for port in 1..2000 {
        inject(&p, segment(A, 4000, port, 5, 0, 2, &[]));
        if port % 100 == 0 {
            p.run(MS);
        }
    }
    p.run(10 * MS);
    let resets = p.ba.lock().unwrap().tap.take().unwrap().iter().filter(|f| f.len() >= 54 && f[47] & 4 != 0).count();
    assert!(resets >= 1990, "{resets}");
    p.b.with(|st| assert_eq!((st.connections.len(), st.memory.used()), (0, 0)));
}

#[test]
fn forged_icmp_does_not_end_connections() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    let port = u16::from_be_bytes(s.ops().peer().unwrap().as_bytes()[2..4].try_into().unwrap());
    let quoted = segment(B, 80, port, 1, 1, 0x10, &[]);
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0];
    f.extend(A);
    f.extend(B);
    let sum_ip = checksum(&f[14..34], 0);
    f[24..26].copy_from_slice(&sum_ip.to_be_bytes());
    f.extend([3, 3, 0, 0, 0, 0, 0, 0]);
    let mut q = quoted[14..42].to_vec();
    q[16..20].copy_from_slice(&A);
    f.extend(q);
    let c2 = checksum(&f[34..], 0);
    f[36..38].copy_from_slice(&c2.to_be_bytes());
    inject(&p, f);
    p.run(10 * MS);
    assert!(!s.poll(None).contains(Events::ERR));
    transfer(&p, &c, &s, b"fine", S);
}

#[test]
fn a_neighbor_table_under_attack_stays_bounded() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    for i in 0..5000u32 {
        let mut f = vec![2, 0, 0, 0, 0, 2, 2, 1, (i >> 8) as u8, i as u8, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
        f.extend([2, 1, (i >> 8) as u8, i as u8, 0, 9, 10, 0, 0, (i % 250) as u8 + 3, 0, 0, 0, 0, 0, 0]);
        f.extend(B);
        inject(&p, f);
        if i % 100 == 0 {
            p.run(MS);
        }
    }
    transfer(&p, &c, &s, &noise(1000), 10 * S);
    let e = tcp(&p.b).connect(&v4([10, 0, 0, 3], 1)).err();
    assert_eq!(e, Some(Errno::EINPROGRESS));
}
