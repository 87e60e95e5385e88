//! The network thread, and the threads that poll the card in its place.
mod common;
use common::*;
use libos_base::file::FileLike;
use libos_base::poll::Events;
use libos_net::config::{Ip4, Ip6, NetConfig, NoHooks};
use libos_net::device::Caps;
use libos_net::net::Net;
use smoltcp::wire::Ipv4Address;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Uses the machine's clock: the network thread really sleeps.
fn host(n: u8, rx: &Half, tx: &Half) -> Arc<Net> {
    let (caps, kicks) = (Caps::default(), Arc::default());
    let card = Wire { mac: [2, 0, 0, 0, 0, n], rx: rx.clone(), tx: tx.clone(), caps, kicks };
    let ip4 = Ip4::Static { addr: Ipv4Address::new(10, 0, 0, n), prefix: 24, gateway: None };
    let config = NetConfig { ip4, ip6: Ip6::None, memory: 64 << 20, ..NetConfig::default() };
    Net::new(&config, Some(Box::new(card)), Arc::new(NoHooks))
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
    let wire = || Arc::new(Mutex::new(Direction::default()));
    let (ab, ba): (Half, Half) = (wire(), wire());
    let (a, b) = (host(1, &ba, &ab), host(2, &ab, &ba));
    let (l, c) = (listen(&b, 80, 4), tcp(&a));
    let _ = c.connect(&v4(B, 80));
    assert!(within(Duration::from_secs(20), || {
        a.poll();
        b.poll();
        l.poll(None).contains(Events::IN) && c.poll(None).contains(Events::OUT)
    }));
    let stop = Arc::new(AtomicBool::new(false));
    let worker = {
        let (b, stop) = (b.clone(), stop.clone());
        std::thread::spawn(move || {
            b.serve_here();
            while !stop.load(Ordering::SeqCst) {
                b.step();
            }
        })
    };
    // It finds nothing to do and sleeps until it is woken.
    std::thread::sleep(Duration::from_millis(300));
    send(&c, b"to be acknowledged after 10 ms").unwrap();
    // Another thread takes the segment in: the delayed ACK becomes due without the network thread.
    b.poll();
    let acknowledged = within(Duration::from_secs(5), || {
        a.poll();
        a.with(|st| st.connections.all().next().is_some_and(|c| c.tcp().send_queue() == 0))
    });
    stop.store(true, Ordering::SeqCst);
    b.interrupt();
    worker.join().unwrap();
    assert!(acknowledged, "nobody looked at the timer of the delayed ACK");
}
