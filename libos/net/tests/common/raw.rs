//! Frames made by hand, for a peer that keeps to no rules.

use super::*;

pub const MAC_A: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const MAC_B: [u8; 6] = [2, 0, 0, 0, 0, 2];

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

pub fn checksum(b: &[u8], start: u32) -> u16 {
    !sum(b, start)
}

/// An IPv4 packet from `src` to `dst` in a frame from a to b.
pub fn ip4(src: [u8; 4], dst: [u8; 4], protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut f = [&MAC_B[..], &MAC_A, &[8, 0, 0x45, 0]].concat();
    f.extend((20 + body.len() as u16).to_be_bytes());
    f.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    f.extend(src);
    f.extend(dst);
    let c = checksum(&f[14..34], 0);
    f[24..26].copy_from_slice(&c.to_be_bytes());
    f.extend(body);
    f
}

/// An IPv6 packet in a frame from a to b.
pub fn ip6(src: &str, dst: &str, protocol: u8, hops: u8, body: &[u8]) -> Vec<u8> {
    let mut f = [&MAC_B[..], &MAC_A, &[0x86, 0xdd, 0x60, 0, 0, 0]].concat();
    f.extend((body.len() as u16).to_be_bytes());
    f.extend([protocol, hops]);
    for a in [src, dst] {
        f.extend(a.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    f.extend(body);
    f
}

/// Fills in the checksum of TCP, UDP or ICMPv6, `offset` bytes into the body.
pub fn sealed(mut f: Vec<u8>, offset: usize) -> Vec<u8> {
    let (body, addresses, protocol) = if f[12] == 8 { (34, 26..34, f[23]) } else { (54, 22..54, f[20]) };
    f[body + offset..body + offset + 2].fill(0);
    let pseudo = u32::from(!checksum(&f[addresses], 0)) + u32::from(protocol) + (f.len() - body) as u32;
    let c = checksum(&f[body..], pseudo);
    f[body + offset..body + offset + 2].copy_from_slice(&c.to_be_bytes());
    f
}

/// A TCP segment from `src` to host b.
pub fn segment(src: [u8; 4], sport: u16, dport: u16, seq: u32, ack: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut t = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
    t.extend(seq.to_be_bytes());
    t.extend(ack.to_be_bytes());
    t.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    t.extend(data);
    sealed(ip4(src, B, 6, &t), 16)
}

/// An ICMP echo request.
pub fn ping(src: [u8; 4], dst: [u8; 4]) -> Vec<u8> {
    let mut body = [8, 0, 0, 0, 0, 1, 0, 1, b'p', b'i', b'n', b'g'];
    let c = checksum(&body, 0);
    body[2..4].copy_from_slice(&c.to_be_bytes());
    ip4(src, dst, 1, &body)
}

/// An ICMPv6 echo request.
pub fn ping6(src: &str, dst: &str) -> Vec<u8> {
    sealed(ip6(src, dst, 58, 64, &[128, 0, 0, 0, 0, 1, 0, 1, b'p', b'i', b'n', b'g']), 2)
}

/// A UDP datagram.
pub fn datagram(src: [u8; 4], dst: [u8; 4], port: u16, data: &[u8]) -> Vec<u8> {
    let mut u = [9999u16.to_be_bytes(), port.to_be_bytes(), (8 + data.len() as u16).to_be_bytes(), [0, 0]].concat();
    u.extend(data);
    sealed(ip4(src, dst, 17, &u), 6)
}

/// An ARP frame that claims that `from` is at `mac`.
pub fn arp(operation: u8, mac: [u8; 6], from: [u8; 4], eth: [u8; 6], target: [u8; 4]) -> Vec<u8> {
    let mut f = [&eth[..], &mac, &[8, 6, 0, 1, 8, 0, 6, 4, 0, operation], &mac, &from].concat();
    f.extend([0; 6]);
    f.extend(target);
    f
}

pub fn inject(p: &Pair, f: Vec<u8>) {
    p.ab.lock().unwrap().push(f);
}

/// What b sent since the last time.
pub fn heard(p: &Pair) -> Vec<Vec<u8>> {
    p.ba.lock().unwrap().tap.replace(Vec::new()).unwrap_or_default()
}

/// A segment that b sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    pub len: usize,
}

/// The segments to a port among frames.
pub fn segments(frames: &[Vec<u8>], port: u16) -> Vec<Seen> {
    let word = |f: &[u8], o: usize| u32::from_be_bytes(f[o..o + 4].try_into().unwrap());
    frames
        .iter()
        .filter(|f| f[12..14] == [8, 0] && f[23] == 6 && f[36..38] == port.to_be_bytes())
        .inspect(|f| assert_eq!(checksum(&f[14..34], 0), 0, "IP checksum"))
        .map(|f| {
            let len = usize::from(u16::from_be_bytes([f[16], f[17]])) - 20 - usize::from(f[46] >> 4) * 4;
            Seen { flags: f[47] & 0x17, seq: word(f, 38), ack: word(f, 42), len }
        })
        .collect()
}

/// A peer without a stack, at A: it says only what it is told to, and hears everything.
pub struct Peer<'a> {
    pub p: &'a Pair,
    pub port: u16,
    /// Our next sequence number, and the next one expected.
    pub seq: u32,
    pub ack: u32,
}

impl<'a> Peer<'a> {
    pub fn new(p: &'a Pair, port: u16) -> Self {
        p.ba.lock().unwrap().cut = true;
        heard(p);
        inject(p, arp(1, MAC_A, A, [255; 6], B));
        p.run(1_000_000);
        heard(p);
        Self { p, port, seq: 1_000_000, ack: 0 }
    }

    /// Sends one segment to port 80 and returns the answers.
    pub fn say(&self, flags: u8, seq: u32, ack: u32, data: &[u8]) -> Vec<Seen> {
        inject(self.p, segment(A, self.port, 80, seq, ack, flags, data));
        self.hear()
    }

    pub fn hear(&self) -> Vec<Seen> {
        self.p.run(1_000_000);
        segments(&heard(self.p), self.port)
    }

    /// Performs the handshake with a listening socket of b.
    pub fn connect(&mut self, l: &Socket) -> Arc<Socket> {
        let answer = self.say(SYN, self.seq, 0, &[]);
        assert_eq!((answer.len(), answer[0].flags), (1, SYN | ACK), "{answer:?}");
        self.seq += 1;
        assert_eq!(answer[0].ack, self.seq);
        self.ack = answer[0].seq.wrapping_add(1);
        self.say(ACK, self.seq, self.ack, &[]);
        l.accept(true).unwrap().0
    }

    /// Checks that the only answer is an ACK of b's position.
    pub fn challenged(&self, answer: &[Seen]) {
        let acks: Vec<_> = answer.iter().filter(|s| s.flags == ACK).collect();
        assert_eq!(acks.len(), 1, "{answer:?}");
        assert_eq!((acks[0].seq, acks[0].ack, acks[0].len), (self.ack, self.seq, 0));
        assert!(answer.iter().all(|s| s.flags & RST == 0));
    }
}
