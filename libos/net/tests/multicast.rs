//! What is told of memberships on the wire: IGMP and MLD, and whom members hear.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::poll::Events;
use libos_net::socket::Socket;
use libos_net::udp::UdpSocket;
use std::sync::Arc;

const GROUP: [u8; 4] = [239, 1, 2, 3];

fn mreq(group: [u8; 4], rest: &[[u8; 4]]) -> Vec<u8> {
    [&[group], rest].concat().concat()
}

fn join(s: &Socket) {
    s.set(0, 35, &mreq(GROUP, &[B])).unwrap();
}

fn leave(s: &Socket) {
    s.set(0, 36, &mreq(GROUP, &[B])).unwrap();
}

/// What b has sent since the last time: IGMP and MLD messages, as destination and message.
fn told(p: &Pair) -> Vec<(Vec<u8>, Vec<u8>)> {
    let frames = p.ba.lock().unwrap().tap.replace(Vec::new()).unwrap_or_default();
    let mut all = Vec::new();
    for f in frames {
        if f[12..14] == [8, 0] && f[23] == 2 {
            assert_eq!((f[14], f[15], f[22], &f[34..38]), (0x46, 0xc0, 1, &[0x94, 4, 0, 0][..]), "router alert");
            assert_eq!(f[..6], [1, 0, 0x5e, f[31] & 0x7f, f[32], f[33]]);
            assert_eq!((sum(&f[14..38], 0), sum(&f[38..], 0)), (0xffff, 0xffff));
            all.push((f[30..34].to_vec(), f[38..].to_vec()));
        } else if f[12..14] == [0x86, 0xdd] && f[20] == 0 && matches!(f[62], 131 | 132 | 143) {
            assert_eq!((f[21], &f[22..24], &f[54..62]), (1, &[0xfe, 0x80][..], &[58, 0, 5, 2, 0, 0, 1, 0][..]));
            let mut pseudo = f[22..54].to_vec();
            pseudo.extend_from_slice(&[0, 0, 0, (f.len() - 62) as u8, 0, 0, 0, 58]);
            pseudo.extend_from_slice(&f[62..]);
            assert_eq!(sum(&pseudo, 0), 0xffff);
            all.push((f[38..54].to_vec(), f[62..].to_vec()));
        }
    }
    all
}

/// Only IGMP.
fn igmp(p: &Pair) -> Vec<(Vec<u8>, Vec<u8>)> {
    told(p).into_iter().filter(|t| t.0.len() == 4).collect()
}

fn v3(kind: u8, sources: &[[u8; 4]]) -> (Vec<u8>, Vec<u8>) {
    let mut m = vec![0x22, 0, 0, 0, 0, 0, 0, 1, kind, 0, 0, sources.len() as u8];
    m.extend_from_slice(&GROUP);
    m.extend_from_slice(&sources.concat());
    let s = !sum(&m, 0);
    m[2..4].copy_from_slice(&s.to_be_bytes());
    (vec![224, 0, 0, 22], m)
}

/// A router's question reaches b.
fn ask(p: &Pair, message: &[u8]) {
    let mut m = message.to_vec();
    let s = !sum(&m, 0);
    m[2..4].copy_from_slice(&s.to_be_bytes());
    let mut f = vec![1, 0, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 1, 8, 0];
    let mut ip = vec![0x46, 0, 0, 24 + m.len() as u8, 0, 0, 0, 0, 1, 2, 0, 0, 10, 0, 0, 1, 224, 0, 0, 1, 0x94, 4, 0, 0];
    let s = !sum(&ip, 0);
    ip[10..12].copy_from_slice(&s.to_be_bytes());
    f.extend_from_slice(&ip);
    f.extend_from_slice(&m);
    p.ab.lock().unwrap().push(f);
}

fn start() -> (Pair, Arc<Socket>) {
    let p = Pair::new();
    p.b.serve_here();
    let s = udp(&p.b);
    told(&p);
    (p, s)
}

#[test]
fn joining_and_leaving_is_told_twice() {
    let (p, s) = start();
    join(&s);
    let second = udp(&p.b);
    join(&second);
    p.run(3 * S);
    assert_eq!(igmp(&p), [v3(4, &[]), v3(4, &[])]);
    leave(&s);
    p.run(3 * S);
    assert_eq!(igmp(&p), [], "one is still a member");
    drop(second);
    p.run(3 * S);
    assert_eq!(igmp(&p), [v3(3, &[]), v3(3, &[])]);
    assert!(p.b.poll() > now() + S, "nothing is due");
}

#[test]
fn questions_are_answered_in_the_router_s_version() {
    let (p, s) = start();
    join(&s);
    p.run(3 * S);
    told(&p);
    ask(&p, &[0x11, 50, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]);
    p.run(6 * S);
    assert_eq!(igmp(&p), [v3(2, &[])]);
    ask(&p, &[0x11, 50, 0, 0, 239, 1, 2, 4, 2, 125, 0, 0]);
    p.run(6 * S);
    assert_eq!(igmp(&p), [], "not a member of that");
    ask(&p, &[0x11, 50, 0, 0, 0, 0, 0, 0]);
    p.run(6 * S);
    let said = igmp(&p);
    assert_eq!((said.len(), &said[0].0[..], said[0].1[0], &said[0].1[4..]), (1, &GROUP[..], 0x16, &GROUP[..]));
    leave(&s);
    p.run(12 * S);
    let said = igmp(&p);
    assert!(said.iter().all(|m| m.0 == [224, 0, 0, 2] && m.1[0] == 0x17) && !said.is_empty(), "{said:?}");
    // After a while without such a router, version 3 again.
    p.run(300 * S);
    join(&s);
    p.run(3 * S);
    assert_eq!(igmp(&p), [v3(4, &[]), v3(4, &[])]);
}

#[test]
fn another_host_s_report_is_enough_for_an_old_router() {
    let (p, s) = start();
    join(&s);
    p.run(3 * S);
    told(&p);
    ask(&p, &[0x11, 50, 0, 0, 0, 0, 0, 0]);
    p.run(MS);
    ask(&p, &[0x16, 0, 0, 0, 239, 1, 2, 3]);
    p.run(10 * S);
    assert_eq!(igmp(&p), []);
}

#[test]
fn sources_are_told_and_others_not_heard() {
    let (p, s) = start();
    s.ops().bind(&v4([0; 4], 5000)).unwrap();
    let other = [10, 0, 0, 9];
    // IP_ADD_SOURCE_MEMBERSHIP: group, interface, source.
    s.set(0, 39, &mreq(GROUP, &[B, other])).unwrap();
    p.run(3 * S);
    assert_eq!(igmp(&p), [v3(5, &[other]), v3(5, &[other])]);
    let c = udp(&p.a);
    c.set(0, 32, &A).unwrap();
    c.connect(&v4(GROUP, 5000)).unwrap();
    send(&c, b"unwanted").unwrap();
    p.run(10 * MS);
    assert!(!s.poll(None).contains(Events::IN));
    s.set(0, 39, &mreq(GROUP, &[B, A])).unwrap();
    p.run(3 * S);
    assert_eq!(igmp(&p), [v3(5, &[A]), v3(5, &[A])]);
    send(&c, b"wanted").unwrap();
    p.run(10 * MS);
    assert_eq!(recv(&s, 20).unwrap(), b"wanted");
    // IP_DROP_SOURCE_MEMBERSHIP of both: no member any more.
    s.set(0, 40, &mreq(GROUP, &[B, A])).unwrap();
    s.set(0, 40, &mreq(GROUP, &[B, other])).unwrap();
    assert_eq!(s.set(0, 40, &mreq(GROUP, &[B, other])), Err(Errno::EINVAL));
    p.run(3 * S);
    assert!(p.b.with(|st| st.groups.is_empty()));
    // IP_BLOCK_SOURCE of a membership in all.
    join(&s);
    s.set(0, 38, &mreq(GROUP, &[B, A])).unwrap();
    p.run(3 * S);
    told(&p);
    send(&c, b"blocked").unwrap();
    p.run(10 * MS);
    assert!(!s.poll(None).contains(Events::IN));
    s.set(0, 37, &mreq(GROUP, &[B, A])).unwrap();
    p.run(3 * S);
    assert_eq!(igmp(&p), [v3(5, &[A]), v3(5, &[A])]);
}

#[test]
fn ipv6_has_its_own_and_tells_where_neighbors_look() {
    let (p, _) = start();
    let s = Socket::new(UdpSocket::open(&p.b, true).unwrap(), true);
    let group = "ff15::1:2".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut r = group.to_vec();
    r.extend_from_slice(&2u32.to_le_bytes());
    s.set(41, 20, &r).unwrap();
    p.run(3 * S);
    let all: Vec<_> = told(&p).into_iter().filter(|t| t.0.len() == 16).collect();
    let solicited = "ff02::1:ff00:2".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let records: Vec<_> = all
        .iter()
        .flat_map(|(to, m)| {
            assert_eq!((to[1], to[15], m[0]), (2, 0x16, 143));
            m[8..].chunks(20).map(|r| (r[0], r[4..20].to_vec())).collect::<Vec<_>>()
        })
        .collect();
    for g in [group, solicited] {
        assert_eq!(records.iter().filter(|r| **r == (4, g.to_vec())).count(), 2, "{records:?}");
    }
    s.set(41, 21, &r).unwrap();
    p.run(3 * S);
    let all = told(&p);
    assert!(all.iter().any(|(_, m)| m[8] == 3 && m[12..28] == group), "{all:?}");
}
