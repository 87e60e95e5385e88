//! How connections end: orphans, peers that say nothing, data that nobody will read.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::poll::Events;
use libos_net::socket::Socket;

/// Writes until nothing more is taken.
fn fill(p: &Pair, s: &Socket) -> Vec<u8> {
    let data = noise(2_000_000);
    let mut sent = 0;
    for quiet in 0.. {
        match send(s, &data[sent..]) {
            Ok(n) => sent += n,
            Err(Errno::EAGAIN) if quiet > 200 => break,
            Err(Errno::EAGAIN) => p.run(MS),
            Err(e) => panic!("{e}"),
        }
    }
    assert!(sent < data.len());
    data[..sent].to_vec()
}

fn drain(p: &Pair, s: &Socket) -> (Vec<u8>, Result<(), Errno>) {
    let mut got = Vec::new();
    let mut end = Ok(());
    let done = p.run_until(now() + S, || {
        loop {
            match recv(s, 70_000) {
                Ok(d) if d.is_empty() => return true,
                Ok(d) => got.extend(d),
                Err(Errno::EAGAIN) => return false,
                Err(e) => {
                    end = Err(e);
                    return true;
                }
            }
        }
    });
    assert!(done, "no end after {} bytes within a second", got.len());
    (got, end)
}

fn conns(p: &Pair) -> (usize, usize) {
    (p.a.with(|st| st.connections.len()), p.b.with(|st| st.connections.len()))
}

#[test]
fn an_upload_to_a_server_that_has_answered_and_closed_is_reset() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    send(&c, b"question").unwrap();
    p.run(20 * MS);
    assert_eq!(recv(&s, 100).unwrap(), b"question");
    send(&s, b"no thanks\n").unwrap();
    drop(s);
    p.run(20 * MS);
    assert!(send(&c, &[0; 10_000]).unwrap() > 0);
    p.run(5 * MS);
    assert_eq!(send(&c, &[0; 10_000]), Err(Errno::EPIPE));
    assert_eq!(recv(&c, 100).unwrap(), b"no thanks\n");
    assert_eq!(recv(&c, 100).unwrap(), b"");
    assert_eq!(conns(&p), (1, 0));
}

/// Repeated segments, and ones that do not belong to the connection, end nothing.
#[test]
fn an_orphan_is_not_ended_by_what_is_not_new() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    p.ab.lock().unwrap().tap = Some(Vec::new());
    send(&c, b"question").unwrap();
    p.run(20 * MS);
    recv(&s, 100).unwrap();
    let frames = p.ab.lock().unwrap().tap.take().unwrap();
    let question = frames.into_iter().find(|f| f.ends_with(b"question")).unwrap();
    let answer = fill(&p, &s);
    drop(s);
    p.run(20 * MS);
    p.ab.lock().unwrap().push(question);
    p.run(20 * MS);
    assert!(drain(&p, &c) == (answer, Ok(())));
}

#[test]
fn a_slow_reader_gets_everything_from_an_orphan() {
    for pause in [75, 300] {
        let p = Pair::new();
        let (c, s) = p.connect(80);
        let data = fill(&p, &s);
        drop(s);
        p.run(pause * S);
        assert!(drain(&p, &c) == (data, Ok(())), "after {pause} s");
    }
    // A peer that takes a little now and then may take forever.
    let p = Pair::new();
    let (c, s) = p.connect(80);
    let data = fill(&p, &s);
    drop(s);
    let mut got = Vec::new();
    for _ in 0..30 {
        p.run(100 * S);
        got.extend(recv(&c, 2000).unwrap());
    }
    let (rest, end) = drain(&p, &c);
    got.extend(rest);
    assert!(got == data && end.is_ok(), "{} of {}", got.len(), data.len());
}

#[test]
fn an_orphan_does_not_wait_for_ever() {
    let gone = |p: &Pair, from: u64, to: u64, why: &str| {
        let start = now();
        assert!(p.run_until(now() + 1000 * S, || conns(p).1 == 0), "{why}: still there");
        let took = (now() - start) / S;
        assert!((from..to).contains(&took), "{why}: {took} s");
        p.b.with(|st| assert_eq!(st.memory.used(), 0));
    };
    // The peer's window stays closed.
    let p = Pair::new();
    let (c, s) = p.connect(80);
    fill(&p, &s);
    drop(s);
    gone(&p, 340, 450, "a peer that reads nothing");
    p.run(S);
    assert!(drain(&p, &c).1 == Err(Errno::ECONNRESET));
    // The peer is silent, with and without data to send.
    for data in [true, false] {
        let p = Pair::new();
        let (_c, s) = p.connect(80);
        p.ab.lock().unwrap().cut = true;
        if data {
            send(&s, b"unheard").unwrap();
        }
        drop(s);
        gone(&p, 95, 110, "a silent peer");
    }
    // The peer acknowledges our FIN and sends none.
    let p = Pair::new();
    let (_c, s) = p.connect(80);
    drop(s);
    gone(&p, 59, 62, "FIN-WAIT-2");
}

#[test]
fn a_closed_window_is_no_reason_to_give_up_but_silence_is() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    let data = fill(&p, &c);
    p.run(3000 * S);
    assert_eq!(error_of(&c), 0, "the peer answers");
    recv(&s, 20_000).unwrap();
    p.run(S);
    assert_eq!(error_of(&c), 0, "it goes on");
    p.ba.lock().unwrap().cut = true;
    let start = now();
    assert!(p.run_until(now() + 2000 * S, || c.poll(None).contains(Events::ERR)));
    assert_eq!(error_of(&c), Errno::ETIMEDOUT as i32);
    assert!((860..1000).contains(&((now() - start) / S)), "{}", (now() - start) / S);
    drop((s, data));
    // Only a FIN, which nobody acknowledges.
    let p = Pair::new();
    let (c, _s) = p.connect(80);
    p.run(5000 * S);
    p.ab.lock().unwrap().cut = true;
    c.ops().shutdown(false, true).unwrap();
    let start = now();
    assert!(p.run_until(now() + 2000 * S, || c.poll(None).contains(Events::ERR)));
    assert!((900..1000).contains(&((now() - start) / S)), "{}", (now() - start) / S);
}

#[test]
fn what_arrived_before_time_wait_stays_readable() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    c.ops().shutdown(false, true).unwrap();
    p.run(20 * MS);
    send(&s, b"late reader").unwrap();
    drop(s);
    p.run(100 * S);
    assert_eq!(recv(&c, 100).unwrap(), b"late reader");
    assert_eq!(recv(&c, 100).unwrap(), b"");
}

#[test]
fn a_probe_is_not_a_loss() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    let data = fill(&p, &c);
    p.run(10 * S);
    c.ops().shutdown(false, true).unwrap();
    assert!(drain(&p, &s) == (data, Ok(())));
    assert_eq!(p.a.with(|st| st.stats.retransmits), 0);
}

#[test]
fn a_full_card_does_not_hold_loopback_up() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    let l = listen(&p.a, 81, 4);
    p.ab.lock().unwrap().full = true;
    send(&c, b"waits for the card").unwrap();
    let d = tcp(&p.a);
    let _ = d.connect(&v4([127, 0, 0, 1], 81));
    assert!(p.until(|| d.poll(None).contains(Events::OUT)), "connected although the card is full");
    transfer(&p, &d, &l.accept(true).unwrap().0, &noise(300_000), S);
    assert_eq!(recv(&s, 100), Err(Errno::EAGAIN));
    p.ab.lock().unwrap().full = false;
    p.run(5 * MS);
    assert_eq!(recv(&s, 100).unwrap(), b"waits for the card");
}

#[test]
fn loopback_without_memory_fails_at_once() {
    let p = Pair::with(Options { memory: 1 << 20, ..Options::default() });
    let l = listen(&p.a, 80, 4096);
    let mut open = Vec::new();
    let start = now();
    // There is room for one end of a connection and not for the other, or for neither: both cases occur on the way.
    let (mut one, mut neither) = (0, 0);
    for spare in 0..200 {
        let c = tcp(&p.a);
        c.set(1, 7, &(2048 + spare * 16i32).to_le_bytes()).unwrap();
        match c.connect(&v4([127, 0, 0, 1], 80)) {
            Err(Errno::EINPROGRESS) => {}
            Err(Errno::ENOBUFS) => {
                neither += 1;
                continue;
            }
            r => panic!("{r:?}"),
        }
        let e = c.poll(None);
        if e.contains(Events::ERR) {
            assert_eq!(error_of(&c), Errno::ENOBUFS as i32);
            one += 1;
        } else {
            assert!(e.contains(Events::OUT), "decided at once");
            open.push((c, l.accept(true).unwrap().0));
        }
    }
    assert!(!open.is_empty() && one > 0, "{} open, {one} half, {neither} refused", open.len());
    assert_eq!(now(), start);
    drop((open, l));
    p.run(200 * S);
    p.a.with(|st| assert_eq!((st.connections.len(), st.memory.used()), (0, 0)));
}

/// Turns a genuine ACK into one that acknowledges nothing, with a window of zero.
fn close_window(ack: &[u8]) -> Vec<u8> {
    let mut f = ack.to_vec();
    let window = u16::from_be_bytes([f[48], f[49]]);
    f[48..50].fill(0);
    // RFC 1624: the checksum's complement loses what the field lost.
    let sum = u32::from(u16::from_be_bytes([f[50], f[51]])) + u32::from(window);
    let sum = (sum & 0xffff) + (sum >> 16);
    f[50..52].copy_from_slice(&(sum as u16).to_be_bytes());
    f
}

#[test]
fn a_window_that_is_taken_back_under_data_in_flight_does_not_stop_a_connection_for_ever() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    p.ba.lock().unwrap().tap = Some(Vec::new());
    send(&c, b"first").unwrap();
    p.run(50 * MS);
    let ack = p.ba.lock().unwrap().tap.take().unwrap().pop().unwrap();
    assert_eq!(recv(&s, 100).unwrap(), b"first");
    p.ab.lock().unwrap().cut = true;
    send(&c, b"second").unwrap();
    p.run(MS);
    p.ba.lock().unwrap().push(close_window(&ack));
    p.run(1500 * MS);
    p.ab.lock().unwrap().cut = false;
    let start = now();
    let mut got = Vec::new();
    assert!(p.run_until(now() + 100 * S, || {
        got.extend(recv(&s, 100).unwrap_or_default());
        got == b"second"
    }));
    assert!(now() - start < 4 * S, "{} ms", (now() - start) / MS);
}

/// What the end of a process does to its sockets.
#[test]
fn the_end_of_a_program_is_heard_by_every_peer() {
    let p = Pair::new();
    let l = listen(&p.a, 80, 4);
    let queued = tcp(&p.b);
    let _ = queued.connect(&v4(A, 80));
    let (wordy, reader) = p.connect(81);
    let (unread, asker) = p.connect(82);
    send(&asker, b"never read").unwrap();
    p.run(20 * MS);
    let sent = fill(&p, &wordy);
    p.a.with(|st| st.close_all());
    assert!(p.a.with(|st| st.undelivered()) > 0);
    let (got, end) = drain(&p, &reader);
    assert_eq!((got, end), (sent, Ok(())));
    p.run(20 * MS);
    assert_eq!(recv(&asker, 1), Err(Errno::ECONNRESET));
    assert_eq!(error_of(&queued), Errno::ECONNRESET as i32);
    assert_eq!(p.a.with(|st| st.undelivered()), 0);
    drop((l, unread, wordy));
}

/// Nobody would be there to send it later.
#[test]
fn what_a_peer_does_not_take_is_reset_in_the_end() {
    let p = Pair::new();
    let (wordy, reader) = p.connect(80);
    fill(&p, &wordy);
    p.a.with(|st| st.close_all());
    p.run(S);
    assert!(p.a.with(|st| st.undelivered()) > 0);
    p.a.with(|st| st.abort_all());
    p.run(20 * MS);
    assert_eq!((p.a.with(|st| st.undelivered()), error_of(&reader)), (0, Errno::ECONNRESET as i32));
    drop(wordy);
}

#[test]
fn a_socket_that_is_closed_while_it_connects_leaves_nothing() {
    // The peer's answer is on its way, or never comes.
    for cut in [false, true] {
        let p = Pair::new();
        let l = listen(&p.b, 80, 16);
        let (used, c) = (p.a.with(|st| st.memory.used()), tcp(&p.a));
        assert_eq!(c.connect(&v4(B, 80)), Err(Errno::EINPROGRESS));
        p.ab.lock().unwrap().cut = cut;
        drop(c);
        p.run(20 * MS);
        assert_eq!((p.a.with(|st| st.connections.len()), p.a.with(|st| st.memory.used())), (0, used));
        p.ab.lock().unwrap().cut = false;
        p.run(10 * S);
        assert!(l.accept(true).is_err(), "nobody is there any more");
        assert_eq!(conns(&p), (0, 0));
    }
}
