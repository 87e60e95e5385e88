//! What must not hurt: malformed frames, floods, impossible addresses, blind attacks.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::poll::Events;

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;

fn dice(x: &mut u64) -> u64 {
    *x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *x >> 33
}

fn sum(b: &[u8], mut s: u32) -> u16 {
    for c in b.chunks(2) {
        s += u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0));
    }
    while s > 0xffff {
        s = (s & 0xffff) + (s >> 16);
    }
    !(s as u16)
}

/// A TCP segment from `src` to host b.
fn segment(src: [u8; 4], sport: u16, dport: u16, seq: u32, ack: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let len = (40 + data.len()) as u16;
    f.extend([0x45, 0]);
    f.extend(len.to_be_bytes());
    f.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    f.extend(src);
    f.extend(B);
    let c = sum(&f[14..34], 0);
    f[24..26].copy_from_slice(&c.to_be_bytes());
    f.extend(sport.to_be_bytes());
    f.extend(dport.to_be_bytes());
    f.extend(seq.to_be_bytes());
    f.extend(ack.to_be_bytes());
    f.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    f.extend(data);
    let pseudo = sum(&f[26..34], 0);
    let tcp_len = (f.len() - 34) as u32;
    let c = sum(&f[34..], u32::from(!pseudo) + 6 + tcp_len);
    f[50..52].copy_from_slice(&c.to_be_bytes());
    f
}

fn inject(p: &Pair, f: Vec<u8>) {
    p.ab.lock().unwrap().push(f);
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
        // Half of the IPv4 ones get their header checksum right, so that the rest is looked at.
        if f.len() >= 34 && f[12..14] == [8, 0] && i % 2 == 0 {
            f[24..26].fill(0);
            let c = sum(&f[14..34], 0);
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
            // Learn the numbers that the other side uses: half of the segments then fit somewhere.
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

#[test]
fn impossible_sources_are_ignored() {
    let p = Pair::new();
    let _l = listen(&p.b, 80, 64);
    let before = p.ba.lock().unwrap().count;
    for src in [[0, 0, 0, 0], [255, 255, 255, 255], [10, 0, 0, 255], [224, 0, 0, 1], [127, 0, 0, 1], B] {
        inject(&p, segment(src, 1234, 80, 1, 0, 2, &[]));
        inject(&p, segment(src, 1234, 81, 1, 0, 2, &[]));
    }
    // TCP to a broadcast Ethernet address.
    let mut f = segment(A, 1234, 80, 1, 0, 2, &[]);
    f[..6].fill(255);
    inject(&p, f);
    p.run(10 * MS);
    let quiet = p.ba.lock().unwrap().count - before;
    assert!(quiet <= 1, "at most a router solicitation, not {quiet} frames");
    p.b.with(|st| assert_eq!(st.conns.len(), 0));
    // Christmas trees and null scans of a listening port get no connection.
    for flags in [0x3f, 0, 3, 0x29] {
        inject(&p, segment(A, 1235, 80, 1, 0, flags, &[]));
    }
    p.run(10 * MS);
    p.b.with(|st| assert_eq!(st.conns.len(), 0));
    alive(&p);
}

#[test]
fn a_syn_flood_leaves_room_for_others() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 511);
    let (c0, s0) = p.connect(81);
    let mut x = 5;
    for round in 0..200 {
        for _ in 0..100 {
            let r = dice(&mut x);
            inject(
                &p,
                segment(
                    [11, r as u8, (r >> 8) as u8, (r >> 16) as u8 | 1],
                    (r >> 7) as u16 | 1,
                    80,
                    r as u32,
                    0,
                    2,
                    &[],
                ),
            );
        }
        // 10,000 a second.
        p.run(10 * MS);
        if round % 50 == 25 {
            let c = tcp(&p.a);
            let _ = c.connect(&v4(B, 80));
            let mut s = None;
            assert!(p.run_until(now() + 5 * S, || {
                s = s.take().or_else(|| l.accept(true).ok().map(|s| s.0));
                s.is_some()
            }));
            transfer(&p, &c, &s.unwrap(), &noise(5000), 5 * S);
            transfer(&p, &c0, &s0, &noise(5000), 5 * S);
        }
    }
    p.b.with(|st| assert!(st.conns.len() < 1200 && st.memory.used <= st.memory.budget));
    p.run(200 * S);
    p.b.with(|st| assert!(st.conns.len() < 20, "{} left", st.conns.len()));
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
    p.b.with(|st| assert_eq!((st.conns.len(), st.memory.used), (0, 0)));
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
    let sum_ip = sum(&f[14..34], 0);
    f[24..26].copy_from_slice(&sum_ip.to_be_bytes());
    f.extend([3, 3, 0, 0, 0, 0, 0, 0]);
    let mut q = quoted[14..42].to_vec();
    q[16..20].copy_from_slice(&A);
    f.extend(q);
    let c2 = sum(&f[34..], 0);
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
