//! UDP between two stacks.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::Events;
use libos_net::socket::{Incoming, Msg, Outgoing, Socket};

fn send_to(s: &Socket, data: &[u8], to: &[u8]) -> Result<usize, Errno> {
    s.send(&mut Source::kernel(data), &Outgoing { to: Some(to), ..Outgoing::default() })
}

fn recv_from(s: &Socket, max: usize) -> Result<(Vec<u8>, Incoming), Errno> {
    let mut b = vec![0; max];
    let mut m = Incoming::new(Msg::empty());
    let n = s.recv(&mut Sink::kernel(&mut b), &mut m)?;
    b.truncate(n);
    Ok((b, m))
}

fn bound(p: &Pair, port: u16) -> std::sync::Arc<Socket> {
    let s = udp(&p.b);
    s.ops().bind(&v4([0, 0, 0, 0], port)).unwrap();
    s
}

#[test]
fn datagrams_both_ways() {
    let p = Pair::new();
    let s = bound(&p, 53);
    let c = udp(&p.a);
    assert_eq!(send_to(&c, b"query", &v4(B, 53)), Ok(5));
    assert!(p.until(|| s.poll(None).contains(Events::IN)));
    let (d, m) = recv_from(&s, 100).unwrap();
    assert_eq!(d, b"query");
    assert_eq!(m.from.as_bytes()[4..8], A);
    send_to(&s, b"answer", m.from.as_bytes()).unwrap();
    assert!(p.until(|| c.poll(None).contains(Events::IN)));
    let (d, m) = recv_from(&c, 3).unwrap();
    assert_eq!((&d[..], m.full_len), (&b"ans"[..], Some(6)));
    assert!(m.out_flags.contains(Msg::TRUNC));
    assert_eq!(recv_from(&c, 10).err(), Some(Errno::EAGAIN), "the rest is gone");
}

#[test]
fn connected_sockets_hear_their_peer_only_and_learn_of_closed_ports() {
    let p = Pair::new();
    let c = udp(&p.a);
    assert_eq!(send(&c, b"x"), Err(Errno::EDESTADDRREQ));
    c.connect(&v4(B, 53)).unwrap();
    send(&c, b"anybody?").unwrap();
    p.run(10 * MS);
    assert!(c.poll(None).contains(Events::ERR));
    assert_eq!(recv_from(&c, 10).err(), Some(Errno::ECONNREFUSED));
    let s = bound(&p, 53);
    send(&c, b"now").unwrap();
    p.run(10 * MS);
    let from = recv_from(&s, 10).unwrap().1.from;
    let other = bound(&p, 54);
    send_to(&other, b"stranger", from.as_bytes()).unwrap();
    send_to(&s, b"friend", from.as_bytes()).unwrap();
    p.run(10 * MS);
    assert_eq!(recv_from(&c, 10).unwrap().0, b"friend");
    assert_eq!(recv_from(&c, 10).err(), Some(Errno::EAGAIN));
    assert_eq!(c.ops().peer().unwrap().as_bytes(), v4(B, 53));
    c.connect(&[0; 16]).unwrap();
    assert_eq!(c.ops().peer().err(), Some(Errno::ENOTCONN));
}

#[test]
fn sizes() {
    let p = Pair::new();
    let s = bound(&p, 53);
    let c = udp(&p.a);
    send_to(&c, b"", &v4(B, 53)).unwrap();
    p.run(10 * MS);
    assert_eq!(recv_from(&s, 10).unwrap().0, b"");
    for n in [1472, 1473, 4000, 4068] {
        let data = noise(n);
        assert_eq!(send_to(&c, &data, &v4(B, 53)), Ok(n));
        p.run(10 * MS);
        assert_eq!(recv_from(&s, 5000).unwrap().0, data, "{n} bytes, in fragments if need be");
    }
    assert_eq!(send_to(&c, &noise(70_000), &v4(B, 53)), Err(Errno::EMSGSIZE));
    assert_eq!(send_to(&c, &noise(5000), &v4(B, 53)), Err(Errno::EMSGSIZE));
    // Loopback takes them whole.
    let lo = udp(&p.b);
    send_to(&lo, &noise(65_507), &v4([127, 0, 0, 1], 53)).unwrap();
    assert_eq!(recv_from(&s, 70_000).unwrap().0, noise(65_507));
    lo.connect(&v4([127, 0, 0, 1], 54)).unwrap();
    send(&lo, b"x").unwrap();
    assert_eq!(send(&lo, b"y"), Err(Errno::ECONNREFUSED));
}

#[test]
fn the_queue_is_bounded() {
    let p = Pair::new();
    let s = bound(&p, 53);
    s.set(1, 8, &5000i32.to_le_bytes()).unwrap();
    let c = udp(&p.a);
    for _ in 0..100 {
        let _ = send_to(&c, &[0; 1000], &v4(B, 53));
        p.run(MS);
    }
    let mut n = 0;
    while recv_from(&s, 2000).is_ok() {
        n += 1;
    }
    assert!((5..12).contains(&n), "{n}");
    p.b.with(|st| assert_eq!(st.memory.used(), 0));
    drop((s, c));
    p.a.with(|st| assert_eq!(st.memory.used(), 0));
}

#[test]
fn pktinfo_broadcast_and_ipv6() {
    let p = Pair::new();
    let s = bound(&p, 53);
    s.set(0, 8, &1i32.to_le_bytes()).unwrap();
    let c = udp(&p.a);
    assert_eq!(send_to(&c, b"all", &v4([10, 0, 0, 255], 53)), Err(Errno::EACCES));
    c.set(1, 6, &1i32.to_le_bytes()).unwrap();
    send_to(&c, b"all", &v4([10, 0, 0, 255], 53)).unwrap();
    p.run(10 * MS);
    let (d, m) = recv_from(&s, 10).unwrap();
    assert_eq!(d, b"all");
    assert_eq!((m.control[0].0, m.control[0].1, &m.control[0].2[8..12]), (0, 8, &[10, 0, 0, 255][..]));
    let s6 = Socket::new(libos_net::udp::UdpSocket::open(&p.b, true).unwrap(), true);
    s6.ops().bind(&v6("::", 99)).unwrap();
    let c6 = Socket::new(libos_net::udp::UdpSocket::open(&p.a, true).unwrap(), true);
    send_to(&c6, b"six", &v6("fe80::ff:fe00:2", 99)).unwrap();
    p.run(10 * MS);
    assert_eq!(recv_from(&s6, 10).unwrap().0, b"six");
    send_to(&c, b"four", &v4(B, 99)).unwrap();
    p.run(10 * MS);
    assert_eq!(recv_from(&s6, 10).unwrap().1.from.as_bytes()[18..24], [255, 255, 10, 0, 0, 1]);
}

#[test]
fn the_first_datagram_to_a_new_neighbor_does_not_wait() {
    let p = Pair::new();
    let s = bound(&p, 53);
    // Somebody else is being asked for, in vain.
    let c = udp(&p.a);
    send_to(&c, b"x", &v4([10, 0, 0, 9], 53)).unwrap();
    p.run(10 * MS);
    let d = udp(&p.a);
    send_to(&d, b"quick", &v4(B, 53)).unwrap();
    p.run(10 * MS);
    assert_eq!(recv_from(&s, 10).unwrap().0, b"quick");
}

#[test]
fn netlink_lists_interfaces_and_addresses() {
    let p = Pair::new();
    let s = Socket::new(libos_net::netlink::NetlinkSocket::open(&p.a, 3, 42).unwrap(), true);
    let ask = |kind: u16| {
        let mut m = vec![17, 0, 0, 0];
        m.extend(kind.to_le_bytes());
        m.extend(0x301u16.to_le_bytes());
        m.extend([7, 0, 0, 0, 0, 0, 0, 0, 0]);
        send(&s, &m).unwrap();
        recv(&s, 8192).unwrap()
    };
    let messages = |b: &[u8]| {
        let mut out = Vec::new();
        let mut at = 0;
        while at < b.len() {
            let n = u32::from_le_bytes(b[at..at + 4].try_into().unwrap()) as usize;
            out.push((u16::from_le_bytes(b[at + 4..at + 6].try_into().unwrap()), b[at..at + n].to_vec()));
            assert_eq!(b[at + 8], 7, "the request's sequence number");
            at += n.next_multiple_of(4);
        }
        out
    };
    let links = messages(&ask(18));
    assert_eq!(links.iter().map(|m| m.0).collect::<Vec<_>>(), [16, 16, 3]);
    assert!(links[1].1.windows(4).any(|w| w == b"eth0"));
    let addrs = messages(&ask(22));
    assert_eq!(addrs.len(), 5, "127.0.0.1, ::1, 10.0.0.1, link-local, done");
    assert!(addrs.iter().any(|m| m.1.windows(4).any(|w| w == A)));
    let routes = messages(&ask(26));
    assert_eq!(routes.iter().map(|m| m.0).collect::<Vec<_>>(), [24, 24, 3], "to the two subnets");
    assert_eq!(messages(&ask(34))[0].0, 2, "rules are not told: an error");
    assert_eq!(recv(&s, 10), Err(Errno::EAGAIN));
}
