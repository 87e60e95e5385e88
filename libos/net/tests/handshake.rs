//! Handshakes that strangers begin: what they cost before the peer has answered, and what may happen until then.
mod common;
use common::raw::*;
use common::*;
use libos_base::Errno;

/// What b holds: handshakes, connections, bytes of its budget.
fn held(p: &Pair) -> (usize, usize, usize) {
    p.b.with(|st| (st.connections.asked(), st.connections.len(), st.memory.used()))
}

#[test]
fn a_handshake_is_a_tuple_until_the_peer_answers() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 512);
    heard(&p);
    for i in 0..200 {
        inject(&p, segment([10, 9, 0, i], 2000, 80, 77, 0, SYN, &[]));
    }
    p.run(10 * MS);
    let (asked, connections, used) = held(&p);
    assert_eq!((asked, connections), (200, 0));
    assert!(used < 200 * 256, "{} bytes each", used / 200);
    let answer = segments(&heard(&p), 2000);
    assert!(answer.len() == 200 && answer.iter().all(|s| (s.flags, s.ack) == (SYN | ACK, 78)));
    drop(l);
    assert_eq!(held(&p), (0, 0, 0), "a listening socket takes them along");
}

#[test]
fn the_answer_is_repeated_and_then_given_up_in_silence() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 16);
    let peer = Peer::new(&p, 3000);
    let first = peer.say(SYN, peer.seq, 0, &[]);
    let begun = now();
    let mut when = Vec::new();
    while held(&p).0 > 0 {
        p.run(100 * MS);
        for s in segments(&heard(&p), 3000) {
            assert_eq!(s, first[0]);
            when.push((now() - begun) / S);
        }
    }
    assert_eq!(when, [1, 3, 7, 15, 31]);
    assert_eq!((now() - begun) / S, 63);
    assert_eq!(peer.say(ACK, peer.seq + 1, first[0].seq + 1, &[])[0].flags, RST);
    assert_eq!(l.accept(true).err(), Some(Errno::EAGAIN));
}

#[test]
fn a_late_answer_counts_and_may_bring_data() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 16);
    let mut peer = Peer::new(&p, 3000);
    peer.ack = peer.say(SYN, peer.seq, 0, &[])[0].seq.wrapping_add(1);
    p.run(4 * S);
    heard(&p);
    peer.seq += 1;
    peer.say(ACK, peer.seq, peer.ack, b"late");
    let s = l.accept(true).unwrap().0;
    assert_eq!(recv(&s, 10).unwrap(), b"late");
    peer.seq += 4;
    send(&s, b"heard").unwrap();
    let answer = peer.hear();
    assert!(answer.iter().any(|s| (s.seq, s.ack, s.len) == (peer.ack, peer.seq, 5)), "{answer:?}");
    assert_eq!(held(&p).0, 0);
}

#[test]
fn a_repeated_syn_is_answered_again_and_another_is_not() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 16);
    let peer = Peer::new(&p, 3000);
    let first = peer.say(SYN, peer.seq, 0, &[]);
    assert_eq!(peer.say(SYN, peer.seq, 0, &[]), first);
    assert_eq!(peer.say(SYN, peer.seq, 0, &[]), [], "too soon");
    p.run(600 * MS);
    let other = peer.say(SYN, peer.seq + 9, 0, &[]);
    assert_eq!((other.len(), other[0].flags, other[0].ack), (1, ACK, peer.seq + 1), "a challenge");
    assert_eq!(peer.say(SYN, peer.seq + 9, 0, &[]), [], "too soon");
    // An acknowledgment of what was never sent.
    assert_eq!(peer.say(ACK, peer.seq + 1, first[0].seq + 9, &[])[0].flags, RST);
    assert_eq!(peer.say(RST, peer.seq + 2000, 0, &[]), []);
    assert_eq!(held(&p).0, 1);
    peer.say(RST, peer.seq + 1, 0, &[]);
    assert_eq!(held(&p), (0, 0, 0), "an exact reset ends it");
    assert_eq!(l.accept(true).err(), Some(Errno::EAGAIN));
}

/// The window's scale is announced before there is a connection, whose buffer would be smaller by then.
#[test]
fn what_was_announced_stays_when_memory_gets_short() {
    let p = Pair::with(Options { memory: 64 << 20, ..Options::default() });
    let l = listen(&p.b, 80, 16);
    // They know each other's Ethernet address.
    let _known = p.connect(81);
    p.ba.lock().unwrap().cut = true;
    let c = tcp(&p.a);
    let _ = c.connect(&v4(B, 80));
    p.run(10 * MS);
    assert_eq!(held(&p).0, 1);
    let hog = p.b.with(|st| {
        let n = st.memory.budget() / 8 * 7 - st.memory.used();
        st.memory.charge(n).unwrap();
        n
    });
    p.ba.lock().unwrap().cut = false;
    let mut s = None;
    assert!(p.run_until(now() + 10 * S, || {
        s = s.take().or_else(|| l.accept(true).ok().map(|s| s.0));
        s.is_some()
    }));
    transfer(&p, &c, &s.unwrap(), &noise(500_000), 60 * S);
    p.b.with(|st| st.memory.release(hog));
}
