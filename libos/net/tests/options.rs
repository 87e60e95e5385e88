//! What options do to packets, and who is notified of network changes.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::Events;
use libos_net::netlink::NetlinkSocket;
use libos_net::socket::{Incoming, Msg, Outgoing, Socket};
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress, IpProtocol,
    Ipv4Address, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};
use std::sync::Arc;

fn udp6(n: &Arc<libos_net::net::Net>) -> Arc<Socket> {
    Socket::new(libos_net::udp::UdpSocket::open(n, true).unwrap(), true)
}

fn send_to(s: &Socket, data: &[u8], to: &[u8]) -> Result<usize, Errno> {
    s.send(&mut Source::kernel(data), &Outgoing { to: Some(to), ..Outgoing::default() })
}

fn set(s: &Socket, level: i32, name: i32, v: i32) {
    s.set(level, name, &v.to_le_bytes()).unwrap();
}

/// Type of service and hop limit of the IPv4 frames that carry a protocol.
fn marks(frames: &[Vec<u8>], proto: u8) -> Vec<(u8, u8)> {
    let ip = frames.iter().filter(|f| f[12..14] == [8, 0] && f[23] == proto);
    ip.inspect(|f| assert!(Ipv4Packet::new_checked(&f[14..]).unwrap().verify_checksum(), "header checksum"))
        .map(|f| (f[15], f[22]))
        .collect()
}

fn tapped(p: &Pair) -> Vec<Vec<u8>> {
    p.ab.lock().unwrap().tap.replace(Vec::new()).unwrap_or_default()
}

#[test]
fn type_of_service_is_in_every_segment() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 5);
    set(&l, 0, 1, 0x48);
    let c = tcp(&p.a);
    set(&c, 0, 1, 0xb8);
    tapped(&p);
    p.ba.lock().unwrap().tap = Some(Vec::new());
    let _ = c.connect(&v4(B, 80));
    let mut s = None;
    assert!(p.until(|| {
        s = s.take().or_else(|| l.accept(true).ok().map(|s| s.0));
        s.is_some()
    }));
    let s = s.unwrap();
    transfer(&p, &c, &s, &noise(100_000), 1000 * MS);
    let there = marks(&tapped(&p), 6);
    assert!(there.len() > 60 && there.iter().all(|m| m.0 == 0xb8), "SYN, data, ACK: {there:?}");
    let back = marks(p.ba.lock().unwrap().tap.as_ref().unwrap(), 6);
    assert!(back.len() > 5 && back.iter().all(|m| m.0 == 0x48), "SYN ACK and ACKs: as the listener's: {back:?}");
    // It can be changed, and turned off.
    set(&c, 0, 1, 0);
    send(&c, b"plain").unwrap();
    p.run(10 * MS);
    assert_eq!(marks(&tapped(&p), 6), [(0, 64)]);
}

#[test]
fn datagrams_carry_the_options_of_their_call() {
    let p = Pair::new();
    let s = udp(&p.b);
    s.ops().bind(&v4([0, 0, 0, 0], 53)).unwrap();
    let c = udp(&p.a);
    // Two while the neighbor is being asked for, with different marks: the second waits, and then keeps its own.
    set(&c, 0, 1, 0x20);
    set(&c, 0, 2, 9);
    tapped(&p);
    send_to(&c, &[1; 3000], &v4(B, 53)).unwrap();
    set(&c, 0, 1, 0x60);
    assert_eq!(send_to(&c, b"two", &v4(B, 53)), Err(Errno::EAGAIN));
    p.run(10 * MS);
    send_to(&c, b"two", &v4(B, 53)).unwrap();
    p.run(10 * MS);
    assert_eq!(marks(&tapped(&p), 17), [(0x20, 9), (0x20, 9), (0x20, 9), (0x60, 9)], "three fragments, one whole");
    // IP_MTU_DISCOVER: nothing in fragments.
    set(&c, 0, 10, 2);
    assert_eq!(send_to(&c, &[1; 1473], &v4(B, 53)), Err(Errno::EMSGSIZE));
    assert_eq!(send_to(&c, &[1; 1472], &v4(B, 53)), Ok(1472));
}

#[test]
fn traffic_class_and_hop_limit() {
    let p = Pair::new();
    p.run(2000 * MS);
    let (s, c) = (udp6(&p.b), udp6(&p.a));
    s.ops().bind(&v6("::", 53)).unwrap();
    [51, 66].iter().for_each(|&o| set(&s, 41, o, 1));
    set(&c, 41, 67, 0xa3);
    set(&c, 41, 16, 7);
    send_to(&c, b"six", &v6("fe80::ff:fe00:2", 53)).unwrap();
    p.run(50 * MS);
    let mut b = [0; 10];
    let mut m = Incoming::new(Msg::empty());
    assert_eq!(s.recv(&mut Sink::kernel(&mut b), &mut m), Ok(3));
    assert_eq!(m.control, [(41, 52, vec![7, 0, 0, 0]), (41, 67, vec![0xa3, 0, 0, 0])]);
}

#[test]
fn multicast_reaches_members_and_comes_back() {
    let p = Pair::new();
    let group = [239, 1, 1, 1];
    let bound = |n| {
        let s = udp(n);
        s.ops().bind(&v4([0, 0, 0, 0], 5353)).unwrap();
        s
    };
    let (mine, theirs) = (bound(&p.a), bound(&p.b));
    let member = |s: &Socket, add: bool| s.set(0, if add { 35 } else { 36 }, &[239, 1, 1, 1, 0, 0, 0, 0, 2, 0, 0, 0]);
    let heard = |s: &Socket| {
        p.run(10 * MS);
        recv(s, 10)
    };
    let via = |s: &Socket| s.set(0, 32, &[0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
    via(&mine).unwrap();
    send_to(&mine, b"one", &v4(group, 5353)).unwrap();
    assert_eq!((heard(&mine), heard(&theirs)), (Err(Errno::EAGAIN), Err(Errno::EAGAIN)), "nobody is a member");
    member(&mine, true).unwrap();
    member(&theirs, true).unwrap();
    send_to(&mine, b"two", &v4(group, 5353)).unwrap();
    assert_eq!((heard(&mine), heard(&theirs)), (Ok(b"two".to_vec()), Ok(b"two".to_vec())));
    set(&mine, 0, 34, 0);
    send_to(&mine, b"three", &v4(group, 5353)).unwrap();
    assert_eq!((heard(&mine), heard(&theirs)), (Err(Errno::EAGAIN), Ok(b"three".to_vec())), "no loop");
    set(&mine, 0, 34, 1);
    set(&mine, 0, 33, 0);
    send_to(&mine, b"four", &v4(group, 5353)).unwrap();
    assert_eq!((heard(&mine), heard(&theirs)), (Ok(b"four".to_vec()), Err(Errno::EAGAIN)), "no hops");
    // Membership ends with its last member, however that leaves.
    drop(mine);
    member(&theirs, false).unwrap();
    assert!(p.a.with(|st| st.groups.is_empty()) && p.b.with(|st| st.groups.is_empty()));
    // Broadcasts come back, too.
    let one = bound(&p.a);
    set(&one, 1, 6, 1);
    send_to(&one, b"all", &v4([10, 0, 0, 255], 5353)).unwrap();
    assert_eq!((heard(&one), heard(&theirs)), (Ok(b"all".to_vec()), Ok(b"all".to_vec())));
}

#[test]
fn a_socket_stays_on_its_device() {
    let p = Pair::new();
    let s = udp(&p.b);
    s.set(1, 25, b"lo").unwrap();
    s.ops().bind(&v4([0, 0, 0, 0], 53)).unwrap();
    let c = udp(&p.a);
    c.connect(&v4(B, 53)).unwrap();
    send(&c, b"x").unwrap();
    p.run(10 * MS);
    assert_eq!(recv(&c, 9), Err(Errno::ECONNREFUSED), "for eth0 nobody is there");
    assert_eq!(send_to(&s, b"x", &v4(A, 53)), Err(Errno::ENETUNREACH));
    s.set(1, 25, b"eth0\0").unwrap();
    send(&c, b"x").unwrap();
    p.run(10 * MS);
    assert_eq!(recv(&s, 9), Ok(b"x".to_vec()));
    let l = tcp(&p.b);
    l.set(1, 62, &1i32.to_le_bytes()).unwrap();
    l.ops().bind(&v4([0, 0, 0, 0], 80)).unwrap();
    l.ops().listen(5).unwrap();
    let t = tcp(&p.a);
    let _ = t.connect(&v4(B, 80));
    p.run(10 * MS);
    assert!(t.poll(None).contains(Events::ERR), "refused");
    // SO_DONTROUTE: neighbors only.
    set(&c, 1, 5, 1);
    assert_eq!(send_to(&c, b"x", &v4([192, 0, 2, 1], 9)), Err(Errno::ENETUNREACH));
    assert_eq!(send_to(&c, b"x", &v4(B, 53)), Ok(1));
}

/// Types of the messages received by a group member.
fn news(s: &Socket) -> Vec<(u16, Vec<u8>)> {
    let mut out = Vec::new();
    while let Ok(b) = recv(s, 8192) {
        assert_eq!(u32::from_le_bytes(b[..4].try_into().unwrap()) as usize, b.len());
        assert_eq!(b[8..16], [0; 8], "no request asked for it");
        out.push((u16::from_le_bytes([b[4], b[5]]), b[16..].to_vec()));
    }
    out
}

fn kinds(news: &[(u16, Vec<u8>)]) -> Vec<u16> {
    news.iter().map(|n| n.0).collect()
}

#[test]
fn members_hear_of_the_cable() {
    let p = Pair::new();
    p.run(10 * MS);
    let open = |groups: u32| {
        let s = Socket::new(NetlinkSocket::open(&p.a, 3, 42).unwrap(), true);
        let mut name = vec![16, 0, 0, 0, 0, 0, 0, 0];
        name.extend(groups.to_le_bytes());
        s.ops().bind(&name).unwrap();
        s
    };
    let (links, addresses) = (open(1), open(0x110));
    let cable = |up: bool| {
        p.ba.lock().unwrap().down = !up;
        p.a.link_changed();
        p.run(10 * MS);
    };
    cable(true);
    assert_eq!(kinds(&news(&links)), [], "nothing has changed");
    cable(false);
    let down = news(&links);
    assert_eq!(kinds(&down), [16]);
    let flags = |n: &(u16, Vec<u8>)| u32::from_le_bytes(n.1[8..12].try_into().unwrap());
    assert_eq!(flags(&down[0]), 0x1003, "up, but not running");
    cable(true);
    let up = news(&links);
    assert_eq!((kinds(&up), flags(&up[0])), (vec![16], 0x11043));
    assert_eq!(kinds(&news(&addresses)), []);
    // A socket that does not read loses messages, and learns that once.
    set(&links, 1, 8, 0);
    (0..60).for_each(|i| cable(i % 2 == 1));
    assert_eq!(recv(&links, 9), Err(Errno::ENOBUFS));
    assert!(news(&links).len() > 5);
}

/// A DHCP answer from b to a.
fn answer(p: &Pair, kind: DhcpMessageType, id: u32, mac: EthernetAddress, seconds: u32) {
    let (server, yours) = (Ipv4Address::new(10, 9, 0, 1), Ipv4Address::new(10, 9, 0, 7));
    let dhcp = DhcpRepr {
        message_type: kind,
        transaction_id: id,
        secs: 0,
        client_hardware_address: mac,
        client_ip: Ipv4Address::UNSPECIFIED,
        your_ip: yours,
        server_ip: server,
        router: Some(server),
        subnet_mask: Some(Ipv4Address::new(255, 255, 255, 0)),
        relay_agent_ip: Ipv4Address::UNSPECIFIED,
        broadcast: false,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(server),
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: Some(seconds),
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    let caps = smoltcp::phy::ChecksumCapabilities::default();
    let udp = UdpRepr { src_port: 67, dst_port: 68 };
    let ip = Ipv4Repr {
        src_addr: server,
        dst_addr: yours,
        next_header: IpProtocol::Udp,
        payload_len: 8 + dhcp.buffer_len(),
        hop_limit: 64,
    };
    let mut f = vec![0; 14 + 20 + 8 + dhcp.buffer_len()];
    let mut eth = EthernetFrame::new_unchecked(&mut f[..]);
    eth.set_dst_addr(mac);
    eth.set_src_addr(EthernetAddress([2, 0, 0, 0, 0, 2]));
    eth.set_ethertype(EthernetProtocol::Ipv4);
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut f[14..]), &caps);
    let (from, to) = (IpAddress::Ipv4(server), IpAddress::Ipv4(yours));
    udp.emit(
        &mut UdpPacket::new_unchecked(&mut f[34..]),
        &from,
        &to,
        dhcp.buffer_len(),
        |b| dhcp.emit(&mut DhcpPacket::new_unchecked(b)).unwrap(),
        &caps,
    );
    p.ba.lock().unwrap().push(f);
}

#[test]
fn members_hear_of_leases() {
    let p = Pair::with(Options { dhcp: true, ..Options::default() });
    let s = Socket::new(NetlinkSocket::open(&p.a, 3, 42).unwrap(), true);
    for group in [5i32, 7] {
        set(&s, 270, 1, group);
    }
    tapped(&p);
    // The server: an offer for each discovery, an acknowledgment for each request. Twenty seconds.
    let serve = |ns: u64, silent: bool| {
        for _ in 0..ns / (100 * MS) {
            p.run(100 * MS);
            for f in tapped(&p).iter().filter(|f| f[12..14] == [8, 0] && f[23] == 17 && f[36..38] == [0, 67]) {
                let packet = DhcpPacket::new_checked(&f[42..]).unwrap();
                let d = DhcpRepr::parse(&packet).unwrap();
                let kind = if d.message_type == DhcpMessageType::Discover {
                    DhcpMessageType::Offer
                } else {
                    DhcpMessageType::Ack
                };
                if !silent {
                    answer(&p, kind, d.transaction_id, d.client_hardware_address, 20);
                }
            }
        }
    };
    serve(15_000 * MS, false);
    let got = news(&s);
    assert_eq!(kinds(&got), [20, 24, 24], "the address, its subnet, the default route");
    assert_eq!(got[0].1[..8], [2, 24, 0x80, 0, 2, 0, 0, 0]);
    assert!(got[0].1.windows(4).any(|w| w == [10, 9, 0, 7]) && got[2].1.windows(4).any(|w| w == [10, 9, 0, 1]));
    serve(15_000 * MS, false);
    assert_eq!(kinds(&news(&s)), [], "renewed");
    serve(60_000 * MS, true);
    assert_eq!(kinds(&news(&s)), [21, 25, 25], "the lease has ended");
}
