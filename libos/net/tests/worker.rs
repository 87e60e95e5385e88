//! The network thread, and the threads that poll the card in its place.
mod common;
use common::*;
use libos_base::file::FileLike;
use libos_base::poll::Events;
use libos_net::config::{Hooks, Ip4, Ip6, NetConfig, NoHooks};
use libos_net::device::Caps;
use libos_net::net::Net;
use libos_net::sleeper::{LATER, Watched};
use libos_net::socket::Socket;
use smoltcp::wire::Ipv4Address;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Uses the machine's clock: threads really sleep.
fn host(n: u8, rx: &Half, tx: &Half, hooks: Arc<dyn Hooks>) -> Arc<Net> {
    let (caps, kicks) = (Caps::default(), Arc::default());
    let card = Wire { mac: [2, 0, 0, 0, 0, n], rx: rx.clone(), tx: tx.clone(), caps, kicks };
    let ip4 = Ip4::Static { addr: Ipv4Address::new(10, 0, 0, n), prefix: 24, gateway: None };
    let config = NetConfig { ip4, ip6: Ip6::None, memory: 64 << 20, ..NetConfig::default() };
    Net::new(&config, Some(Box::new(card)), hooks)
}

/// Two hosts, and a listening socket on the second with which a socket of the first has connected.
fn connected(hooks: Arc<dyn Hooks>) -> (Arc<Net>, Arc<Net>, Arc<Socket>, Arc<Socket>) {
    let wire = || Arc::new(Mutex::new(Direction::default()));
    let (ab, ba): (Half, Half) = (wire(), wire());
    let (a, b) = (host(1, &ba, &ab, Arc::new(NoHooks)), host(2, &ab, &ba, hooks));
    let (l, c) = (listen(&b, 80, 4), tcp(&a));
    let _ = c.connect(&v4(B, 80));
    assert!(within(Duration::from_secs(20), || {
        a.poll();
        b.poll();
        l.poll(None).contains(Events::IN) && c.poll(None).contains(Events::OUT)
    }));
    (a, b, c, l)
}

/// A host's network thread.
struct Worker {
    net: Arc<Net>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Worker {
    fn of(net: &Arc<Net>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (its, told) = (net.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            its.serve_here();
            while !told.load(Ordering::SeqCst) {
                its.step();
            }
        });
        Self { net: net.clone(), stop, thread }
    }
    fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.net.wake_worker();
        self.thread.join().unwrap();
    }
}

fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

#[test]
fn a_timer_that_another_thread_starts_wakes_the_network_thread() {
    let (a, b, c, _l) = connected(Arc::new(NoHooks));
    let worker = Worker::of(&b);
    // It finds nothing to do and sleeps until it is woken.
    std::thread::sleep(Duration::from_millis(300));
    send(&c, b"to be acknowledged after 10 ms").unwrap();
    // Another thread takes the segment in: the delayed ACK becomes due without the network thread.
    b.poll();
    let acknowledged = within(Duration::from_secs(5), || {
        a.poll();
        a.with(|st| st.connections.all().next().is_some_and(|c| c.tcp().send_queue() == 0))
    });
    worker.end();
    assert!(acknowledged, "nobody looked at the timer of the delayed ACK");
}

#[test]
fn the_card_wakes_a_thread_that_waits_for_it() {
    let (_a, b, c, l) = connected(Arc::new(NoHooks));
    let s = l.accept(false).unwrap().0;
    let reader = std::thread::spawn(move || recv(&s, 100));
    // There is no network thread: the reader has to look at the card itself. It has done so, in vain, and sleeps.
    std::thread::sleep(Duration::from_millis(300));
    send(&c, b"for whoever sleeps").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(!reader.is_finished(), "nothing has told it yet");
    b.interrupt();
    assert!(within(Duration::from_secs(5), || reader.is_finished()));
    assert_eq!(reader.join().unwrap(), Ok(b"for whoever sleeps".to_vec()));
}

/// All processors are busy, always.
#[derive(Default)]
struct Busy(AtomicU64);

impl Hooks for Busy {
    fn later(&self, ns: u64) -> bool {
        self.0.store(ns, Ordering::SeqCst);
        true
    }
}

#[test]
fn an_interrupt_that_nobody_waits_for_is_put_off_but_not_forgotten() {
    let busy = Arc::new(Busy::default());
    let (_a, b, c, l) = connected(busy.clone());
    let s = l.accept(true).unwrap().0;
    let asked = || busy.0.swap(0, Ordering::SeqCst);
    b.serve_here();
    b.overdue();
    asked();
    send(&c, b"while all compute").unwrap();
    b.interrupt();
    let first = asked();
    assert!(first > 0 && !s.poll(None).contains(Events::IN), "put off");
    b.overdue();
    b.step();
    assert!(s.poll(None).contains(Events::IN), "nobody has looked meanwhile");
    assert_eq!(asked(), 0, "the next frame interrupts again");
    // If threads look by themselves there is less of a hurry.
    b.interrupt();
    b.poll();
    asked();
    b.overdue();
    assert!(asked() > first);
}

#[test]
fn a_thread_that_the_card_has_woken_needs_no_interrupt_while_it_works() {
    let busy = Arc::new(Busy::default());
    let (_a, b, c, l) = connected(busy.clone());
    let s = l.accept(false).unwrap().0;
    let reader = std::thread::spawn(move || recv(&s, 100));
    std::thread::sleep(Duration::from_millis(300));
    busy.0.store(0, Ordering::SeqCst);
    send(&c, b"and again later").unwrap();
    b.interrupt();
    assert_eq!(reader.join().unwrap(), Ok(b"and again later".to_vec()));
    assert_eq!(busy.0.load(Ordering::SeqCst), LATER, "somebody looks if it does not");
    assert_eq!((b.watched(), b.watched()), (Watched::Now, Watched::No));
}

#[test]
fn timers_wait_for_who_looks_until_nobody_does() {
    let (a, b, c, _l) = connected(Arc::new(Busy::default()));
    let worker = Worker::of(&b);
    let rest = || std::thread::sleep(Duration::from_millis(300));
    let acknowledged = || {
        a.poll();
        a.with(|st| st.connections.all().next().is_some_and(|c| c.tcp().send_queue() == 0))
    };
    rest();
    // Somebody looks, so the network thread waits for nothing, nor is it woken for the timer of the delayed ACK.
    b.poll();
    b.wake_worker();
    rest();
    send(&c, b"to be acknowledged after 10 ms").unwrap();
    b.poll();
    rest();
    let before = acknowledged();
    // Who checks finds that nobody has looked again.
    b.watched();
    b.overdue();
    let after = within(Duration::from_secs(5), acknowledged);
    worker.end();
    assert!(!before, "somebody else waited for the timer");
    assert!(after, "nobody waited for the timer");
}
