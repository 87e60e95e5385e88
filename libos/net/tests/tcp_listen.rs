//! Listening TCP sockets: backlogs, many connections, and what remains of them.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::poll::Events;

#[test]
fn backlog_overflow_drops_syns_and_recovers() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 4);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let c = tcp(&p.a);
            let _ = c.connect(&v4(B, 80));
            c
        })
        .collect();
    p.run(500 * MS);
    let up = clients.iter().filter(|c| c.poll(None).contains(Events::OUT)).count();
    assert!((5..20).contains(&up), "{up} got through a backlog of 4");
    // As they are accepted, the others get in by repeating their SYNs.
    let mut got = Vec::new();
    assert!(p.run_until(now() + 30 * S, || {
        while let Ok((s, _)) = l.accept(true) {
            got.push(s);
        }
        got.len() == 20
    }));
    assert!(clients.iter().all(|c| c.poll(None).contains(Events::OUT)));
}

#[test]
fn a_thousand_connections_and_churn_leak_nothing() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 4096);
    let mut all = Vec::new();
    for _ in 0..4 {
        let clients: Vec<_> = (0..300)
            .map(|_| {
                let c = tcp(&p.a);
                let _ = c.connect(&v4(B, 80));
                c
            })
            .collect();
        let mut servers = Vec::new();
        assert!(p.run_until(now() + 20 * S, || {
            while let Ok((s, _)) = l.accept(true) {
                servers.push(s);
            }
            servers.len() == 300
        }));
        all.push((clients, servers));
    }
    let n = p.b.with(|st| (st.connections.len(), st.connections.named()));
    assert_eq!(n, (1200, 1200));
    let idle = p.b.with(|st| st.memory.used()) / 1200;
    assert!(idle < 2048, "{idle} bytes for an idle connection");
    // Every one still works.
    for (clients, servers) in &all {
        for c in clients {
            send(c, b"ping").unwrap();
        }
        p.run(50 * MS);
        for s in servers {
            assert_eq!(recv(s, 10).unwrap(), b"ping");
        }
    }
    // Half are closed by the server, a quarter by the client, a quarter reset.
    for (i, (clients, servers)) in all.into_iter().enumerate() {
        match i {
            0 | 1 => drop(servers),
            2 => drop(clients),
            _ => {
                servers.iter().for_each(|s| s.set(1, 13, &[1, 0, 0, 0, 0, 0, 0, 0]).unwrap());
                drop(servers);
            }
        }
        p.run(100 * MS);
    }
    p.run(3 * S);
    drop(l);
    p.run(70 * S);
    for n in [&p.a, &p.b] {
        n.with(|st| {
            assert_eq!(
                (st.connections.len(), st.connections.named(), st.memory.used(), st.connections.waiting()),
                (0, 0, 0, 0)
            );
            assert!(!(0..=u16::MAX).any(|p| st.ports.any_connection(p)));
            assert_eq!(st.connections.next_deadline(), u64::MAX);
        });
    }
}

#[test]
fn many_short_connections() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 128);
    for i in 0..3000 {
        let c = tcp(&p.a);
        let _ = c.connect(&v4(B, 80));
        let mut s = None;
        assert!(p.until(|| {
            s = s.take().or_else(|| l.accept(true).ok().map(|s| s.0));
            s.is_some()
        }));
        let s = s.unwrap();
        send(&c, b"GET").unwrap();
        assert!(p.until(|| s.poll(None).contains(Events::IN)), "{i}");
        recv(&s, 10).unwrap();
        send(&s, &[b'x'; 800]).unwrap();
        drop(s);
        assert!(p.until(|| c.poll(None).contains(Events::RDHUP)));
        assert_eq!(recv(&c, 1000).unwrap().len(), 800);
    }
    p.run(5 * S);
    p.b.with(|st| assert_eq!((st.connections.len(), st.memory.used()), (0, 0)));
    assert!(p.b.with(|st| st.connections.waiting()) <= 8192);
}

#[test]
fn deferred_accept_waits_for_data() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 16);
    l.set(6, 9, &5i32.to_le_bytes()).unwrap();
    let c = tcp(&p.a);
    let _ = c.connect(&v4(B, 80));
    p.run(S);
    assert!(c.poll(None).contains(Events::OUT));
    assert_eq!(l.accept(true).err(), Some(Errno::EAGAIN));
    send(&c, b"GET").unwrap();
    p.run(10 * MS);
    let s = l.accept(true).unwrap().0;
    assert_eq!(recv(&s, 10).unwrap(), b"GET");
    // Without data it is accepted after the time, which is that of whole retransmissions: 1 + 2 + 4 s.
    assert_eq!(l.get(6, 9).unwrap(), [7, 0, 0, 0]);
    let d = tcp(&p.a);
    let _ = d.connect(&v4(B, 80));
    p.run(6 * S);
    assert_eq!(l.accept(true).err(), Some(Errno::EAGAIN));
    p.run(3 * S);
    assert!(l.accept(true).is_ok());
}

#[test]
fn closed_listener_resets_whoever_waits() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 16);
    let c = tcp(&p.a);
    let _ = c.connect(&v4(B, 80));
    p.run(10 * MS);
    drop(l);
    p.run(10 * MS);
    assert_eq!(recv(&c, 1), Err(Errno::ECONNRESET));
    p.b.with(|st| assert_eq!(st.connections.len(), 0));
    let l = listen(&p.b, 80, 16);
    l.ops().shutdown(true, false).unwrap();
    assert_eq!(l.accept(true).err(), Some(Errno::EINVAL));
}

#[test]
fn memory_runs_out_gracefully_and_comes_back() {
    let p = Pair::with(Options { memory: 4 << 20, ..Options::default() });
    let l = listen(&p.b, 80, 4096);
    let mut clients = Vec::new();
    let mut failed = None;
    for _ in 0..2000 {
        let c = tcp(&p.a);
        match c.connect(&v4(B, 80)) {
            Err(Errno::EINPROGRESS) => clients.push(c),
            Err(e) => {
                failed = Some(e);
                break;
            }
            Ok(()) => unreachable!(),
        }
    }
    assert_eq!(failed, Some(Errno::ENOBUFS));
    assert!(clients.len() > 60, "{} connections in 4 MiB", clients.len());
    p.run(3 * S);
    let mut servers = Vec::new();
    while let Ok((s, _)) = l.accept(true) {
        servers.push(s);
    }
    assert!(servers.len() > 30, "{} accepted", servers.len());
    p.b.with(|st| assert!(st.memory.used() <= st.memory.budget()));
    send(&clients[0], b"still here").unwrap();
    p.run(10 * MS);
    assert!(servers.iter().any(|s| recv(s, 100).is_ok_and(|d| d == b"still here")));
    drop((clients, servers, l));
    p.run(200 * S);
    for n in [&p.a, &p.b] {
        n.with(|st| assert_eq!((st.connections.len(), st.memory.used()), (0, 0)));
    }
}

#[test]
fn listeners_options_are_inherited() {
    let p = Pair::new();
    let l = listen(&p.b, 80, 4);
    l.set(6, 1, &1i32.to_le_bytes()).unwrap();
    l.set(1, 9, &1i32.to_le_bytes()).unwrap();
    l.set(1, 8, &5000i32.to_le_bytes()).unwrap();
    let c = tcp(&p.a);
    let _ = c.connect(&v4(B, 80));
    p.run(10 * MS);
    let s = l.accept(true).unwrap().0;
    assert_eq!(s.get(6, 1).unwrap(), [1, 0, 0, 0]);
    assert_eq!(s.get(1, 9).unwrap(), [1, 0, 0, 0]);
    assert_eq!(i32::from_le_bytes(s.get(1, 8).unwrap().try_into().unwrap()), 10_000);
}
