//! Raw, ping and packet sockets between two stacks.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::Events;
use libos_net::net::Net;
use libos_net::packet::PacketSocket;
use libos_net::raw::RawSocket;
use libos_net::socket::{Incoming, Msg, Outgoing, Socket};
use std::sync::Arc;

fn raw(n: &Arc<Net>, protocol: u8) -> Arc<Socket> {
    Socket::new(RawSocket::open(n, false, protocol, false).unwrap(), true)
}

fn ping(n: &Arc<Net>, six: bool) -> Arc<Socket> {
    Socket::new(RawSocket::open(n, six, if six { 58 } else { 1 }, true).unwrap(), true)
}

fn packet(n: &Arc<Net>, kind: u32, protocol: u16) -> Arc<Socket> {
    Socket::new(PacketSocket::open(n, kind, protocol.to_be().into()).unwrap(), true)
}

fn to(s: &Socket, data: &[u8], to: &[u8]) -> Result<usize, Errno> {
    s.send(&mut Source::kernel(data), &Outgoing { to: Some(to), ..Outgoing::default() })
}

fn from(s: &Socket) -> Result<(Vec<u8>, Incoming), Errno> {
    let mut b = vec![0; 70_000];
    let mut m = Incoming::new(Msg::empty());
    let n = s.recv(&mut Sink::kernel(&mut b), &mut m)?;
    b.truncate(n);
    Ok((b, m))
}

/// An echo request.
fn echo(id: u16, len: usize) -> Vec<u8> {
    let mut m = vec![8, 0, 0, 0, (id >> 8) as u8, id as u8, 0, 1];
    m.extend((0..len).map(|i| i as u8));
    let s = !sum(&m, 0);
    m[2..4].copy_from_slice(&s.to_be_bytes());
    m
}

#[test]
fn a_ping_and_its_answer_also_when_the_neighbor_is_not_known_yet() {
    let p = Pair::new();
    let (here, there) = (raw(&p.a, 1), raw(&p.b, 1));
    assert_eq!(to(&here, &echo(7, 56), &v4(B, 0)), Ok(64));
    assert!(p.until(|| here.poll(None).contains(Events::IN)));
    let (d, m) = from(&here).unwrap();
    assert_eq!((d.len(), d[0], d[9], d[20], &d[24..28]), (84, 0x45, 1, 0, &[0, 7, 0, 1][..]));
    assert_eq!(sum(&d[..20], 0), 0xffff, "the header's checksum");
    assert_eq!(m.from.as_bytes()[..8], v4(B, 0)[..8]);
    let (d, _) = from(&there).unwrap();
    assert_eq!((d[20], d[8]), (8, 64), "who is asked sees the request");
    assert_eq!(from(&there).err(), Some(Errno::EAGAIN));
    // ICMP_FILTER: no requests.
    there.set(255, 1, &(1u32 << 8).to_le_bytes()).unwrap();
    to(&here, &echo(8, 0), &v4(B, 0)).unwrap();
    assert!(p.until(|| here.poll(None).contains(Events::IN)));
    assert_eq!(from(&there).err(), Some(Errno::EAGAIN));
}

#[test]
fn what_is_too_long_goes_in_fragments() {
    let p = Pair::new();
    let (here, there) = (raw(&p.a, 200), raw(&p.b, 200));
    let data = noise(9000);
    assert_eq!(to(&here, &data, &v4(B, 0)), Ok(9000));
    assert!(p.until(|| there.poll(None).contains(Events::IN)));
    let (d, _) = from(&there).unwrap();
    assert_eq!(d[20..], data);
    // IP_MTU_DISCOVER: never in fragments.
    here.set(0, 10, &2u32.to_le_bytes()).unwrap();
    assert_eq!(to(&here, &data, &v4(B, 0)), Err(Errno::EMSGSIZE));
}

#[test]
fn nobody_at_an_address_does_not_stop_others() {
    let p = Pair::new();
    let here = raw(&p.a, 1);
    to(&here, &echo(1, 10), &v4([10, 0, 0, 99], 0)).unwrap();
    to(&here, &echo(2, 10), &v4(B, 0)).unwrap();
    assert!(p.run_until(now() + 10 * S, || here.poll(None).contains(Events::IN)));
    assert_eq!(from(&here).unwrap().0[25], 2);
    assert!(p.a.poll() > now(), "nothing is due");
}

#[test]
fn a_header_of_the_program_s_own() {
    let p = Pair::new();
    let (here, there) = (raw(&p.a, 255), udp(&p.b));
    there.ops().bind(&v4([0; 4], 53)).unwrap();
    let mut ip = vec![0x45, 0x10, 0, 0, 0, 0, 0, 0, 9, 17, 0, 0, 0, 0, 0, 0];
    ip.extend_from_slice(&B);
    ip.extend_from_slice(&[0x12, 0x34, 0, 53, 0, 11, 0, 0]);
    ip.extend_from_slice(b"abc");
    assert_eq!(to(&here, &ip, &v4(B, 0)), Ok(31));
    assert!(p.until(|| there.poll(None).contains(Events::IN)));
    let (d, m) = from(&there).unwrap();
    assert_eq!((&d[..], m.from.as_bytes()), (&b"abc"[..], &v4(A, 0x1234)[..]));
    assert_eq!(to(&here, &ip[..19], &v4(B, 0)), Err(Errno::EINVAL));
    assert_eq!(to(&here, &vec![0x45; 1501], &v4(B, 0)), Err(Errno::EMSGSIZE));
}

#[test]
fn ping_sockets_hear_their_own_answers_only() {
    let p = Pair::new();
    let (one, two) = (ping(&p.a, false), ping(&p.a, false));
    assert_eq!(to(&one, &echo(1, 8), &v4(B, 0)), Ok(16));
    assert_eq!(to(&one, &[0; 16], &v4(B, 0)), Err(Errno::EINVAL), "not a request");
    assert!(p.until(|| one.poll(None).contains(Events::IN)));
    let (d, m) = from(&one).unwrap();
    let id = one.ops().local().unwrap();
    assert_eq!((d.len(), d[0], &d[4..6]), (16, 0, &id.as_bytes()[2..4]));
    assert_eq!(m.from.as_bytes()[..8], v4(B, 0)[..8]);
    assert_eq!(from(&two).err(), Some(Errno::EAGAIN));
}

#[test]
fn a_packet_socket_sees_both_directions() {
    let p = Pair::new();
    let (all, only) = (packet(&p.a, 3, 3), packet(&p.a, 2, 0x800));
    let here = raw(&p.a, 1);
    to(&here, &echo(1, 8), &v4(B, 0)).unwrap();
    assert!(p.until(|| here.poll(None).contains(Events::IN)));
    let mut seen = Vec::new();
    while let Ok((d, m)) = from(&all) {
        let a = m.from.as_bytes();
        assert_eq!((a.len(), a[0], a[11], a[4]), (20, 17, 6, 2));
        seen.push((u16::from_be_bytes([d[12], d[13]]), a[10]));
    }
    seen.retain(|s| s.0 != 0x86dd);
    assert_eq!(seen, [(0x806, 4), (0x806, 0), (0x800, 4), (0x800, 0)], "asked, told, asked, answered");
    let (d, m) = from(&only).unwrap();
    assert_eq!((d[0], d[9], m.from.as_bytes()[10]), (0x45, 1, 0), "without the Ethernet header");
    assert_eq!(from(&only).err(), Some(Errno::EAGAIN), "what goes out is for those who want all protocols");
}

#[test]
fn a_packet_socket_sends_and_filters() {
    let p = Pair::new();
    let (here, there) = (packet(&p.a, 3, 0), packet(&p.b, 3, 0x88b5));
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    frame.extend_from_slice(&[1; 60]);
    let mut ll = vec![17, 0, 0x88, 0xb5, 2, 0, 0, 0, 0, 0, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0];
    assert_eq!(to(&here, &frame, &ll), Ok(74));
    assert!(p.until(|| there.poll(None).contains(Events::IN)));
    assert_eq!(from(&there).unwrap().0, frame);
    // For somebody else: only a promiscuous interface takes it.
    frame[5] = 9;
    to(&here, &frame, &ll).unwrap();
    p.run(10 * MS);
    assert_eq!(from(&there).err(), Some(Errno::EAGAIN));
    let mut member = [0u8; 16];
    (member[0], member[4]) = (2, 1);
    there.set(263, 1, &member).unwrap();
    to(&here, &frame, &ll).unwrap();
    p.run(10 * MS);
    assert_eq!(from(&there).unwrap().1.from.as_bytes()[10], 3);
    assert_eq!(there.get(263, 6).unwrap(), [2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(to(&here, &vec![0; 1515], &ll), Err(Errno::EMSGSIZE));
    assert_eq!(to(&here, &frame[..13], &ll), Err(Errno::EINVAL));
    ll[4] = 7;
    assert_eq!(to(&here, &frame, &ll), Err(Errno::ENXIO));
    assert_eq!(here.ops().bind(&ll), Err(Errno::ENODEV));
}
