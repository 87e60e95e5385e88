//! How often the card is notified. Alone in its file, because it takes the place of the kernel's `FRONT`.
mod common;
use common::*;
use libos_base::file::FileLike;
use libos_base::poll::{self, Events, FRONT, Front};
use libos_base::thread::Wake;
use libos_net::config::{Hooks, Ip4, Ip6, NetConfig, NoHooks};
use libos_net::device::Caps;
use libos_net::net::Net;
use libos_net::socket::Socket;
use smoltcp::wire::Ipv4Address;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

static SERVER: OnceLock<Arc<Net>> = OnceLock::new();
/// Whether all processors are busy.
static BUSY: AtomicBool = AtomicBool::new(true);

struct Kernel;

impl Front for Kernel {
    fn look(&self) {}
    fn park(&self, _: u64) -> Wake {
        Wake::Token
    }
    fn serve(&self, ready: usize) {
        SERVER.get().unwrap().serve(ready);
    }
    fn holds(&self) -> bool {
        SERVER.get().unwrap().holds()
    }
    fn settle(&self) {
        SERVER.get().unwrap().settle();
    }
}

impl Hooks for Kernel {
    fn later(&self, _: u64) -> bool {
        BUSY.load(Ordering::SeqCst)
    }
}

fn host(n: u8, rx: &Half, tx: &Half, kicks: &Arc<Mutex<u64>>, hooks: Arc<dyn Hooks>) -> Arc<Net> {
    let card =
        Wire { mac: [2, 0, 0, 0, 0, n], rx: rx.clone(), tx: tx.clone(), caps: Caps::default(), kicks: kicks.clone() };
    let ip4 = Ip4::Static { addr: Ipv4Address::new(10, 0, 0, n), prefix: 24, gateway: None };
    let config = NetConfig { ip4, ip6: Ip6::None, memory: 64 << 20, ..NetConfig::default() };
    Net::with_clock(&config, Some(Box::new(card)), hooks, now)
}

#[test]
fn a_server_notifies_for_half_of_what_is_ready_and_when_it_waits() {
    let wire = || Arc::new(Mutex::new(Direction::default()));
    let (ab, ba): (Half, Half) = (wire(), wire());
    let kicks = Arc::new(Mutex::new(0));
    let a = host(1, &ba, &ab, &Arc::default(), Arc::new(NoHooks));
    let b = host(2, &ab, &ba, &kicks, Arc::new(Kernel));
    assert!(SERVER.set(b.clone()).is_ok());
    FRONT.provide(&(&Kernel as &dyn Front));
    let l = listen(&b, 80, 16);
    let pairs: Vec<(Arc<Socket>, Arc<Socket>)> = (0..8)
        .map(|_| {
            let c = tcp(&a);
            let _ = c.connect(&v4(B, 80));
            while !l.poll(None).contains(Events::IN) {
                a.poll();
                b.poll();
            }
            let s = l.accept(true).unwrap().0;
            s.set(6, 1, &1i32.to_le_bytes()).unwrap();
            (c, s)
        })
        .collect();
    let pass = || {
        (0..4).for_each(|_| {
            a.poll();
            b.poll();
        })
    };
    pass();
    let answers = |n: usize| {
        let before = *kicks.lock().unwrap();
        for (_, s) in &pairs[..n] {
            send(s, b"answer").unwrap();
        }
        *kicks.lock().unwrap() - before
    };
    let settled = || {
        let before = *kicks.lock().unwrap();
        poll::settle();
        *kicks.lock().unwrap() - before
    };
    let arrived = |n: usize| {
        pass();
        pairs[..n].iter().all(|(c, _)| recv(c, 100) == Ok(b"answer".to_vec()))
    };
    poll::serve(8);
    assert_eq!(answers(8), 1, "when the one after half of them comes");
    assert_eq!(settled(), 1, "and when it waits");
    assert!(arrived(8));
    poll::serve(8);
    assert_eq!(answers(3), 0, "it has not served half of them");
    assert_eq!(settled(), 1);
    assert!(arrived(3));
    poll::serve(0);
    assert_eq!(answers(2), 2, "nothing is ready");
    assert!(arrived(2));
    poll::serve(1);
    assert_eq!(answers(2), 1, "when it turns to another connection");
    assert!(arrived(2));
    poll::serve(1);
    let before = (*kicks.lock().unwrap(), b.ask(|st| st.stats.tx));
    send(&pairs[0].1, b"ans").unwrap();
    send(&pairs[0].1, b"wer").unwrap();
    assert_eq!(*kicks.lock().unwrap(), before.0, "more may follow");
    assert_eq!((settled(), b.ask(|st| st.stats.tx) - before.1), (1, 1), "an answer in two writes is one segment");
    assert!(arrived(1));
    poll::serve(8);
    std::thread::scope(|s| drop(s.spawn(|| assert_eq!(answers(2), 2, "not the thread that serves them"))));
    assert!(arrived(2));
    BUSY.store(false, Ordering::SeqCst);
    poll::serve(8);
    assert_eq!(answers(4), 4, "nobody would see to it in time");
    assert!(arrived(4));
    let sent = || b.ask(|st| st.stats.tx);
    // The end of a connection goes with its last data.
    BUSY.store(true, Ordering::SeqCst);
    for (c, _) in &pairs {
        send(c, b"request").unwrap();
    }
    pass();
    poll::serve(3);
    let before = sent();
    let mut pairs = pairs.into_iter();
    for (_c, s) in pairs.by_ref().take(3) {
        assert_eq!(recv(&s, 100), Ok(b"request".to_vec()));
        send(&s, b"last").unwrap();
    }
    assert_eq!(sent() - before, 2, "each when the server turns to the next");
    poll::settle();
    assert_eq!(sent() - before, 3, "data and FIN are one segment");
    // But an abortive close is not put off: it frees a port.
    poll::serve(8);
    let before = sent();
    let (_, s) = pairs.next().unwrap();
    s.set(1, 13, &[1, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    drop(s);
    assert_eq!(sent() - before, 1);
    // Nor is a stream, which would fill its buffer first.
    let (_c, s) = pairs.next().unwrap();
    assert!(send(&s, &noise(60_000)).unwrap() > 32 << 10);
    assert!(sent() - before > 1);
}
