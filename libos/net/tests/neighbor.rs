//! Neighbors: who is believed to have an address, and what forged ARP frames and advertisements do about it.
mod common;
use common::raw::*;
use common::*;
use libos_base::Errno;

const EVIL: [u8; 6] = [2, 9, 9, 9, 9, 9];

/// A neighbor advertisement from `src` for `target` or, if `kind` is 135, a solicitation.
fn nd(kind: u8, flags: u8, src: &str, dst: &str, target: &str, mac: [u8; 6]) -> Vec<u8> {
    let mut body = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    body.extend(target.parse::<std::net::Ipv6Addr>().unwrap().octets());
    body.extend([kind - 134, 1]);
    body.extend(mac);
    sealed(ip6(src, dst, 58, 255, &body), 2)
}

/// Where b's IP packets go, except for neighbor discovery.
fn receivers(frames: &[Vec<u8>]) -> Vec<[u8; 6]> {
    let mut macs: Vec<[u8; 6]> = frames
        .iter()
        .filter(|f| f[12..14] == [8, 0] || f[12..14] == [0x86, 0xdd] && f[20] != 58)
        .map(|f| f[..6].try_into().unwrap())
        .collect();
    macs.dedup();
    macs
}

#[test]
fn a_forged_arp_frame_does_not_take_a_neighbor_away() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    transfer(&p, &s, &c, &noise(1000), S);
    heard(&p);
    for round in 0..20 {
        // Reply and request, to us and to everybody, gratuitous or not.
        inject(&p, arp(2, EVIL, A, MAC_B, B));
        inject(&p, arp(1, EVIL, A, [255; 6], B));
        inject(&p, arp(1, EVIL, A, [255; 6], A));
        inject(&p, arp(2, EVIL, A, [255; 6], [10, 0, 0, 77]));
        // At once, not after a retransmission.
        transfer(&p, &s, &c, &noise(20_000), 100 * MS);
        transfer(&p, &c, &s, &noise(20_000), 100 * MS);
        p.run(400 * MS);
        let frames = heard(&p);
        assert_eq!(receivers(&frames), [MAC_A], "round {round}");
        // Only the old address is asked, not everybody; and not for each forged frame.
        let asked = frames.iter().filter(|f| f[12..14] == [8, 6] && f[21] == 1).collect::<Vec<_>>();
        assert!(asked.len() <= 1 && asked.iter().all(|f| f[..6] == MAC_A), "{asked:?}");
    }
}

#[test]
fn a_forged_advertisement_does_not_take_a_neighbor_away() {
    let p = Pair::new();
    let (a, b) = ("fe80::ff:fe00:1", "fe80::ff:fe00:2");
    let l = tcp6(&p.b);
    l.ops().bind(&v6("::", 80)).unwrap();
    l.ops().listen(9).unwrap();
    let c = tcp6(&p.a);
    let _ = c.connect(&v6(b, 80));
    let mut s = None;
    assert!(p.until(|| {
        s = s.take().or_else(|| l.accept(true).ok().map(|s| s.0));
        s.is_some()
    }));
    let s = s.unwrap();
    transfer(&p, &s, &c, &noise(1000), S);
    heard(&p);
    for _ in 0..20 {
        for flags in [0, 0x20, 0x60, 0xe0] {
            inject(&p, nd(136, flags, a, b, a, EVIL));
            inject(&p, nd(136, flags, a, "ff02::1", a, EVIL));
        }
        inject(&p, nd(135, 0, a, b, b, EVIL));
        // The same behind a hop-by-hop header.
        let mut hidden = nd(136, 0x20, a, b, a, EVIL);
        hidden[20] = 0;
        hidden[18..20].copy_from_slice(&40u16.to_be_bytes());
        hidden.splice(54..54, [58, 0, 1, 4, 0, 0, 0, 0]);
        inject(&p, hidden);
        transfer(&p, &s, &c, &noise(20_000), 100 * MS);
        p.run(400 * MS);
        assert_eq!(receivers(&heard(&p)), [MAC_A]);
    }
}

/// A genuine case: from now on A is another machine. `tells`: it says so in a gratuitous ARP frame.
fn failover(tells: bool) {
    let p = Pair::new();
    let l = listen(&p.b, 80, 9);
    let mut peer = Peer::new(&p, 5000);
    let s = peer.connect(&l);
    const NEW: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
    heard(&p);
    if tells {
        inject(&p, arp(1, NEW, A, [255; 6], A));
    }
    send(&s, &noise(3000)).unwrap();
    let (start, mut arrived) = (now(), None);
    while now() < start + 10 * S && arrived.is_none() {
        p.run(5 * MS);
        for f in heard(&p) {
            // The new machine hears what is sent to it or to everybody; nobody hears the rest.
            if f[12..14] == [8, 6] && f[21] == 1 && f[38..42] == A && (f[..6] == [255; 6] || f[..6] == NEW) {
                inject(&p, arp(2, NEW, A, MAC_B, B));
            } else if f[12..14] == [8, 0] && f[..6] == NEW {
                arrived.get_or_insert(now() - start);
            }
        }
    }
    let took = arrived.expect("the new machine is never found");
    assert!(took < 4 * S, "{} ms", took / MS);
}

#[test]
fn a_neighbor_that_was_really_replaced_is_found_in_seconds() {
    failover(true);
}

#[test]
fn a_neighbor_that_was_silently_replaced_is_found_in_seconds() {
    failover(false);
}

#[test]
fn only_answers_to_our_questions_make_neighbors() {
    let p = Pair::new();
    p.ba.lock().unwrap().cut = true;
    let x = [10, 0, 0, 9];
    for _ in 0..10 {
        inject(&p, arp(2, EVIL, x, MAC_B, B));
        inject(&p, arp(1, EVIL, x, [255; 6], x));
    }
    p.run(10 * MS);
    heard(&p);
    let c = tcp(&p.b);
    assert_eq!(c.connect(&v4(x, 1)), Err(Errno::EINPROGRESS));
    p.run(10 * MS);
    let frames = heard(&p);
    assert_eq!(receivers(&frames), [[0; 6]; 0], "the forger is believed");
    assert!(frames.iter().any(|f| f[..6] == [255; 6] && f[12..14] == [8, 6] && f[38..42] == x), "nobody was asked");
    inject(&p, arp(2, [2, 7, 7, 7, 7, 7], x, MAC_B, B));
    p.run(10 * MS);
    assert_eq!(receivers(&heard(&p)), [[2, 7, 7, 7, 7, 7]]);
}

/// Everyone who asks for us gets an answer, known or not, and a full table forgets none of those that we asked for.
#[test]
fn requests_are_answered_and_do_not_fill_the_table() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    heard(&p);
    for i in 3..250u8 {
        inject(&p, arp(1, [2, 1, 1, 1, 1, i], [10, 0, 0, i], [255; 6], B));
    }
    inject(&p, arp(1, [2, 5, 5, 5, 5, 5], [0; 4], [255; 6], B));
    p.run(10 * MS);
    let frames = heard(&p);
    assert_eq!(frames.iter().filter(|f| f[12..14] == [8, 6] && f[21] == 2 && f[28..32] == B).count(), 248);
    transfer(&p, &s, &c, &noise(20_000), 100 * MS);
    assert!(heard(&p).iter().all(|f| f[12..14] != [8, 6]), "A had to be asked for again");
}

#[test]
fn solicitations_are_answered() {
    let p = Pair::new();
    heard(&p);
    let (a, b, group) = ("fe80::ff:fe00:1", "fe80::ff:fe00:2", "ff02::1:ff00:2");
    inject(&p, nd(135, 0, a, group, b, MAC_A));
    inject(&p, nd(135, 0, a, b, b, MAC_A));
    // Somebody wants the address for itself.
    let mut probe = nd(135, 0, "::", group, b, MAC_A);
    probe.truncate(78);
    probe[19] = 24;
    inject(&p, sealed(probe, 2));
    // Not for us, with a bad checksum, through a router.
    inject(&p, nd(135, 0, a, group, "fe80::1:0:2", MAC_A));
    let mut bad = nd(135, 0, a, group, b, MAC_A);
    bad[56] ^= 1;
    inject(&p, bad);
    let mut far = nd(135, 0, a, group, b, MAC_A);
    far[21] = 254;
    inject(&p, far);
    p.run(10 * MS);
    let answers: Vec<_> = heard(&p).into_iter().filter(|f| f[20] == 58 && f[54] == 136).collect();
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|f| f[80..86] == MAC_B && sealed(f.clone(), 2) == *f), "{answers:?}");
    assert_eq!((&answers[0][..6], answers[0][58]), (&MAC_A[..], 0x60));
    assert_eq!((&answers[2][..6], answers[2][58]), (&[0x33, 0x33, 0, 0, 0, 1][..], 0x20));
}
