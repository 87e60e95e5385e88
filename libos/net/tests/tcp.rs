//! TCP between two stacks: connect, close, what poll reports, and what goes wrong in between.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::poll::Events;

#[test]
fn a_connection_is_accepted_and_echoes() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    assert_eq!(send(&c, b"hello").unwrap(), 5);
    assert!(p.until(|| s.poll(None).contains(Events::IN)));
    assert_eq!(recv(&s, 100).unwrap(), b"hello");
    send(&s, b"world").unwrap();
    assert!(p.until(|| c.poll(None).contains(Events::IN)));
    assert_eq!(recv(&c, 100).unwrap(), b"world");
    assert_eq!(recv(&c, 100), Err(Errno::EAGAIN));
    drop(s);
    assert!(p.until(|| c.poll(None).contains(Events::RDHUP)));
    assert_eq!(recv(&c, 100).unwrap(), b"");
}

#[test]
fn poll_bits_follow_linux() {
    let p = Pair::new();
    let fresh = tcp(&p.a);
    assert_eq!(fresh.poll(None), Events::OUT | Events::WRNORM | Events::HUP);
    let l = listen(&p.b, 80, 16);
    assert_eq!(l.poll(None), Events::empty());
    assert_eq!(fresh.connect(&v4(B, 80)), Err(Errno::EINPROGRESS));
    assert_eq!(fresh.poll(None), Events::empty());
    assert_eq!(fresh.connect(&v4(B, 80)), Err(Errno::EALREADY));
    assert!(p.until(|| l.poll(None).contains(Events::IN) && fresh.poll(None).contains(Events::OUT)));
    assert_eq!(fresh.connect(&v4(B, 80)), Ok(()), "reports success once");
    assert_eq!(fresh.connect(&v4(B, 80)), Err(Errno::EISCONN));
    let (s, peer) = l.accept(true).unwrap();
    assert_eq!(peer.as_bytes()[4..8], A);
    assert_eq!(s.poll(None), Events::OUT | Events::WRNORM);
    fresh.ops().shutdown(false, true).unwrap();
    assert!(p.until(|| s.poll(None).contains(Events::RDHUP)));
    assert_eq!(s.poll(None), Events::IN | Events::RDNORM | Events::RDHUP | Events::OUT | Events::WRNORM);
    assert_eq!(recv(&s, 10).unwrap(), b"");
    // The other direction still works.
    send(&s, b"late").unwrap();
    assert!(p.until(|| fresh.poll(None).contains(Events::IN)));
    assert_eq!(recv(&fresh, 10).unwrap(), b"late");
    assert_eq!(send(&fresh, b"x"), Err(Errno::EPIPE));
    s.ops().shutdown(false, true).unwrap();
    assert!(p.until(|| s.poll(None).contains(Events::HUP) && fresh.poll(None).contains(Events::HUP)));
    assert_eq!(error_of(&s), 0);
}

#[test]
fn a_closed_port_refuses() {
    let p = Pair::new();
    let c = tcp(&p.a);
    assert_eq!(c.connect(&v4(B, 81)), Err(Errno::EINPROGRESS));
    assert!(p.until(|| c.poll(None).contains(Events::ERR)));
    assert!(c.poll(None).contains(Events::HUP | Events::IN | Events::OUT));
    assert_eq!(error_of(&c), Errno::ECONNREFUSED as i32);
    assert_eq!(error_of(&c), 0);
    // The socket can try again.
    let _l = listen(&p.b, 81, 1);
    assert!(matches!(c.connect(&v4(B, 81)), Err(Errno::EINPROGRESS | Errno::ECONNABORTED)));
    let _ = c.connect(&v4(B, 81));
    assert!(p.until(|| c.poll(None) == Events::OUT | Events::WRNORM));
}

#[test]
fn unreachable_and_silent_hosts() {
    let p = Pair::new();
    let c = tcp(&p.a);
    assert_eq!(c.connect(&v4([8, 8, 8, 8], 80)), Err(Errno::ENETUNREACH), "no route");
    let d = tcp(&p.a);
    assert_eq!(d.connect(&v4([10, 0, 0, 77], 80)), Err(Errno::EINPROGRESS), "nobody answers ARP");
    let start = now();
    assert!(p.run_until(now() + 200 * S, || d.poll(None).contains(Events::ERR)));
    assert_eq!(error_of(&d), Errno::ETIMEDOUT as i32);
    assert!((100 * S..140 * S).contains(&(now() - start)));
}

#[test]
fn close_with_unread_data_resets() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    send(&c, b"never read").unwrap();
    p.run(10 * MS);
    drop(s);
    assert!(p.until(|| c.poll(None).contains(Events::ERR)));
    assert_eq!(recv(&c, 10), Err(Errno::ECONNRESET));
    assert_eq!(recv(&c, 10).unwrap(), b"");
    assert_eq!(send(&c, b"x"), Err(Errno::EPIPE));
}

#[test]
fn data_before_a_reset_can_still_be_read() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    send(&s, b"last words").unwrap();
    p.run(10 * MS);
    s.set(1, 13, &[1, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    drop(s);
    assert!(p.until(|| c.poll(None).contains(Events::ERR)));
    assert_eq!(recv(&c, 100).unwrap(), b"last words");
    assert_eq!(recv(&c, 100), Err(Errno::ECONNRESET));
}

#[test]
fn keepalive_finds_out_that_the_peer_is_gone() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    for (name, v) in [(4, 10i32), (5, 5), (6, 3)] {
        s.set(6, name, &v.to_le_bytes()).unwrap();
    }
    s.set(1, 9, &1i32.to_le_bytes()).unwrap();
    p.run(300 * S);
    assert_eq!(error_of(&s), 0, "the peer answers");
    assert!(!s.poll(None).contains(Events::ERR));
    p.ab.lock().unwrap().cut = true;
    p.ba.lock().unwrap().cut = true;
    let start = now();
    assert!(p.run_until(now() + 100 * S, || s.poll(None).contains(Events::ERR)));
    assert_eq!(error_of(&s), Errno::ETIMEDOUT as i32);
    let t = (now() - start) / S;
    assert!((15..=30).contains(&t), "{t} s");
    drop(c);
}

#[test]
fn user_timeout_ends_unacknowledged_data() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    c.set(6, 18, &7000i32.to_le_bytes()).unwrap();
    p.run(60 * S);
    assert_eq!(error_of(&c), 0, "an idle connection has nothing to wait for");
    p.ab.lock().unwrap().cut = true;
    send(&c, b"into the void").unwrap();
    let start = now();
    assert!(p.run_until(now() + 100 * S, || c.poll(None).contains(Events::ERR)));
    assert_eq!(error_of(&c), Errno::ETIMEDOUT as i32);
    assert!((7 * S..9 * S).contains(&(now() - start)));
    drop(s);
}

#[test]
fn options_are_honoured_or_refused() {
    let p = Pair::new();
    let s = tcp(&p.a);
    let int = |l, n| i32::from_le_bytes(s.get(l, n).unwrap()[..4].try_into().unwrap());
    for (l, n, v) in [
        (1, 2, 1),
        (1, 15, 1),
        (1, 9, 1),
        (6, 1, 1),
        (6, 3, 1),
        (6, 4, 30),
        (6, 18, 5000),
        (0, 2, 33),
        (0, 1, 0x48),
        (1, 36, 5),
    ] {
        s.set(l, n, &i32::to_le_bytes(v)).unwrap();
        assert_eq!(int(l, n), v, "level {l} option {n}");
    }
    assert_eq!((int(1, 3), int(1, 39), int(1, 38), int(1, 30)), (1, 2, 6, 0));
    s.set(1, 8, &20_000i32.to_le_bytes()).unwrap();
    assert_eq!(int(1, 8), 40_000, "doubled, as on Linux");
    assert_eq!(int(1, 12), 2, "so::PRIORITY, by the type of service");
    // SO_TIMESTAMP, TCP_MAXSEG, SO_NO_CHECK, SO_BUSY_POLL, IP_FREEBIND
    for (l, n) in [(1, 29), (6, 2), (1, 11), (1, 46), (0, 15), (1, 999)] {
        assert_eq!(s.set(l, n, &1i32.to_le_bytes()), Err(Errno::ENOPROTOOPT), "level {l} option {n}");
    }
    assert_eq!(s.set(6, 1, &[1]), Err(Errno::EINVAL));
    assert_eq!(s.get(6, 13).unwrap(), b"cubic\0\0\0\0\0\0\0\0\0\0\0");
    s.set(6, 13, b"reno\0").unwrap();
    assert_eq!(s.get(6, 13).unwrap()[..5], *b"reno\0");
    assert_eq!(s.set(6, 13, b"vegas\0").err(), Some(Errno::ENOENT));
    // A receive timeout comes back as it was set.
    let mut tv = 2i64.to_le_bytes().to_vec();
    tv.extend(500_000i64.to_le_bytes());
    s.set(1, 20, &tv).unwrap();
    assert_eq!(s.get(1, 20).unwrap(), tv);
}
