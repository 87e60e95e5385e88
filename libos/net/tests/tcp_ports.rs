//! Names of TCP sockets: addresses, ports, TIME-WAIT, who shares a port.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::poll::Events;

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

#[test]
fn tuples_in_time_wait_take_a_small_part_of_a_small_memory() {
    let p = Pair::with(Options { memory: 4 << 20, ..Options::default() });
    let l = listen(&p.b, 80, 64);
    for _ in 0..1500 {
        let c = tcp(&p.a);
        let _ = c.connect(&v4(B, 80));
        p.run(3 * MS);
        drop(l.accept(true).unwrap());
        p.run(3 * MS);
        drop(c);
        p.run(3 * MS);
    }
    let (waiting, budget) = p.b.with(|st| (st.connections.waiting(), st.memory.budget()));
    assert!(waiting > 256 && waiting * 192 <= budget / 8, "{waiting} tuples");
}
