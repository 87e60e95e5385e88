//! Blind attacks on a connection (RFC 5961), in every state, and what a peer may do at the end of one.
mod common;
use common::raw::*;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::poll::Events;
use libos_net::socket::Socket;
use std::sync::Arc;

const SYNCHRONIZED: [&str; 6] = ["ESTABLISHED", "CLOSE-WAIT", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "LAST-ACK"];

/// Brings a connection of b into a state. Returns the peer with its numbers, and the socket.
fn reach<'a>(p: &'a Pair, l: &Socket, state: &str, port: u16) -> (Peer<'a>, Option<Arc<Socket>>) {
    let mut peer = Peer::new(p, port);
    let s = peer.connect(l);
    let fin = |peer: &mut Peer<'_>, unacked: u32| {
        peer.say(FIN | ACK, peer.seq, peer.ack - unacked, &[]);
        peer.seq += 1;
        // Its acknowledgment may be delayed.
        p.run(50 * MS);
        heard(p);
    };
    let shut = |peer: &mut Peer<'_>| {
        s.ops().shutdown(false, true).unwrap();
        assert_eq!(peer.hear()[0].flags, FIN | ACK);
        peer.ack += 1;
    };
    match state {
        "ESTABLISHED" => {}
        "CLOSE-WAIT" => fin(&mut peer, 0),
        "FIN-WAIT-1" => shut(&mut peer),
        "FIN-WAIT-2" => {
            shut(&mut peer);
            peer.say(ACK, peer.seq, peer.ack, &[]);
        }
        "CLOSING" => {
            shut(&mut peer);
            fin(&mut peer, 1);
        }
        "LAST-ACK" => {
            fin(&mut peer, 0);
            drop(s);
            assert_eq!(peer.hear()[0].flags, FIN | ACK);
            peer.ack += 1;
            return (peer, None);
        }
        _ => unreachable!(),
    }
    (peer, Some(s))
}

/// Connections of b, and handshakes.
fn open(p: &Pair) -> usize {
    p.b.with(|st| st.connections.named() + st.connections.asked())
}

#[test]
fn only_an_exact_reset_ends_a_connection_in_any_state() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 64);
    for (port, state) in (5000..).zip(SYNCHRONIZED) {
        let (peer, s) = reach(&p, &l, state, port);
        for ahead in [1, 2, 100, 5000, 10_000] {
            peer.challenged(&peer.say(RST, peer.seq + ahead, 0, &[]));
            peer.challenged(&{
                p.run(600 * MS);
                heard(&p);
                peer.say(RST | ACK, peer.seq + ahead, peer.ack, &[])
            });
            p.run(600 * MS);
            heard(&p);
        }
        for seq in [peer.seq - 1, peer.seq - 1000, peer.seq + 1_000_000, peer.seq + 0x8000_0000] {
            let answer = peer.say(RST, seq, 0, &[]);
            assert_eq!(answer, [], "{state}: an RST outside the window is answered");
        }
        assert_eq!(open(&p), 1, "{state}");
        assert_eq!(peer.say(RST, peer.seq, 0, &[]), []);
        assert_eq!(open(&p), 0, "{state}: an exact RST was not taken");
        if let Some(s) = s {
            let want = if state == "CLOSE-WAIT" { Errno::EPIPE } else { Errno::ECONNRESET };
            if matches!(state, "ESTABLISHED" | "CLOSE-WAIT") {
                assert_eq!(s.get(1, 4).unwrap(), (want as i32).to_le_bytes());
            }
        }
    }
}

#[test]
fn a_syn_is_challenged_in_any_state() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 64);
    for (port, state) in (5000..).zip(SYNCHRONIZED) {
        let (peer, _s) = reach(&p, &l, state, port);
        for seq in [0, 1, 500, 1_000_000, 0x8000_0000, u32::MAX] {
            for flags in [SYN, SYN | ACK] {
                peer.challenged(&peer.say(flags, peer.seq.wrapping_add(seq), peer.ack, &[]));
                p.run(600 * MS);
                heard(&p);
            }
        }
        assert_eq!(open(&p), 1, "{state}");
        // A peer that has lost the connection answers with an exact RST, and may then connect.
        peer.challenged(&peer.say(SYN, 77, 0, &[]));
        peer.say(RST, peer.seq, 0, &[]);
        let again = peer.say(SYN, 77, 0, &[]);
        assert_eq!((again[0].flags, again[0].ack), (SYN | ACK, 78), "{state}");
        assert_eq!(peer.say(RST, 78, 0, &[]), []);
        assert_eq!(open(&p), 0);
    }
}

#[test]
fn an_impossible_acknowledgment_changes_nothing() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 64);
    for (port, state) in (5000..).zip(SYNCHRONIZED) {
        let (peer, s) = reach(&p, &l, state, port);
        for ahead in [1, 100, 1_000_000] {
            peer.challenged(&peer.say(ACK, peer.seq, peer.ack + ahead, b"evil"));
            p.run(600 * MS);
            heard(&p);
        }
        peer.challenged(&peer.say(ACK, peer.seq, peer.ack.wrapping_sub(1_000_000), b"evil"));
        // Nor does a segment without an acknowledgment belong to the connection.
        assert_eq!(peer.say(0, peer.seq, 0, b"evil"), []);
        assert_eq!(open(&p), 1, "{state}");
        if let (Some(s), "ESTABLISHED") = (s, state) {
            assert_eq!(recv(&s, 100), Err(Errno::EAGAIN));
            // Data waiting in our buffer is not taken for received: the window is closed.
            send(&s, &noise(20_000)).unwrap();
            p.run(50 * MS);
            let sent: usize = segments(&heard(&p), peer.port).iter().map(|s| s.len).sum();
            assert!((1..20_000).contains(&sent), "{sent}");
            peer.say(ACK, peer.seq, peer.ack + 20_000, &[]);
            p.run(50 * MS);
            assert_eq!(s.poll(None) & Events::ERR, Events::empty());
            let left = p.b.with(|st| st.connections.all().next().map_or(0, |c| c.tcp().send_queue()));
            assert_eq!(left, 20_000);
        }
        peer.say(RST, peer.seq, 0, &[]);
    }
}

#[test]
fn challenges_are_rationed() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 64);
    let (peer, _s) = reach(&p, &l, "ESTABLISHED", 5000);
    let mut answers = 0;
    for i in 0..1000 {
        answers += peer.say(RST, peer.seq + 1 + i % 5000, 0, &[]).len();
        answers += peer.say(SYN, i * 77_777, 0, &[]).len();
    }
    // Two seconds at one per 500 ms.
    assert!((4..=5).contains(&answers), "{answers} challenges in two seconds");
}

#[test]
fn a_handshake_takes_only_an_exact_reset() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 64);
    let mut peer = Peer::new(&p, 5000);
    let first = peer.say(SYN, peer.seq, 0, &[]);
    peer.seq += 1;
    peer.ack = first[0].seq.wrapping_add(1);
    // SYN-RECEIVED.
    peer.challenged(&peer.say(RST, peer.seq + 1, 0, &[]));
    assert_eq!(peer.say(RST, peer.seq - 1, 0, &[]), []);
    assert_eq!(peer.say(RST, peer.seq + 1_000_000, 0, &[]), []);
    p.run(600 * MS);
    heard(&p);
    peer.challenged(&peer.say(SYN, peer.seq + 5000, 0, &[]));
    assert_eq!(peer.say(SYN, peer.seq - 1, 0, &[]), []);
    let wrong = peer.say(ACK, peer.seq, peer.ack + 1, &[]);
    assert_eq!((wrong[0].flags, wrong[0].seq), (RST, peer.ack + 1));
    assert_eq!(open(&p), 1);
    peer.say(ACK, peer.seq, peer.ack, &[]);
    assert!(l.accept(true).is_ok());
    // And once more, to its end.
    peer.port = 5001;
    peer.say(SYN, 10, 0, &[]);
    assert_eq!(open(&p), 2);
    assert_eq!(peer.say(RST, 11, 0, &[]), []);
    assert_eq!(open(&p), 1);
    // SYN-SENT: the RST must acknowledge the SYN.
    let c = tcp(&p.b);
    c.ops().bind(&v4(B, 80)).unwrap_err();
    assert_eq!(c.connect(&v4(A, 6000)), Err(Errno::EINPROGRESS));
    p.run(MS);
    let syn = heard(&p).into_iter().find(|f| f[12..14] == [8, 0] && f[47] & 0x17 == SYN).unwrap();
    let from = u16::from_be_bytes([syn[34], syn[35]]);
    let isn = u32::from_be_bytes(syn[38..42].try_into().unwrap());
    for (flags, ack) in [(RST, 0), (RST, isn.wrapping_add(1)), (RST | ACK, isn), (RST | ACK, isn.wrapping_add(2))] {
        inject(&p, segment(A, 6000, from, 0, ack, flags, &[]));
        p.run(MS);
        assert!(!c.poll(None).contains(Events::ERR), "{flags} {ack}");
    }
    inject(&p, segment(A, 6000, from, 12345, isn.wrapping_add(1), RST | ACK, &[]));
    p.run(MS);
    assert_eq!(c.get(1, 4).unwrap(), (Errno::ECONNREFUSED as i32).to_le_bytes());
}

/// The frames are in the card together, so that they arrive in one batch.
#[test]
fn a_syn_in_the_same_batch_as_the_end_is_accepted() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 64);
    for round in 0..400 {
        let mut peer = Peer::new(&p, 5000);
        peer.seq = 1_000_000 * (round + 1);
        let s = peer.connect(&l);
        if round % 2 == 0 {
            peer.say(ACK, peer.seq, peer.ack, b"unread");
            peer.seq += 6;
        }
        inject(&p, segment(A, 5000, 80, peer.seq, 0, RST, &[]));
        let answer = peer.say(SYN, peer.seq + 70_000, 0, &[]);
        assert_eq!(answer.iter().map(|s| s.flags).collect::<Vec<_>>(), [SYN | ACK], "round {round}");
        peer.say(RST, peer.seq + 70_001, 0, &[]);
        assert_eq!(open(&p), 0);
        drop(s);
    }
    // The last ACK, or the one of our FIN and the peer's, and a SYN.
    for state in ["LAST-ACK", "FIN-WAIT-2"] {
        let (peer, s) = reach(&p, &l, state, 5001);
        let flags = if state == "LAST-ACK" { ACK } else { FIN | ACK };
        inject(&p, segment(A, 5001, 80, peer.seq, peer.ack, flags, &[]));
        let answer = peer.say(SYN, peer.seq + 70_000, 0, &[]);
        assert!(answer.iter().any(|s| s.flags == SYN | ACK), "{state}: {answer:?}");
        assert!(answer.iter().all(|s| s.flags & RST == 0), "{state}: {answer:?}");
        peer.say(RST, peer.seq + 70_001, 0, &[]);
        drop(s);
        assert_eq!(open(&p), 0);
    }
}

#[test]
fn a_port_is_used_again_right_after_a_reset() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 64);
    let home = listen(&p.a, 80, 64);
    for (server, to) in [(&l, B), (&home, [127, 0, 0, 1])] {
        for round in 0..400 {
            let c = tcp(&p.a);
            c.ops().bind(&v4(if to == B { A } else { to }, 7000)).unwrap();
            let _ = c.connect(&v4(to, 80));
            assert!(p.until(|| c.poll(None).intersects(Events::OUT | Events::ERR)));
            assert_eq!(c.get(1, 4).unwrap(), [0; 4], "round {round} to {to:?} is refused");
            while server.accept(true).is_ok() {}
            // SO_LINGER 0: close() resets. Its RST and the next SYN leave at once.
            c.set(1, 13, &[1, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        }
    }
}

#[test]
fn a_closing_listener_forgets_whoever_was_reset_before() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 64);
    let c = tcp(&p.a);
    let _ = c.connect(&v4(B, 80));
    assert!(p.until(|| c.poll(None).contains(Events::OUT)));
    c.set(1, 13, &[1, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    drop(c);
    p.run(10 * MS);
    drop(l);
    p.run(10 * MS);
    p.b.with(|st| assert_eq!((st.connections.len(), st.memory.used()), (0, 0)));
}

#[test]
fn time_wait_takes_a_newer_syn_and_answers_an_older_one() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 64);
    let (mut peer, s) = reach(&p, &l, "FIN-WAIT-2", 5000);
    peer.say(FIN | ACK, peer.seq, peer.ack, &[]);
    peer.seq += 1;
    p.run(50 * MS);
    heard(&p);
    assert_eq!((open(&p), p.b.with(|st| st.connections.waiting())), (0, 1));
    peer.challenged(&peer.say(SYN, peer.seq - 5000, 0, &[]));
    let mut answers = 0;
    for i in 0..300 {
        answers += peer.say(SYN, peer.seq - 5000 + i, 0, &[]).len();
    }
    assert_eq!(answers, 0, "in 300 ms after one");
    assert_eq!(peer.say(RST, peer.seq + 1, 0, &[]), []);
    p.run(S);
    let answer = peer.say(SYN, peer.seq + 1, 0, &[]);
    assert_eq!((answer[0].flags, answer[0].ack), (SYN | ACK, peer.seq + 2));
    drop(s);
}
